"""What a document is about, as its title, its file name and its first page say it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipelines.domain import Block, Document, ParsedDocument
from pipelines.ingest.describe import about, describe_document

DOCUMENT = Document("1", "", "", "application/pdf", "h", 1)


def described(name: str, *lines: str, title: str = "") -> Document:
    document = replace(DOCUMENT, origin=f"file:///documents/{name}", title=title or name.rpartition(".")[0])
    return describe_document(document, ParsedDocument(tuple(Block(line) for line in lines)))


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("NORDWIND ENERGIE AG", "Nordwind Energie AG"),
        ("Bluefin Robotics, Inc.", "Bluefin Robotics, Inc."),
        ("## Hafen & Söhne GmbH", "Hafen & Söhne GmbH"),
        ("Alto Mare S.p.A.", "Alto Mare S.p.A."),
    ],
)
def test_an_organisation_alone_on_its_line_is_whose_document_it_is(line: str, name: str) -> None:
    facts = described("report.pdf", "Listed on The Stock Market LLC, with notes", line).facts
    assert facts.names[0] == name


def test_the_period_that_ended_dates_a_document_and_its_file_name_names_the_quarter() -> None:
    facts = described("2023 Q3 ACME.pdf", "For the quarterly period ended July 1, 2023", "As of August 3, 2023").facts
    assert facts.dated == "2023-07-01"
    assert facts.periods[:2] == ("2023-Q3", "2023")
    assert "2023-Q2" not in facts.periods


def test_without_a_quarter_in_its_name_the_day_tells_it_and_a_week_calendar_is_understood() -> None:
    facts = described("report.pdf", "Quarter ended October 1, 2022").facts
    assert {"2022-10-01", "2022-09", "2022-Q3", "2022"} <= set(facts.periods)
    assert "2022-Q4" not in facts.periods


def test_times_long_before_the_newest_are_not_what_it_is_about() -> None:
    facts = described("filing.pdf", "Report under the act dated 1934", "Year ended 31 December 2025").facts
    assert not [period for period in facts.periods if period.startswith("1934")]


def test_the_edition_in_a_file_name_dates_a_document() -> None:
    old, new = (described(f"travel-policy-{year}.pdf", title="Travel policy") for year in (2024, 2026))
    assert old.facts.dated < new.facts.dated
    assert (about(old), about(new)) == ("2024", "2026")


def test_what_its_title_says_is_not_said_again() -> None:
    assert about(described("annual-leave.md", title="Annual leave")) == ""
    assert about(described("2023 Q3 ACME.pdf", "Acme Inc.")) == "Acme Inc."
    assert about(described("2023 Q3 ACME.pdf", "Acme Inc.", title="Form 10-Q")) == "Acme Inc., 2023 Q3 ACME"


def test_the_kind_of_a_document_is_what_it_calls_itself() -> None:
    assert described("x.pdf", "FORM 10-Q").facts.kinds == ("10q",)
    assert described("preise.pdf", "Preisliste 2026").facts.kinds == ("preisliste",)


@pytest.mark.parametrize("lines", [(), ("",), ("x" * 100_000,), ("A " * 50_000,), ("\x00\ud800",), ("2023 " * 20_000,)])
def test_any_beginning_is_read_in_bounded_time(lines: tuple[str, ...]) -> None:
    described("x.txt", *lines)
