"""Which models are well: what became of calls goes in, a refusal at once for those that are down comes out.

A failure counts against the one model, for access to it may be all that is missing; where the adapter says that the
whole provider is away, it counts against all its models. What is down is probed in the background until it answers,
so that no reader pays for finding out.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pipelines.answer.generate.circuit import Circuit, State
from pipelines.answer.generate.model_directory import ModelRef
from pipelines.errors import DeadlineExceeded, ModelFailed, ModelUnavailable, RaglineError, UnknownModel
from pipelines.providers.base import ChatProvider

MAX_CIRCUITS = 64
"""Callers choose the names of models: only those that failed have a circuit, and no more than these."""
PROBE_LIMIT_S = 30.0

_COUNTED = (ModelUnavailable, ModelFailed, DeadlineExceeded)
"""What says that a model is not well. That it is busy, unknown, too dear or reads no more does not."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HealthReport:
    """How one model of a provider is; `model` is empty where it stands for all of them.

    `error_code` and `error` are the last failure's, and `since` is when the state began; empty while all is well.
    `active` calls run and `waiting` wait, of the provider's `parallel` at once.
    """

    provider: str
    model: str
    state: State
    error_code: str
    error: str
    since: datetime | None
    active: int
    waiting: int
    parallel: int


class Health:
    """The circuits of all models. `clock` and `sleep` are the event loop's unless a test brings its own."""

    def __init__(
        self,
        providers: Mapping[str, ChatProvider],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._providers = providers
        self._clock = clock
        self._sleep = sleep
        self._circuits: OrderedDict[ModelRef, Circuit] = OrderedDict()
        self._probes: dict[ModelRef, asyncio.Task[None]] = {}

    def admit(self, ref: ModelRef) -> None:
        """Return when `ref` may be asked; raises `ModelUnavailable` at once, with `retry_after`, when not."""
        for circuit in self._of(ref):
            if circuit.refuses:
                raise _refusal(ref, circuit)

    @contextmanager
    def asking(self, ref: ModelRef) -> Iterator[None]:
        """Spans a call up to its first token; what it raises is counted, its end is a success. Raises as `admit`."""
        self.admit(ref)
        trials = [circuit for circuit in self._of(ref) if circuit.begin_trial()]
        try:
            yield
        except _COUNTED as error:
            self._failed(ref, error)
            raise
        else:
            self._succeeded(ref)
        finally:
            for circuit in trials:
                circuit.end_trial()

    def is_well(self, ref: ModelRef) -> bool:
        """Whether nothing speaks against a call that can be done without."""
        return all(circuit.state == "closed" for circuit in self._of(ref))

    def is_away(self, provider: str) -> bool:
        """Whether a provider as a whole is known not to answer."""
        circuit = self._circuits.get(ModelRef(provider, ""))
        return circuit is not None and circuit.state == "open"

    def troubled(self) -> list[ModelRef]:
        """The models that failed last, and the providers (with an empty model)."""
        return list(self._circuits)

    def report(self, ref: ModelRef, *, active: int, waiting: int, parallel: int) -> HealthReport:
        """How `ref` is, beside what its provider is doing."""
        circuits = sorted(self._of(ref), key=lambda circuit: circuit.state == "closed")
        circuit = circuits[0] if circuits else None
        error = circuit.error if circuit else None
        return HealthReport(
            provider=ref.provider,
            model=ref.model,
            state=circuit.state if circuit else "closed",
            error_code=error.code if error else "",
            error=error.message if error else "",
            since=datetime.now(UTC) - timedelta(seconds=self._clock() - circuit.since) if circuit else None,
            active=active,
            waiting=waiting,
            parallel=parallel,
        )

    async def close(self) -> None:
        """End all probes."""
        probes = list(self._probes.values())
        for probe in probes:
            probe.cancel()
        await asyncio.gather(*probes, return_exceptions=True)

    def _of(self, ref: ModelRef) -> list[Circuit]:
        """The circuits that a call of `ref` goes through."""
        keys = (ModelRef(ref.provider, ""), ref)
        return [circuit for key in dict.fromkeys(keys) if (circuit := self._circuits.get(key))]

    def _succeeded(self, ref: ModelRef) -> None:
        for key in (ModelRef(ref.provider, ""), ref):
            if key in self._circuits:
                self._forget(key)

    def _failed(self, ref: ModelRef, error: RaglineError) -> None:
        away = isinstance(error, ModelUnavailable) and error.whole_provider
        key = ModelRef(ref.provider, "") if away else ref
        circuit = self._circuits.setdefault(key, Circuit(self._clock))
        self._circuits.move_to_end(key)
        circuit.failed(error)
        if circuit.state == "open" and key not in self._probes:
            logger.warning("%s is not asked until a probe goes well: %s", key, error.message)
            self._probes[key] = asyncio.create_task(self._probe(key, ref.model, circuit))
        while len(self._circuits) > MAX_CIRCUITS:
            self._forget(next(iter(self._circuits)))

    def _forget(self, key: ModelRef) -> None:
        del self._circuits[key]
        if probe := self._probes.pop(key, None):
            probe.cancel()

    async def _probe(self, key: ModelRef, model: str, circuit: Circuit) -> None:
        try:
            while circuit.state == "open":
                await self._sleep(circuit.probe_in_s)
                circuit.probed(await self._checked(key.provider, model))
            logger.info("%s answers again", key)
        finally:
            # Whatever ended the probing, from here on a call may find out.
            circuit.probed(None)
            if self._probes.get(key) is asyncio.current_task():
                del self._probes[key]

    async def _checked(self, provider: str, model: str) -> RaglineError | None:
        try:
            async with asyncio.timeout(PROBE_LIMIT_S):
                await self._providers[provider].check(model)
        except UnknownModel:  # it answers, and who asks for the model is to read that it is not there
            return None
        except TimeoutError:
            return DeadlineExceeded(f"{provider} did not answer a probe within {PROBE_LIMIT_S:g} seconds.")
        except RaglineError as error:
            return error
        return None


def _refusal(ref: ModelRef, circuit: Circuit) -> ModelUnavailable:
    why = circuit.error.message if circuit.error else "It does not answer."
    # While the trial call runs no probe is due, and in a second it may be known what came of it.
    return ModelUnavailable(
        f"{ref} failed repeatedly and is not asked for now. {why}", retry_after=max(1, math.ceil(circuit.probe_in_s))
    )
