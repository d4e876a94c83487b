"""What is searched for when a question leans on the one before it."""

from __future__ import annotations

import pytest

from pipelines.answer.understand import is_follow_up, search_text
from pipelines.domain import Message, Question, User


def ask(*turns: str) -> str:
    history = tuple(Message("user" if n % 2 == 0 else "assistant", turn) for n, turn in enumerate(turns[:-1]))
    return search_text(Question(text=turns[-1], user=User("u"), history=history))


def test_a_question_that_stands_alone_is_searched_as_it_is() -> None:
    assert ask("How many days of leave do I have?", "30.", "What does the hotel in Paris cost?") == (
        "What does the hotel in Paris cost?"
    )


def test_a_follow_up_brings_the_question_it_follows() -> None:
    assert ask("What is the hotel limit in Berlin?", "150 EUR.", "And in Lisbon?") == (
        "What is the hotel limit in Berlin?\nAnd in Lisbon?"
    )


def test_a_chain_of_follow_ups_goes_back_to_where_the_topic_began() -> None:
    text = ask("What is the hotel limit in Berlin?", "150.", "And in Lisbon?", "130.", "and Oslo?")
    assert text.startswith("What is the hotel limit in Berlin?")
    assert text.endswith("and Oslo?")


def test_the_first_question_needs_no_history() -> None:
    assert ask("And in Lisbon?") == "And in Lisbon?"


@pytest.mark.parametrize(
    "text", ["And in Lisbon?", "why?", "What about contractors?", "Does it apply abroad?", "Und in Kiel?"]
)
def test_fragments_cues_and_pointers_are_follow_ups(text: str) -> None:
    assert is_follow_up(text)


@pytest.mark.parametrize("text", ["How is overtime at the weekend paid?", "Welche Fristen gelten für Urlaubsanträge?"])
def test_whole_questions_are_not(text: str) -> None:
    assert not is_follow_up(text)
