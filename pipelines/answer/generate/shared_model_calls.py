"""The record of model calls over a cache: the replica that answers a reader need not be the one that ran the model."""

from __future__ import annotations

from dataclasses import fields

from pydantic import BaseModel, ValidationError

from pipelines.answer.failure import Failure
from pipelines.answer.generate.model_calls import InProcessModelCalls, ModelCall, ModelCalls
from pipelines.domain import Usage
from pipelines.stores.cache import Cache

TTL_S = 900.0


class SharedModelCalls(ModelCalls):
    """Each call in this process and in `cache`. What this process has run it knows without asking."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._here = InProcessModelCalls(max_age_s=TTL_S)

    async def put(self, call: ModelCall) -> None:
        await self._here.put(call)
        await self._cache.put(_key(call.request_id), _Record.of(call).model_dump_json().encode(), ttl_s=TTL_S)

    async def get(self, request_id: str) -> ModelCall | None:
        here = await self._here.get(request_id)
        if here and here.model:
            return here
        told = await self._cache.get(_key(request_id))
        return (_read(told) if told else None) or here

    @property
    def complete(self) -> bool:
        return self._cache.answers


class _Record(BaseModel):
    request_id: str
    asked: str
    model: str
    wait_ms: float
    model_ttft_ms: float | None = None
    model_ms: float | None = None
    usage: Usage | None = None
    cost_usd: float | None = None
    dropped_passages: int = 0
    cached: bool = False
    failure: Failure | None = None

    @classmethod
    def of(cls, call: ModelCall) -> _Record:
        told = {field.name: getattr(call, field.name) for field in fields(call) if field.name != "error"}
        return cls(**told, failure=Failure.of(call.error) if call.error else None)

    def call(self) -> ModelCall:
        told = {name: getattr(self, name) for name in _Record.model_fields if name != "failure"}
        return ModelCall(**told, error=self.failure.error() if self.failure else None)


def _read(told: bytes) -> ModelCall | None:
    try:
        return _Record.model_validate_json(told).call()
    except ValidationError:
        return None


def _key(request_id: str) -> str:
    return f"call:{request_id}"
