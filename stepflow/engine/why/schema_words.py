"""What a question asks for, and a signal has to be, in a few words."""

from __future__ import annotations

from stepflow.engine.questions import read_question
from stepflow.engine.signal import expected_schemas
from stepflow.engine.user_code.schema.examples import example_of, in_words

#: characters of a prompt that a sentence has
_SHORT = 80


def question_in_words(packed: bytes) -> tuple[str, str, str]:
    """Give the prompt of a question as it is kept, what fits it in words, and such an answer."""
    question = read_question("", "", packed)
    prompt = question.prompt if len(question.prompt) <= _SHORT else question.prompt[:_SHORT] + "…"
    return prompt, in_words(question.schema), example_of(question.schema)


def signals_in_words(packed: bytes | None) -> dict[str, tuple[str, str]]:
    """Give what fits each signal that a run wants of a type, in words, and such a payload."""
    found = expected_schemas(packed) if packed else {}
    return {
        name: (in_words(schemas[0]), example_of(schemas[0]))
        for name, schemas in found.items()
        if schemas
    }
