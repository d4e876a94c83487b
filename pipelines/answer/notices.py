"""What a reader is told in status lines: citations and the model's call go in, sentences come out."""

from __future__ import annotations

from pipelines.answer.generate.model_calls import ModelCall
from pipelines.answer.generate.model_names import spoken
from pipelines.domain import Citation


def found(citations: tuple[Citation, ...]) -> str:
    """How much was found."""
    if not citations:
        return "No passage found in your documents"
    passages = sum(len(citation.passages) for citation in citations)
    documents = len({citation.document_id for citation in citations})
    return f"Found {passages} {_plural(passages, 'passage')} in {documents} {_plural(documents, 'document')}"


def notices(call: ModelCall | None) -> list[str]:
    """What a reader should know of how the answer came about."""
    if call is None:
        return []
    said: list[str] = []
    if call.cached:
        said.append("This question was asked before: the answer is the one given then")
    if call.fallback:
        said.append(f"{_capitalised(spoken(call.asked))} did not answer: {spoken(call.model)} instead")
    if call.dropped_passages:
        dropped = f"{call.dropped_passages} {_plural(call.dropped_passages, 'passage')}"
        said.append(f"The model reads no more: the weakest {dropped} were left out")
    return said


def _capitalised(words: str) -> str:
    return words[:1].upper() + words[1:]


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"
