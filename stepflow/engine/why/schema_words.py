"""What a question asks for, in a few words."""

from __future__ import annotations

from stepflow.engine.questions import read_question

#: characters of a prompt that a sentence has
_SHORT = 80
#: what JSON schemas call types, as a caller writes a value of them
EXAMPLES = {
    "boolean": "true", "string": '\'"..."\'', "integer": "1", "number": "1.5", "null": "null",
    "array": "'[]'", "object": "'{}'",
}  # fmt: skip


def type_in_words(packed: bytes) -> tuple[str, str]:
    """Give the prompt of a question as it is kept, and the type of its answer."""
    question = read_question("", "", packed)
    kind = question.schema.get("type", "")
    prompt = question.prompt if len(question.prompt) <= _SHORT else question.prompt[:_SHORT] + "…"
    return prompt, kind if isinstance(kind, str) else ""
