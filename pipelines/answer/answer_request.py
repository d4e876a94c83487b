"""A question with what the gateway decided about it, and what the workflow is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipelines.domain import Question


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """A question with what the gateway decided about it. `started` is `time.perf_counter()` at its arrival.

    `fresh`: the reader has had an answer to it and asks for another. `provider` and `provider_model` are what `model`
    means now, empty where nobody says.
    """

    question: Question
    model: str
    request_id: str
    started: float
    limit: int | None = None
    fresh: bool = False
    provider: str = ""
    provider_model: str = ""

    @property
    def meant(self) -> str:
        """The model that `model` means now, as `<provider>/<model>`; empty where nobody says."""
        return f"{self.provider}/{self.provider_model}" if self.provider else ""

    def body(self) -> dict[str, Any]:
        """What the workflow's webhook receives."""
        user = self.question.user
        return {
            "request_id": self.request_id,
            "question": self.question.text,
            "history": [{"role": turn.role, "content": turn.content} for turn in self.question.history],
            "user": {"id": user.id, "groups": list(user.groups)},
            "limit": self.limit,
            # For a workflow whose model nodes are n8n's own.
            "provider": self.provider,
            "provider_model": self.provider_model,
            # What the workflow's model node passes on to the model router as it is.
            "ask": {"model": self.model, "request_id": self.request_id, "user": user.id, "fresh": self.fresh},
        }
