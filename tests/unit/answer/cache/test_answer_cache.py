"""The answer cache over a real provider and the model server: what it spares the model, and what it must not give."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from pipelines.answer.generate.spending import Spent
from pipelines.answer.retrievals import Basis
from pipelines.domain import Message
from pipelines.errors import BudgetSpent, ModelFailed, RaglineError, UnknownModel
from pipelines.providers.base import Finish, GenerateOptions, TextDelta
from tests.unit.answer.answers import LEAVE, READERS, SLOW, Bench, bench, said


@pytest.fixture
async def at() -> AsyncIterator[Bench]:
    async with bench() as opened:
        yield opened


# --- again ------------------------------------------------------------------------------------------------------------


async def test_the_same_question_is_answered_again_without_the_model_and_says_so(at: Bench) -> None:
    first, call = await at.ask()
    assert not call.cached
    again, kept = await at.ask()
    assert (again, at.calls) == (first, 1)
    assert kept.cached
    assert (kept.model, kept.usage, kept.cost_usd) == (call.model, call.usage, 0.0)
    assert kept.model_ttft_ms is not None
    assert kept.model_ms is not None
    assert not kept.unfinished
    assert (at.answers.hits, at.answers.misses, at.answers.shared) == (1, 1, 0)
    assert call.usage is not None
    assert at.money.spent[-1] == Spent("anna", call.model, call.usage, 0.0, cached=True)
    assert [spent.cached for spent in at.money.spent] == [False, True]


async def test_a_kept_answer_streams_in_pieces_cut_behind_words(at: Bench) -> None:
    request = await at.request(model="ollama/mock-ttft0-itl0-len400")
    whole = await at.deltas(request)
    again = await at.deltas(await at.request(model="ollama/mock-ttft0-itl0-len400"))
    pieces = [delta.text for delta in again if isinstance(delta, TextDelta)]
    assert "".join(pieces) == said(whole)
    assert len(pieces) > 10
    assert all(100 <= len(piece) <= 200 and piece.endswith(" ") for piece in pieces[:-1])
    assert again[-1] == whole[-1]


@pytest.mark.parametrize("question", ["how much  LEAVE", " How much leave?! ", "How\nmuch leave…?".replace("…", "")])
async def test_case_spacing_and_final_punctuation_make_no_other_question(at: Bench, question: str) -> None:
    await at.ask()
    assert (await at.ask(question))[1].cached


HISTORY = (Message("user", "Who pays?"), Message("assistant", "The company [1]."))


@pytest.mark.parametrize(
    "other",
    [
        {"question": "How many leave?"},
        {"basis": replace(READERS, access="readers of another kind")},
        {"basis": replace(READERS, corpus="the corpus after a change")},
        {"model": "ollama/mock-ttft0-itl0-len41"},
        {"options": GenerateOptions(temperature=0.5)},
        {"options": GenerateOptions(max_tokens=39)},
        {"history": HISTORY},
        {"citations": (replace(LEAVE, passages=("There are 27 days of leave.",)),)},
        {"citations": (replace(LEAVE, name="Leave p.4"),)},
        {"citations": (replace(LEAVE, number=2),)},
        {"citations": (LEAVE, replace(LEAVE, number=2))},
        {"citations": ()},
    ],
)
async def test_whatever_else_differs_calls_the_model(at: Bench, other: dict[str, Any]) -> None:
    await at.ask()
    assert not (await at.ask(**other))[1].cached
    assert at.calls == 2


async def test_the_conversation_counts_and_is_compared_as_the_question_is(at: Bench) -> None:
    await at.ask(history=HISTORY)
    shouted = (Message("user", "WHO PAYS"), HISTORY[1])
    assert (await at.ask(history=shouted))[1].cached
    assert not (await at.ask(history=(HISTORY[0], Message("assistant", "Nobody."))))[1].cached


async def test_an_operators_words_around_the_prompt_count_to_the_letter(at: Bench) -> None:
    plain = await at.request()
    system, prompt = plain.messages
    await at.deltas(plain)
    for changed in (
        (replace(system, content=system.content + " Be brief."), prompt),
        (system, replace(prompt, content=prompt.content + "\nAnswer in French.")),
        (system, replace(prompt, content="Answer in French.\n" + prompt.content)),
        (system, prompt, Message("user", "Go on.")),
        (prompt,),
    ):
        before = at.calls
        await at.deltas(await at.request(messages=changed))
        assert at.calls == before + 1


async def test_a_call_without_a_retrieval_of_its_turn_goes_past(at: Bench) -> None:
    for _ in range(2):
        assert not (await at.ask(basis=None))[1].cached
    assert at.calls == 2
    nameless = replace(await at.request(), request_id="")
    await at.deltas(nameless)
    await at.deltas(nameless)
    assert at.calls == 4
    assert (at.answers.hits, at.answers.misses) == (0, 0)


async def test_an_answer_is_kept_for_its_time_only() -> None:
    async with bench(ttl_s=0.05) as at:
        await at.ask()
        await asyncio.sleep(0.1)
        assert not (await at.ask())[1].cached


async def test_asked_for_anew_the_model_answers_and_its_answer_is_kept(at: Bench) -> None:
    await at.ask()
    _, fresh = await at.ask(fresh=True)
    assert not fresh.cached
    assert at.calls == 2
    _, again = await at.ask()
    assert again.cached
    assert again.usage == fresh.usage


async def test_without_a_place_to_keep_them_calls_are_shared_all_the_same() -> None:
    async with bench(keeps=False) as at:
        await asyncio.gather(*(at.ask(model=SLOW) for _ in range(5)))
        assert at.calls == 1
        assert not (await at.ask(model=SLOW))[1].cached


# --- what is not kept -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("ollama/mock-say0-I-could-not-find-this-in-your-documents.", "a refusal"),
        ("ollama/mock-say0-Das-steht-nicht-in-Ihren-Unterlagen.", "a refusal in another language"),
        ("ollama/mock-say0-It-is-so-[7].", "it cites what is not there"),
        ("ollama/mock-say0-It-is-so-[0].", "it cites nothing"),
    ],
)
async def test_an_answer_that_cites_no_passage_is_not_kept(at: Bench, model: str, why: str) -> None:
    await at.ask(model=model)
    assert not (await at.ask(model=model))[1].cached, why
    assert at.calls == 2


@pytest.mark.parametrize("mark", ["[1]", "[1,-7]", "【1】", "[0–3]", "[^1]"])
async def test_every_form_of_a_citation_counts(at: Bench, mark: str) -> None:
    model = f"ollama/mock-say0-It-is-so-{mark}."
    await at.ask(model=model)
    assert (await at.ask(model=model))[1].cached


async def test_an_answer_cut_off_by_its_length_is_not_kept(at: Bench) -> None:
    for _ in range(2):
        text, call = await at.ask(options=GenerateOptions(max_tokens=10))
        assert "[1]" in text
        assert not call.cached


async def test_quotes_are_shared_and_not_kept(at: Bench) -> None:
    calls = [call for _, call in await asyncio.gather(*(at.ask(model="extractive/quotes") for _ in range(5)))]
    assert sorted(call.cached for call in calls) == [False, True, True, True, True]
    assert not (await at.ask(model="extractive/quotes"))[1].cached


async def test_the_answer_of_a_fallback_is_shared_and_not_kept() -> None:
    async with bench(url="http://127.0.0.1:9", fallback=("extractive/quotes",)) as at:
        calls = [call for _, call in await asyncio.gather(*(at.ask() for _ in range(3)))]
        assert {call.model for call in calls} == {"extractive/quotes"}
        assert all(call.fallback for call in calls)
        assert not (await at.ask())[1].cached


async def test_a_very_long_answer_is_not_kept(at: Bench) -> None:
    model = "ollama/mock-ttft0-itl0-len9000"
    text, _ = await at.ask(model=model)
    assert len(text) > 64 * 1024
    assert not (await at.ask(model=model))[1].cached


async def test_what_cannot_be_read_is_a_miss(at: Bench) -> None:
    class Garbled(type(at.cache)):  # type: ignore[misc]  # whatever the bench keeps things in
        garbage = b""

        async def get(self, key: str) -> bytes | None:
            return self.garbage if key.startswith("answer:") else await super().get(key)

    garbled = Garbled(10**6)
    async with bench(cache=garbled) as other:
        for garbled.garbage in (b"\x80\x04K\x01.", b"{}", b"[1]", b"not json", b'{"text": 1}', b"\xff" * 1000, b""):
            assert not (await other.ask())[1].cached


# --- at once ----------------------------------------------------------------------------------------------------------


async def test_a_hundred_at_once_make_one_call_and_get_a_hundred_whole_answers(at: Bench) -> None:
    requests = [await at.request(model=SLOW) for _ in range(100)]
    answers = await asyncio.gather(*map(at.deltas, requests))
    assert at.calls == 1
    assert {said(answer) for answer in answers} == {said(answers[0])}
    assert all(isinstance(answer[-1], Finish) and answer[-1].usage for answer in answers)
    calls = [await at.router.calls.get(request.request_id) for request in requests]
    assert sum(call.cached for call in calls if call) == 99
    assert sum(call.cost_usd or 0 for call in calls if call) == calls[0].cost_usd if calls[0] else False
    assert sorted(spent.cached for spent in at.money.spent) == [False] + [True] * 99
    assert (at.answers.misses, at.answers.shared, at.answers.active) == (1, 99, 0)


async def test_they_get_the_text_as_it_comes_and_who_comes_later_gets_what_was_said(at: Bench) -> None:
    first = asyncio.create_task(at.deltas(await at.request(model=SLOW)))
    await asyncio.sleep(0.12)
    later = await at.request(model=SLOW)
    seen: list[int] = []
    async with aclosing(at.answers.stream(later)) as deltas:
        async for delta in deltas:
            seen.append(len(delta.text) if isinstance(delta, TextDelta) else -1)
            assert at.server.stats.completed == 0 or len(seen) > 5, "not only at the end"
    assert seen[0] > 20, "what was there already comes at once"
    assert len(seen) > 8
    assert sum(seen) + 1 == len(said(await first))


async def test_other_readers_and_other_questions_are_not_held_together(at: Bench) -> None:
    others = [Basis(f"readers {number}", "corpus") for number in range(5)]
    await asyncio.gather(*(at.ask(model=SLOW, basis=basis) for basis in others for _ in range(4)))
    assert at.calls == 5


async def test_followers_hold_no_place_in_line() -> None:
    async with bench(parallel=1, queue=0) as at:
        answers = await asyncio.gather(*(at.ask(model=SLOW) for _ in range(20)))
    assert len({text for text, _ in answers}) == 1


async def test_a_slow_reader_holds_up_nobody(at: Bench) -> None:
    async with aclosing(at.answers.stream(await at.request(model=SLOW))) as slow:
        await anext(slow)
        quick = await at.deltas(await at.request(model=SLOW))
        assert isinstance(quick[-1], Finish)
        rest = [delta async for delta in slow]
    assert len(rest) == 2
    assert said(quick).endswith(said(rest))


async def test_asked_for_anew_it_follows_nobody_and_nobody_follows_it(at: Bench) -> None:
    anew = [await at.request(model=SLOW, fresh=True) for _ in range(2)]
    plain = [await at.request(model=SLOW) for _ in range(2)]
    await asyncio.gather(*map(at.deltas, [anew[0], *plain, anew[1]]))
    assert at.calls == 3


async def _begun(at: Bench, count: int) -> list[asyncio.Task[Any]]:
    tasks = []
    for _ in range(count):
        tasks.append(asyncio.create_task(at.deltas(await at.request(model=SLOW))))
    while not at.server.stats.active:  # noqa: ASYNC110  the server tells nobody
        await asyncio.sleep(0.005)
    return tasks


async def test_when_the_first_leaves_the_others_get_their_answer(at: Bench) -> None:
    first, *others = await _begun(at, 3)
    first.cancel()
    answers = await asyncio.gather(*others)
    assert all(isinstance(answer[-1], Finish) for answer in answers)
    assert (at.calls, at.server.stats.cancelled) == (1, 0)
    assert (await at.ask(model=SLOW))[1].cached


async def test_when_the_last_leaves_the_call_ends_at_once_and_who_asks_then_begins_anew(at: Bench) -> None:
    tasks = await _begun(at, 3)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    again = asyncio.create_task(at.ask(model=SLOW))
    async with asyncio.timeout(1):
        while at.server.stats.cancelled < 1:  # noqa: ASYNC110  the server tells nobody
            await asyncio.sleep(0.005)
    assert not (await again)[1].cached
    assert at.calls == 2
    assert at.answers.active == 0
    assert not at.answers._shared


# --- failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["err", "busy", "fail0", "fail5", "err5", "hang5", "hang0"])
async def test_a_failure_is_everyones_and_is_not_kept(at: Bench, fault: str) -> None:
    model = f"ollama/mock-ttft20-itl0-len40-{fault}"
    requests = [await at.request(model=model) for _ in range(4)]
    failures = await asyncio.gather(*map(at.deltas, requests), return_exceptions=True)
    assert len({(type(failure), str(failure)) for failure in failures}) == 1
    assert all(isinstance(failure, RaglineError) for failure in failures)
    assert len({id(failure) for failure in failures}) == 4, "each has an error of his own"
    for request, failure in zip(requests[1:], failures[1:], strict=True):
        call = await at.router.calls.get(request.request_id)
        assert call is not None
        assert call.error is failure
    before = at.calls
    with pytest.raises(RaglineError):
        await at.deltas(await at.request(model=model))
    assert at.calls >= before, "nothing was kept"
    assert not at.answers._shared


async def test_what_was_said_before_a_failure_comes_to_everyone(at: Bench) -> None:
    async def heard() -> str:
        text = ""
        with pytest.raises(ModelFailed):
            async with aclosing(
                at.answers.stream(await at.request(model="ollama/mock-ttft20-itl5-len40-fail5"))
            ) as deltas:
                async for delta in deltas:
                    text += said([delta])
        return text

    assert set(await asyncio.gather(*(heard() for _ in range(5)))) == {"According to the documents [1]"}


async def test_an_unknown_model_is_said_as_the_router_says_it(at: Bench) -> None:
    with pytest.raises(UnknownModel, match="nobody"):
        await at.ask(model="nobody/x")


async def test_who_waited_for_a_reader_without_money_asks_for_himself(at: Bench) -> None:
    at.money.poor = {"berta"}
    requests = [await at.request(model=SLOW) for _ in range(6)]
    requests[:2] = [replace(request, user_id="berta") for request in requests[:2]]
    answers = await asyncio.gather(*map(at.deltas, requests), return_exceptions=True)
    assert [isinstance(answer, BudgetSpent) for answer in answers] == [True, True] + [False] * 4
    assert at.calls == 1
