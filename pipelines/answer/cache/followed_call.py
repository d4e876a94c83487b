"""What is recorded of a turn that no model was called for: the call that was made goes in, this turn's comes out.

The reader's own times are in it, and no cost: whoever called the model has it.
"""

from __future__ import annotations

import time
from dataclasses import replace

from pipelines.answer.generate.model_calls import ModelCall
from pipelines.answer.generate.model_request import ModelRequest
from pipelines.domain import Usage
from pipelines.errors import RaglineError


class FollowedCall:
    """One turn, from the moment it comes. `asked` is the model it is for."""

    def __init__(self, request: ModelRequest, asked: str) -> None:
        self._started = time.perf_counter()
        self._call = ModelCall(request.request_id, asked, asked, wait_ms=0, cached=True)
        self.user_id = request.user_id
        self.begun = False

    @property
    def model(self) -> str:
        """The model that wrote the answer."""
        return self._call.model

    def first_text(self, of: ModelCall | None) -> ModelCall:
        """The call now that the text has begun, which is that of `of`."""
        self.begun = True
        if of:
            self._call = replace(self._call, model=of.model, dropped_passages=of.dropped_passages)
        self._call = replace(self._call, model_ttft_ms=self._ms())
        return self._call

    def finished(self, usage: Usage) -> ModelCall:
        """The call of a whole answer; `usage` is what it took the model then."""
        return replace(self._call, model_ms=self._ms(), usage=usage, cost_usd=0.0)

    def failed(self, error: RaglineError) -> ModelCall:
        """The call of an answer that ended early."""
        return replace(self._call, error=error)

    def _ms(self) -> float:
        return round((time.perf_counter() - self._started) * 1000, 3)
