"""What became of each model call, by request id, so that the gateway can report it with the answer.

The router is called by n8n, the gateway by the reader; the request id is all they share. With one process the record
is a dictionary; several replicas need the same two methods over a shared cache.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from dataclasses import dataclass, replace

from pipelines.domain import Usage
from pipelines.errors import RaglineError


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One answer of a model. Written at the first token and again at the end; times in milliseconds.

    `asked` is the model the caller meant, `model` the one that answered. `wait_ms` is the time before that one began:
    waiting in line and models that could not answer. `usage`, `cost_usd` and `model_ms` are None until the answer is
    whole, and `error` is what ended it early. `dropped_passages` were left out of the prompt to make it fit the model.
    `cached`: no model was called, the kept answer of `model` was given again.
    """

    request_id: str
    asked: str
    model: str
    wait_ms: float
    model_ttft_ms: float | None = None
    model_ms: float | None = None
    usage: Usage | None = None
    cost_usd: float | None = None
    error: RaglineError | None = None
    dropped_passages: int = 0
    cached: bool = False

    @property
    def fallback(self) -> bool:
        """Whether another model answered than the one asked for."""
        return self.model != self.asked

    @property
    def unfinished(self) -> bool:
        """Whether the answer has begun and is not whole: another one begun now would be a second voice in it."""
        return self.model_ttft_ms is not None and self.usage is None


class Attempt:
    """One model's try at an answer, from the moment it is asked; makes the `ModelCall` to record.

    `started` is when the caller came, as `time.perf_counter` says it.
    """

    def __init__(self, request_id: str, *, asked: str, model: str, started: float) -> None:
        self._admitted = time.perf_counter()
        self._call = ModelCall(request_id, asked=asked, model=model, wait_ms=_ms(started, self._admitted))
        self.begun = False

    def shortened(self, dropped_passages: int) -> None:
        """Note how many passages were left out of the prompt."""
        self._call = replace(self._call, dropped_passages=dropped_passages)

    def first_token(self) -> ModelCall:
        """The call as it is now that the model has begun."""
        self.begun = True
        self._call = replace(self._call, model_ttft_ms=_ms(self._admitted, time.perf_counter()))
        return self._call

    def finished(self, usage: Usage, cost_usd: float | None) -> ModelCall:
        """The call of a whole answer."""
        model_ms = _ms(self._admitted, time.perf_counter())
        return replace(self._call, model_ms=model_ms, usage=usage, cost_usd=cost_usd)

    def failed(self, error: RaglineError) -> ModelCall:
        """The call of an answer that ended early."""
        return replace(self._call, error=error)


class ModelCalls(ABC):
    """The record of recent model calls."""

    @abstractmethod
    async def put(self, call: ModelCall) -> None:
        """Keep `call`, in place of an earlier one with its request id."""

    @abstractmethod
    async def get(self, request_id: str) -> ModelCall | None:
        """The last call kept under this request id, if it is recent."""

    @property
    def complete(self) -> bool:
        """Whether a call that `get` has just not found was not made; False while other processes' are not known."""
        return True


class InProcessModelCalls(ModelCalls):
    """The record of one process: the newest `max_calls`, none older than `max_age_s`."""

    def __init__(self, *, max_calls: int = 10_000, max_age_s: float = 900) -> None:
        self._max_calls = max_calls
        self._max_age_s = max_age_s
        self._calls: OrderedDict[str, tuple[float, ModelCall]] = OrderedDict()

    async def put(self, call: ModelCall) -> None:
        now = time.monotonic()
        self._calls[call.request_id] = (now, call)
        self._calls.move_to_end(call.request_id)
        while len(self._calls) > self._max_calls or self._oldest() < now - self._max_age_s:
            self._calls.popitem(last=False)

    async def get(self, request_id: str) -> ModelCall | None:
        at, call = self._calls.get(request_id, (0.0, None))
        return call if call and at >= time.monotonic() - self._max_age_s else None

    def _oldest(self) -> float:
        return next(iter(self._calls.values()))[0]


def _ms(start: float, end: float) -> float:
    return round((end - start) * 1000, 3)
