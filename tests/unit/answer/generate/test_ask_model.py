"""Asking one model: second tries while it throttles, and while the prompt is too long for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence

import pytest

from pipelines.answer.generate import ask_model as asking
from pipelines.answer.generate.ask_model import Begun, ask_model
from pipelines.answer.generate.model_directory import ModelRef
from pipelines.answer.generate.model_request import ModelRequest
from pipelines.answer.prompt import count_passages
from pipelines.domain import Message
from pipelines.errors import Busy, ContextTooLong, DeadlineExceeded, ModelFailed, RaglineError
from pipelines.providers import ollama
from pipelines.providers.base import ChatDelta, ChatProvider, Finish, GenerateOptions, TextDelta
from pipelines.providers.ollama import OllamaProvider
from tests.models import running_model_server
from tests.unit.answer.generate.test_fit import prompt

REF = ModelRef("p", "m")


class Reading(ChatProvider):
    """A provider that raises what it is given, one after the other, and then answers.

    `reads` is the most passages it reads, `seen` how many each call had.
    """

    name = "p"

    def __init__(self, *errors: RaglineError, reads: int = 100, context: int | None = None) -> None:
        self._errors = list(errors)
        self._reads = reads
        self._context = context
        self.seen: list[int] = []

    async def stream(
        self, model: str, messages: Sequence[Message], *, options: GenerateOptions
    ) -> AsyncGenerator[ChatDelta, None]:
        self.seen.append(count_passages(messages[-1].content))
        if self._errors:
            raise self._errors.pop(0)
        if self.seen[-1] > self._reads:
            raise ContextTooLong("The prompt is too long.")
        yield TextDelta("Yes.")
        yield Finish()

    async def check(self, model: str = "") -> None:
        raise NotImplementedError

    async def models(self) -> Sequence[str]:
        raise NotImplementedError

    async def context_tokens(self, model: str) -> int | None:
        return self._context


async def _asked(
    provider: ChatProvider, *, model: str = "m", patience_s: float = 5, retries: int = 2, passages: int = 8
) -> Begun:
    request = ModelRequest("p/m", prompt(passages))
    begun = await ask_model(provider, ModelRef("p", model), request, patience_s=patience_s, retries=retries)
    await begun.rest.aclose()
    return begun


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of milliseconds."""
    monkeypatch.setattr(asking, "FIRST_PAUSE_S", 0.01)


@pytest.mark.usefixtures("quick")
async def test_a_call_that_is_throttled_is_made_again() -> None:
    provider = Reading(Busy("Slower."), Busy("Slower."))
    assert (await _asked(provider)).first == TextDelta("Yes.")
    assert len(provider.seen) == 3


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("retries", [0, 1, 2])
async def test_no_more_often_than_is_set(retries: int) -> None:
    provider = Reading(*(Busy("Slower.") for _ in range(9)))
    with pytest.raises(Busy):
        await _asked(provider, retries=retries)
    assert len(provider.seen) == retries + 1


@pytest.mark.usefixtures("quick")
async def test_the_pause_is_at_least_what_the_provider_asks_for() -> None:
    started = time.perf_counter()
    await _asked(Reading(Busy("Slower.", retry_after=0.1)))
    assert 0.1 <= time.perf_counter() - started < 0.3


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("retry_after", "patience_s"), [(60.0, 120.0), (2.0, 1.0)])
async def test_a_pause_that_is_too_long_is_not_begun(retry_after: float, patience_s: float) -> None:
    started = time.perf_counter()
    with pytest.raises(Busy):
        await _asked(Reading(Busy("Slower.", retry_after=retry_after)), patience_s=patience_s)
    assert time.perf_counter() - started < 0.2


def test_pauses_grow_and_are_spread() -> None:
    pauses = [[asking._pause_s(Busy("Slower."), tries) for _ in range(50)] for tries in range(4)]
    for tries, spread in enumerate(pauses):
        longest = asking.FIRST_PAUSE_S * 2**tries
        assert longest / 2 <= min(spread) < max(spread) <= longest


@pytest.mark.usefixtures("quick")
async def test_ollama_that_is_busy_once_answers_the_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ollama, "BUSY_RETRY_S", 0.01)
    async with running_model_server() as server:
        provider = OllamaProvider(server.url)
        begun = await _asked(provider, model="mock-ttft0-itl0-len5-busy2")
        assert begun.first == TextDelta("According")
        assert server.stats.refused == {"mock-ttft0-itl0-len5-busy2": 2}
        await provider.close()


@pytest.mark.parametrize("error", [ModelFailed("It crashed."), DeadlineExceeded("It was too slow.")])
async def test_nothing_else_is_tried_twice(error: RaglineError) -> None:
    provider = Reading(error)
    with pytest.raises(type(error)):
        await _asked(provider)
    assert len(provider.seen) == 1


async def test_what_the_model_is_known_not_to_read_is_left_out_before_it_is_asked() -> None:
    provider = Reading(context=2048)
    begun = await _asked(provider)
    assert len(provider.seen) == 1
    assert begun.dropped_passages == 8 - provider.seen[0] > 0


async def test_a_model_that_reads_no_more_is_asked_again_with_less() -> None:
    provider = Reading(reads=3)
    begun = await _asked(provider)
    assert (provider.seen, begun.dropped_passages) == ([8, 4, 2], 6)


async def test_a_model_that_reads_nothing_ends_in_a_typed_error_after_a_few_tries() -> None:
    provider = Reading(reads=0)
    with pytest.raises(ContextTooLong):
        await _asked(provider)
    assert len(provider.seen) < 10


async def test_silence_throughout_ends_with_patience() -> None:
    async with running_model_server() as server:
        provider = OllamaProvider(server.url)
        with pytest.raises(DeadlineExceeded, match=r"said nothing for 0\.1 seconds"):
            await _asked(provider, model="mock-ttft0-itl0-len5-hang0", patience_s=0.1)
        await asyncio.sleep(0.05)
        assert server.stats.active == 0
        await provider.close()
