"""What is searched for when a question leans on the one before it: bounds, and how rules decide.

What is made of whole conversations stands in `dialogues.json`.
"""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.answer.understand import MAX_SEARCHES, SEARCH_CHARACTERS, is_follow_up, search_text, understand
from pipelines.domain import Message, Question, User
from tests.unit.answer.test_dialogues import conversation

LONGEST = 32_000
TRICKY = [
    "? ",
    "and what ",
    "A ",
    "A-",
    "1.",
    "12.12.",
    "- a\n",
    "A's ",
    "Q1 2023 and ",
    "compare Apple and ",
    "it ",
    "\n",
]


def ask(*turns: str) -> str:
    return search_text(conversation(*turns))


def test_a_question_that_stands_alone_is_searched_as_it_is() -> None:
    asked = "What does the hotel in Paris cost?"
    assert ask("How many days of leave do I have?", "30.", asked) == asked


def test_the_first_question_needs_no_history() -> None:
    understood = understand(conversation("And in Lisbon?"))
    assert (understood.texts, understood.needs_model) == (("And in Lisbon?",), False)


def test_a_chain_of_follow_ups_goes_back_to_where_the_topic_began() -> None:
    turns = ["What is the hotel limit in Berlin?", "150.", "And in Lisbon?", "130.", "Who approves it?", "Finance."]
    assert ask(*turns, "and Oslo?").startswith("What is the hotel limit in Oslo?")


def test_what_was_asked_in_between_does_not_pile_up() -> None:
    turns = ["How do I book a pool car?", "In the portal."]
    for _ in range(30):
        turns += ["Who approves it?", "Fleet."]
    assert ask(*turns, "Since when?") == "How do I book a pool car?\nSince when?"


def test_a_history_without_a_question_changes_nothing() -> None:
    history = (Message("system", "Be brief."), Message("assistant", "Hello!"))
    assert understand(Question("And in Lisbon?", User("u"), history)).texts == ("And in Lisbon?",)


@pytest.mark.parametrize(
    "text",
    ["And in Lisbon?", "why?", "What about contractors?", "Does it apply abroad?", "Und in Kiel?", "???", "Is it?"],
)
def test_fragments_cues_and_pointers_are_follow_ups(text: str) -> None:
    assert is_follow_up(text)


@pytest.mark.parametrize(
    "text",
    [
        "How is overtime at the weekend paid?",
        "Welche Fristen gelten für Urlaubsanträge?",
        "Is there a budget for language courses?",
        "What is probation?",
        "Why do we have a works council?",
        "Können Sie mir die Reisekostenregeln nennen?",
        "Gibt es eine Kantine?",
        "What changes this year for trainees?",
        "If a badge is lost, who replaces it?",
    ],
)
def test_whole_questions_are_not(text: str) -> None:
    assert not is_follow_up(text)


def test_of_a_text_that_is_too_long_its_beginning_and_its_end_are_searched() -> None:
    (text,) = understand(conversation(f"Please read this. {'lorem ipsum ' * 9_000}. What is the fee?")).texts
    assert len(text) <= SEARCH_CHARACTERS
    assert text.startswith("Please read this.")
    assert text.endswith("What is the fee?")


def _bounded(question: Question) -> None:
    started = time.thread_time()
    texts = understand(question).texts
    assert time.thread_time() - started < 0.05
    assert 1 <= len(texts) <= MAX_SEARCHES
    assert all(len(text) <= SEARCH_CHARACTERS for text in texts)


@pytest.mark.parametrize("piece", TRICKY)
@pytest.mark.parametrize("last", ["", "And Microsoft's?", "How do I book the second one there?"])
def test_no_text_takes_long(piece: str, last: str) -> None:
    long = (piece * LONGEST)[:LONGEST]
    history = tuple(Message(role, long) for _ in range(10) for role in ("user", "assistant"))
    _bounded(Question(last or long, User("u"), history))
    _bounded(Question(long[:390], User("u"), history))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.text(max_size=300) | st.sampled_from([*TRICKY, "And in Oslo?", "its", "Apple's revenue in Q2 2023"]),
        max_size=8,
    ),
    st.integers(1, 400),
)
def test_any_text_is_understood_in_bounded_time(pieces: list[str], times: int) -> None:
    text = (" ".join(pieces) * times)[:LONGEST]
    _bounded(conversation(text))
    _bounded(conversation(text, text, text))
    _bounded(conversation("What was Apple's revenue in Q2 2023?", text, " ".join(pieces)))
