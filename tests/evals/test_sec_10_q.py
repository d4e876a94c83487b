"""The mapping of sec-10-q to pages, on some of its questions and on pages made for the purpose."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.evaluate.read_questions import read_questions
from tests.evals.evidence import find_evidence, page_text
from tests.evals.sec_10_q import MappedQuestion, map_questions

DATA_SET = Path(__file__).parents[3] / "shared" / "eval" / "sec-10-q"

SEGMENTS = (
    "In Amazon's latest 10-Q, how does the revenue distribution across its diverse business segments like e-commerce, "
    "AWS, and others compare to the costs incurred in these segments?"
)
CASH_FLOW = "What was Apple's cash flow from operating activities as reported in the Q3 2022 10-Q?"
BUYBACKS = (
    "Did Apple report any share repurchase activities in its Q3 2023 10-Q, and if so, what was the scale of these "
    "buybacks?"
)
UNSAID = "In the latest 10-Q, how did foreign exchange rates affect Amazon's financials?"


@pytest.fixture(scope="module")
def mapped() -> dict[str, MappedQuestion]:
    wanted = (SEGMENTS, CASH_FLOW, BUYBACKS, UNSAID)
    found = {question.text: question for question in map_questions(DATA_SET, only=wanted)}
    assert set(found) == set(wanted)
    return found


def pages(question: MappedQuestion) -> list[tuple[str, int]]:
    return [(each.document, each.page) for each in question.found]


def test_many_figures_of_one_table_lead_to_its_page(mapped: dict[str, MappedQuestion]) -> None:
    assert pages(mapped[SEGMENTS]) == [("2023 Q3 AMZN.pdf", 19)]
    assert (mapped[SEGMENTS].kind, mapped[SEGMENTS].evidence) == ("multi-chunk", "table")


def test_one_figure_leads_to_the_statement_that_has_it(mapped: dict[str, MappedQuestion]) -> None:
    assert pages(mapped[CASH_FLOW]) == [("2022 Q3 AAPL.pdf", 8)]


def test_figures_that_stand_on_several_pages_lead_to_all_of_them(mapped: dict[str, MappedQuestion]) -> None:
    assert pages(mapped[BUYBACKS]) == [("2023 Q3 AAPL.pdf", page) for page in (14, 18, 24)]


def test_an_answer_that_says_nothing_leads_to_no_page(mapped: dict[str, MappedQuestion]) -> None:
    assert pages(mapped[UNSAID]) == []
    assert mapped[UNSAID].documents == ("2023 Q3 AMZN.pdf",)


def test_what_is_mapped_is_a_questions_file(mapped: dict[str, MappedQuestion], tmp_path: Path) -> None:
    file = tmp_path / "questions.json"
    file.write_text(json.dumps([question.row() for question in mapped.values()]))
    read = {question.text: question for question in read_questions(file).questions}
    assert {place.page for place in read[BUYBACKS].right} == {None, 14, 18, 24}
    assert [place.page for place in read[UNSAID].right] == [None]


BLANK = [page_text("nothing of that kind stands here") for _ in range(20)]


@pytest.mark.parametrize(
    ("answer", "page"),
    [
        ("Total sales were $82,959 million.", "Total net sales $ 82,959 $ 81,434"),
        ("Total sales were $82.959 billion.", "Total net sales $ 82,959 $ 81,434"),
        ("Sales and margin were $4.2 billion and $3.1 billion.", "sales and margin of $4.2 billion and $3.1 billion"),
        ("The effective tax rate was 16.5 percent.", "Effective tax rate 16.5 % 24.1 %"),
        ("It repurchased 102,673,000 shares.", "Total 102,673 shares, in thousands"),
    ],
)
def test_a_figure_is_found_as_a_page_may_write_it(answer: str, page: str) -> None:
    (found,) = find_evidence("What were sales, margin and tax rate?", answer, "a.pdf", [*BLANK, page_text(page)])
    assert (found.document, found.page) == ("a.pdf", 21)


@pytest.mark.parametrize(
    ("answer", "page"),
    [
        ("Margin fell to 416 million.", "page 416 of the annual report"),
        ("Sales grew by 5% in 2022.", "Sales 2022 of 5 regions"),
        ("Sales were about $83 billion.", "Total net sales $ 82,959"),
        (
            "For the quarterly period ended July 1, 2023, nothing is said.",
            "for the quarterly period ended July 1, 2023",
        ),
        (
            'It is in "Discussion and Analysis of Financial Condition".',
            "Discussion and Analysis of Financial Condition",
        ),
    ],
)
def test_what_may_stand_on_a_page_by_chance_proves_nothing(answer: str, page: str) -> None:
    assert find_evidence("What were sales and margin?", answer, "a.pdf", [*BLANK, page_text(page)]) == []
