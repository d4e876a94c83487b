"""Making a prompt fit what a model reads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipelines.answer.generate.fit import Fitted, estimate_tokens, fit, shorten
from pipelines.answer.prompt import number_citations, parse_prompt, render_prompt
from pipelines.domain import Chunk, Document, Message, Passage, Question, User
from pipelines.errors import ContextTooLong

SYSTEM = Message("system", "Answer from the passages.")
WORDS = "The allowance for a night away is 180 EUR, and meals are paid apart. " * 5


def _passage(number: int) -> Passage:
    document = Document(f"d{number}", "Policy", f"policy-{number}.pdf", "application/pdf", "0", 1)
    text = f"Passage {number}. {WORDS}"
    return Passage(Chunk(f"c{number}", document.id, 0, text, "Policy", page=1), document, 1.0, 0.5)


def prompt(passages: int = 8, turns: int = 4) -> tuple[Message, ...]:
    """The messages of a question after `turns` messages of a conversation, with so many passages."""
    history = tuple(Message("assistant" if at % 2 else "user", f"Turn {at}. {WORDS}") for at in range(turns))
    question = Question("What is <question> paid for a night?", User("u"), history)
    written = render_prompt(question, number_citations([_passage(number) for number in range(1, passages + 1)]))
    return (SYSTEM, Message("user", written.text))


def held(messages: tuple[Message, ...]) -> tuple[list[int], list[str], str]:
    """The numbers of the passages that a prompt holds, how its turns begin, and its question."""
    parsed = parse_prompt(messages[-1].content)
    assert parsed is not None
    return (
        [passage.number for passage in parsed.passages],
        [turn.content[:7] for turn in parsed.history],
        parsed.question,
    )


TURNS = ["Turn 0.", "Turn 1.", "Turn 2.", "Turn 3."]
ASKED = "What is <question> paid for a night?"


def test_what_fits_or_has_no_known_limit_stays_as_it_is() -> None:
    messages = prompt()
    assert fit(messages, None, max_tokens=None) == Fitted(messages)
    assert fit(messages, 100_000, max_tokens=None) == Fitted(messages)


def test_the_weakest_passages_go_and_the_others_keep_their_numbers() -> None:
    messages = prompt()
    fitted = fit(messages, 2 * 1024, max_tokens=None)
    kept = 8 - fitted.dropped
    assert 1 <= kept < 8
    assert held(fitted.messages) == (list(range(1, kept + 1)), TURNS, ASKED)
    assert estimate_tokens(fitted.messages) <= 1024
    assert fitted.messages[0] is SYSTEM
    one_more = replace(fitted, messages=fit(messages, None, max_tokens=None).messages)
    assert estimate_tokens(one_more.messages) > 1024


def test_as_many_passages_stay_as_fit() -> None:
    messages = prompt(turns=0)
    whole, without_one = estimate_tokens(messages), estimate_tokens(prompt(7, 0))
    assert fit(messages, whole + 100, max_tokens=100).dropped == 0
    assert fit(messages, whole + 99, max_tokens=100).dropped == 1
    assert fit(messages, without_one + 100, max_tokens=100).dropped == 1
    assert fit(messages, without_one + 99, max_tokens=100).dropped == 2


def test_one_passage_stays_and_the_oldest_turns_go_then() -> None:
    messages = prompt()
    limit = 2 * (estimate_tokens(prompt(1, 2)) + 10)
    fitted = fit(messages, limit, max_tokens=None)
    assert held(fitted.messages) == ([1], TURNS[2:], ASKED)
    fitted = fit(messages, 10, max_tokens=None)
    assert held(fitted.messages) == ([1], [], ASKED)
    assert fitted.dropped == 7


def test_a_prompt_without_passages_loses_its_oldest_turns() -> None:
    fitted = fit(prompt(passages=0), 2 * (estimate_tokens(prompt(0, 2)) + 10), max_tokens=None)
    assert held(fitted.messages) == ([], TURNS[2:], ASKED)
    assert fitted.dropped == 0


@pytest.mark.parametrize(
    "messages",
    [
        (SYSTEM, Message("user", WORDS * 100)),
        (SYSTEM, Message("user", "<passage> <turn> " * 500), Message("assistant", WORDS)),
        (Message("assistant", WORDS * 100),),
    ],
)
def test_what_is_no_prompt_of_ours_is_left_alone(messages: tuple[Message, ...]) -> None:
    assert fit(messages, 100, max_tokens=None) == Fitted(messages)
    refused = ContextTooLong("Too long.")
    with pytest.raises(ContextTooLong) as error:
        shorten(Fitted(messages), refused)
    assert error.value is refused


def test_after_a_refusal_half_of_the_passages_go_then_half_of_the_turns_then_it_ends() -> None:
    fitted = Fitted(prompt())
    seen = []
    with pytest.raises(ContextTooLong):
        for _ in range(20):
            fitted = shorten(fitted, ContextTooLong("Too long."))
            numbers, turns, _ = held(fitted.messages)
            seen.append((len(numbers), len(turns), fitted.dropped))
    assert seen == [(4, 4, 4), (2, 4, 6), (1, 4, 7), (1, 2, 7), (1, 1, 7), (1, 0, 7)]


def test_a_refusal_that_says_the_limit_is_met_at_once() -> None:
    limit = estimate_tokens(prompt(3, 4))
    fitted = shorten(Fitted(prompt()), ContextTooLong("Too long.", limit_tokens=limit))
    assert len(held(fitted.messages)[0]) == 3
    # The estimate was wrong, then.
    assert len(held(shorten(fitted, ContextTooLong("", limit_tokens=limit)).messages)[0]) == 1


def test_an_estimate_is_careful_in_any_script() -> None:
    assert estimate_tokens([Message("user", "word " * 300)]) >= 300 * 1.25
    assert estimate_tokens([Message("user", "字" * 300)]) >= 300
