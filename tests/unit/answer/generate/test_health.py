"""Which models are well: over a clock that only the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

import pytest

from pipelines.answer.generate.circuit import FAILURES, FIRST_PAUSE_S
from pipelines.answer.generate.health import MAX_CIRCUITS, Health
from pipelines.answer.generate.model_directory import ModelRef
from pipelines.domain import Message
from pipelines.errors import (
    Busy,
    ContextTooLong,
    DeadlineExceeded,
    ModelFailed,
    ModelUnavailable,
    RaglineError,
    UnknownModel,
)
from pipelines.providers.base import ChatDelta, ChatProvider, GenerateOptions
from tests.unit.answer.generate.test_circuit import Clock

A, B = ModelRef("p", "a"), ModelRef("p", "b")
AWAY = ModelUnavailable("Nobody answers at that address.", whole_provider=True)
DENIED = ModelUnavailable("This model is not allowed.")


class Answering(ChatProvider):
    """A provider whose probes end as `error` says; `probed` are the models that were probed."""

    name = "p"

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.probed: list[str] = []

    def stream(
        self, model: str, messages: Sequence[Message], *, options: GenerateOptions
    ) -> AsyncGenerator[ChatDelta, None]:
        raise NotImplementedError

    async def check(self, model: str = "") -> None:
        self.probed.append(model)
        if self.error:
            raise self.error

    async def models(self) -> Sequence[str]:
        raise NotImplementedError


class Bench:
    """A provider's health on a clock of its own; `pauses` are the pauses that were made before probes."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.provider = Answering()
        self.pauses: list[float] = []
        self._go = asyncio.Semaphore(0)
        self.health = Health({"p": self.provider}, clock=self.clock, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await self._go.acquire()
        self.clock.now += seconds

    async def pass_a_pause(self) -> None:
        self._go.release()
        for _ in range(5):
            await asyncio.sleep(0)

    def fail(self, ref: ModelRef, error: RaglineError, times: int = FAILURES) -> None:
        for _ in range(times):
            with pytest.raises(type(error)), self.health.asking(ref):
                raise error

    def state(self, ref: ModelRef) -> str:
        return self.health.report(ref, active=0, waiting=0, parallel=1).state

    def asked(self, ref: ModelRef) -> bool:
        try:
            self.health.admit(ref)
        except ModelUnavailable:
            return False
        return True


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    built = Bench()
    yield built
    await built.health.close()


async def test_access_denied_to_one_model_does_not_close_the_others(bench: Bench) -> None:
    bench.fail(A, DENIED)
    assert (bench.asked(A), bench.asked(B)) == (False, True)


async def test_a_call_that_goes_well_starts_the_count_anew(bench: Bench) -> None:
    for _ in range(3):
        bench.fail(A, DENIED, times=FAILURES - 1)
        with bench.health.asking(A):
            pass
    assert (bench.state(A), bench.asked(A)) == ("closed", True)


async def test_a_provider_that_is_away_takes_all_its_models_with_it(bench: Bench) -> None:
    bench.fail(A, AWAY)
    assert (bench.asked(A), bench.asked(B), bench.health.is_well(B)) == (False, False, False)
    assert bench.asked(ModelRef("another", "a"))
    assert bench.health.is_away("p")
    await bench.pass_a_pause()
    assert not bench.health.is_away("p")


async def test_a_refusal_is_typed_and_says_why_and_when_to_return(bench: Bench) -> None:
    bench.fail(A, AWAY)
    with pytest.raises(ModelUnavailable, match="Nobody answers at that address") as refused:
        bench.health.admit(B)
    assert refused.value.retry_after == FIRST_PAUSE_S


@pytest.mark.parametrize("error", [UnknownModel(""), Busy(""), ContextTooLong("")])
async def test_what_says_nothing_of_a_models_health_does_not_count(bench: Bench, error: RaglineError) -> None:
    bench.fail(A, error, times=9)
    assert bench.health.troubled() == []


@pytest.mark.parametrize("error", [DENIED, ModelFailed("It crashed."), DeadlineExceeded("It said nothing.")])
async def test_what_counts_opens_it_and_is_reported(bench: Bench, error: RaglineError) -> None:
    bench.fail(A, error)
    report = bench.health.report(A, active=2, waiting=3, parallel=4)
    assert (report.state, report.error_code, report.error) == ("open", error.code, error.message)
    assert (report.provider, report.model) == ("p", "a")
    assert (report.active, report.waiting, report.parallel) == (2, 3, 4)
    assert report.since is not None


async def test_it_closes_by_a_probe_in_the_background_and_one_trial_call(bench: Bench) -> None:
    bench.provider.error = AWAY
    bench.fail(A, AWAY)
    for _ in range(3):
        await bench.pass_a_pause()
        assert not bench.asked(A)
    assert bench.pauses == [FIRST_PAUSE_S * factor for factor in (1, 2, 4, 8)]
    bench.provider.error = None
    await bench.pass_a_pause()
    assert bench.state(A) == "half_open"
    with bench.health.asking(A):
        assert not bench.asked(B)
    assert (bench.state(A), bench.asked(B), bench.health.troubled()) == ("closed", True, [])
    assert set(bench.provider.probed) == {"a"}


async def test_a_trial_call_that_fails_has_it_probed_again(bench: Bench) -> None:
    bench.fail(A, DENIED)
    await bench.pass_a_pause()
    bench.fail(A, DENIED, times=1)
    assert bench.state(A) == "open"
    await bench.pass_a_pause()
    assert bench.state(A) == "half_open"


async def test_a_trial_whose_reader_leaves_is_left_to_the_next_call(bench: Bench) -> None:
    bench.fail(A, AWAY)
    await bench.pass_a_pause()
    with pytest.raises(asyncio.CancelledError), bench.health.asking(A):
        raise asyncio.CancelledError
    assert (bench.state(A), bench.asked(A)) == ("half_open", True)


async def test_a_provider_that_answers_but_lacks_the_model_is_asked_again(bench: Bench) -> None:
    bench.fail(A, AWAY)
    bench.provider.error = UnknownModel("Pull it first.")
    await bench.pass_a_pause()
    assert bench.state(A) == "half_open"


async def test_a_call_that_began_before_and_goes_well_closes_it_and_ends_the_probing(bench: Bench) -> None:
    with bench.health.asking(A):
        bench.fail(A, DENIED)
        await asyncio.sleep(0)
    assert bench.asked(A)
    await bench.pass_a_pause()
    assert bench.provider.probed == []


async def test_a_probe_that_breaks_in_an_unforeseen_way_leaves_it_to_a_call(bench: Bench) -> None:
    bench.fail(A, DENIED)
    bench.provider.error = RuntimeError("A mistake of ours.")
    with pytest.raises(RuntimeError):
        await asyncio.gather(bench.pass_a_pause(), *bench.health._probes.values())
    assert bench.state(A) == "half_open"


async def test_names_that_callers_make_up_do_not_fill_the_memory(bench: Bench) -> None:
    for number in range(2 * MAX_CIRCUITS):
        bench.fail(ModelRef("p", f"m{number}"), DENIED)
    assert len(bench.health.troubled()) == MAX_CIRCUITS
    assert len(bench.health._probes) == MAX_CIRCUITS


async def test_closing_ends_the_probes(bench: Bench) -> None:
    bench.fail(A, DENIED)
    await asyncio.sleep(0)
    await bench.health.close()
    assert bench.health._probes == {}
