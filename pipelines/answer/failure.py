"""An error written down for another request, or another process, to raise."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from pipelines.errors import RaglineError


class Failure(BaseModel):
    """What is kept of an error: its kind, by its code, and what it says."""

    code: str
    message: str
    retry_after: float | None = None

    @classmethod
    def of(cls, error: RaglineError) -> Failure:
        """An error, to be written down."""
        return cls(code=error.code, message=error.message, retry_after=error.retry_after)

    def error(self) -> RaglineError:
        """The error that was written down."""
        kind = next((each for each in _kinds(RaglineError) if each.code == self.code), RaglineError)
        error = kind(self.message)
        error.retry_after = self.retry_after
        return error


def _kinds(kind: type[RaglineError]) -> Iterator[type[RaglineError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from _kinds(narrower)
