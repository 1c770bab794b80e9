"""What a question asks for, in a few words."""

from __future__ import annotations

from stepflow.engine.questions import read_question
from stepflow.engine.user_code.schema.examples import example_of, in_words

#: characters of a prompt that a sentence has
_SHORT = 80


def question_in_words(packed: bytes) -> tuple[str, str, str]:
    """Give the prompt of a question as it is kept, what fits it in words, and such an answer."""
    question = read_question("", "", packed)
    prompt = question.prompt if len(question.prompt) <= _SHORT else question.prompt[:_SHORT] + "…"
    return prompt, in_words(question.schema), example_of(question.schema)
