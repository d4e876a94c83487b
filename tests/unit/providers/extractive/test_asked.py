"""What makes a quote an answer: names, the thing asked for, and the kind of answer."""

from __future__ import annotations

import pytest

from pipelines.answer.prompt import ParsedPrompt, PromptPassage
from pipelines.domain import Message
from pipelines.providers.extractive.answer_kind import asks_for_figure, figures, has_kind
from pipelines.providers.extractive.asked import Asked, Candidate
from pipelines.providers.extractive.quotes import quotes_of

FERRY = """\
# Fares
All fares are for one way.
Route | Adult | Crossing
Norholm | 14 EUR | 50 minutes
Vestby | 9 EUR | 35 minutes

# Bicycles
A bicycle travels for 3 EUR. It is put on the lower deck.
The purser may refuse cargo bicycles.

# Lost property
Found things are kept at the office in Vestby until the end of the season."""


def fitting(question: str, *history: str, text: str = FERRY) -> list[str]:
    """The quotes that may answer, in their order."""
    passages = (PromptPassage(1, "ferry.md", None, text),)
    turns = tuple(Message("user", turn) for turn in history)
    prompt = ParsedPrompt(passages, question, turns)
    candidates = Candidate.of(quotes_of(passages))
    asked = Asked.read(prompt, candidates)
    meant = [each for each in asked.meant(candidates) if asked.has_answer(each)]
    return [each.quote.text for each in meant if asked.cover(each) >= 0.34]


@pytest.mark.parametrize(
    ("question", "quote"),
    [
        ("What is the fare to Vestby for an adult?", "Route: Vestby; Adult: 9 EUR; Crossing: 35 minutes"),
        ("How long is the crossing to Norholm?", "Route: Norholm; Adult: 14 EUR; Crossing: 50 minutes"),
        ("What does a bicycle cost?", "A bicycle travels for 3 EUR."),
        ("Who may refuse a cargo bicycle?", "The purser may refuse cargo bicycles."),
        ("Where are found things kept in Vestby?", FERRY.splitlines()[-1]),
    ],
)
def test_a_quote_with_what_is_asked_for_fits(question: str, quote: str) -> None:
    assert quote in fitting(question)


@pytest.mark.parametrize(
    "question",
    [
        "What is the fare to Ostby for an adult?",  # another place
        "What was the fare to Vestby in 2019?",  # another time
        "What is the draught of the ferry to Vestby?",  # another property
        "Who is the purser?",  # a role, and no name
        "Which ferry goes to Vestby?",  # the row has figures, and no ferry
        "When may the purser refuse a bicycle?",  # no time
        "How much does a lost property claim cost?",  # no amount
    ],
)
def test_a_near_miss_does_not_fit(question: str) -> None:
    assert fitting(question) == []


def test_the_thing_asked_for_may_stand_beside_a_table_but_not_beside_a_sentence() -> None:
    text = "# Vestby\nThe fares are these.\nTicket | Price\nAdult | 9 EUR\n\nDogs pay 2 EUR."
    assert "Ticket: Adult; Price: 9 EUR" in fitting("What is the fare for an adult?", text=text)
    assert "Dogs pay 2 EUR." not in fitting("What is the fare for dogs?", text=text)


def test_a_follow_up_puts_its_words_in_the_place_of_earlier_names() -> None:
    assert fitting("And to Norholm?", "What is the fare to Vestby for an adult?") == [
        "Route: Norholm; Adult: 14 EUR; Crossing: 50 minutes"
    ]


def test_other_rows_and_longer_passages_change_nothing() -> None:
    longer = f"{FERRY}\n\n# Ostby\nThe harbour of Ostby is closed in winter."
    assert fitting("What is the fare to Ostby for an adult?", text=longer) == []


def test_german_nouns_are_no_names_and_compounds_are_found_by_their_parts() -> None:
    text = "# Zuschläge\nWann | Zuschlag\nSonntag | 60 %\nNacht | 25 %"
    assert "Wann: Sonntag; Zuschlag: 60 %" in fitting("Wie hoch ist der Zuschlag für Sonntagsarbeit?", text=text)


@pytest.mark.parametrize(
    ("question", "text", "answered"),
    [
        ("How many seats are there?", "There are 40 seats.", True),
        ("How many seats are there?", "There are forty seats.", True),
        ("How many seats are there?", "There are seats.", False),
        ("When does it lapse?", "It lapses if the seal is broken.", True),
        ("When does it open?", "It opens the door.", False),
        ("What does it cost?", "It costs 3 EUR.", True),
        ("What does it cost?", "It weighs 3 kg.", False),
        ("Wann ist geöffnet?", "Geöffnet ist montags.", True),
        ("May I smoke?", "Smoking is forbidden.", True),
    ],
)
def test_an_answer_has_the_kind_that_is_asked_for(question: str, text: str, answered: bool) -> None:
    (quote,) = quotes_of([PromptPassage(1, "notes.md", None, text)])
    assert has_kind(question, quote) is answered


def test_a_question_for_a_limit_asks_for_a_figure_too() -> None:
    assert asks_for_figure("What is the limit?")
    assert not asks_for_figure("May I smoke?")


def test_numbers_are_figures_written_out_or_not() -> None:
    assert figures("Twice in 1,800 days, at 7:30") == {"twice", "1,800", "7:30"}
