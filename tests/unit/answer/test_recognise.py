"""Which documents a question names, among those its reader may read."""

from __future__ import annotations

import uuid

import pytest

from pipelines.answer.recognise import NO_PREFERENCE, Recogniser
from pipelines.domain import EVERYONE, Document, DocumentFacts
from pipelines.stores.catalog import Catalog

OPEN = (EVERYONE,)


def report(company: str, year: int, quarter: int, *, access: tuple[str, ...] = OPEN) -> Document:
    name = f"{company.split()[0].lower()}-{quarter}-{year}.pdf"
    facts = DocumentFacts((company,), ("10q",), (f"{year}-Q{quarter}", f"{year}"), f"{year}-0{3 * quarter}-30")
    return Document(str(uuid.uuid5(uuid.NAMESPACE_URL, name)), "Form 10-Q", name, "", "h", 1, access, facts)


REPORTS = [
    report(company, year, quarter)
    for company in ("Nordwind Energie AG", "Bluefin Robotics, Inc.", "Alto Mare S.p.A.")
    for year in (2022, 2023)
    for quarter in (1, 2, 3)
]


def named(question: str, documents: list[Document] = REPORTS, scopes: tuple[str, ...] = OPEN) -> set[str]:
    names = {document.id: document.name for document in documents}
    return {names[id_] for id_ in Recogniser().recognise(question, Catalog(documents), scopes).documents}


def test_an_organisation_and_a_quarter_name_one_report() -> None:
    assert named("What was Bluefin's revenue in Q2 2023?") == {"bluefin-2-2023.pdf"}
    assert named("Wie hoch war der Umsatz von Nordwind im dritten Quartal 2022?") == {"nordwind-3-2022.pdf"}


def test_an_organisation_alone_names_all_its_reports() -> None:
    assert len(named("How has the revenue of Alto Mare changed?")) == 6


def test_two_organisations_name_the_reports_of_both() -> None:
    assert named("Compare Nordwind and Bluefin in Q1 2022") == {"nordwind-1-2022.pdf", "bluefin-1-2022.pdf"}


def test_the_latest_is_the_newest_of_those_named() -> None:
    assert named("What does Nordwind's latest report say about risks?") == {"nordwind-3-2023.pdf"}


def test_what_has_changed_over_time_is_asked_of_all() -> None:
    assert len(named("How does Nordwind's latest quarter compare to previous quarters?")) == 6


def test_a_quarter_that_no_report_has_falls_back_to_its_year() -> None:
    assert named("Bluefin's revenue in Q4 2023?") == {f"bluefin-{quarter}-2023.pdf" for quarter in (1, 2, 3)}


def test_the_latest_is_the_latest_that_the_reader_may_read() -> None:
    closed = report("Nordwind Energie AG", 2024, 1, access=("group:board",))
    assert named("Nordwind's latest report?", [*REPORTS, closed]) == {"nordwind-3-2023.pdf"}
    assert named("Nordwind's latest report?", [*REPORTS, closed], (EVERYONE, "group:board")) == {"nordwind-1-2024.pdf"}


def test_documents_one_may_not_read_change_nothing() -> None:
    closed = [report(f"Nordwind {n} AG", 2021, 1, access=("group:board",)) for n in range(50)]
    question = "What was Nordwind's revenue in Q1 2022?"
    assert named(question, [*REPORTS, *closed]) == named(question)


def test_ones_own_name_in_every_document_tells_none_apart() -> None:
    documents = [
        Document(str(n), title, f"{n}.md", "", "h", 1, OPEN, DocumentFacts(names=("Halm AB",) if n % 2 else ()))
        for n, title in enumerate(("Annual leave", "Remote work", "Training budget", "Site list"))
    ]
    assert named("What does Halm pay for training?", documents) == set()


@pytest.mark.parametrize("question", ["What is our notice period?", "", "?!", "2022", "the report of the company"])
def test_a_question_that_names_no_document_prefers_none(question: str) -> None:
    assert Recogniser().recognise(question, Catalog(REPORTS), OPEN) == NO_PREFERENCE


def test_the_kind_of_document_asked_for_is_preferred() -> None:
    contract, invoice = (
        Document(kind, kind, f"{kind}.pdf", "", "h", 1, OPEN, DocumentFacts(("Acme Ltd",), (kind,)))
        for kind in ("contract", "invoice")
    )
    unknown = Document("scan", "Scan", "scan.pdf", "", "h", 1, OPEN, DocumentFacts(("Acme Ltd",)))
    found = named("Which notice period is in Acme's contract?", [*REPORTS, contract, invoice, unknown])
    assert found == {"contract.pdf", "scan.pdf"}


def test_a_title_that_is_said_whole_names_its_document() -> None:
    titles = ("Remote work", "Quality manual", "Leave", "Site list", "Company cars")
    documents = [Document(title, title, f"{title}.md", "", "h", 1) for title in titles]
    assert named("What does the quality manual say about burn-in?", documents) == {"Quality manual.md"}
    assert named("How many people work at the site?", documents) == set()
    assert named("When may I leave?", documents) == set()


def test_an_edition_asked_for_by_its_year_is_preferred() -> None:
    editions = [
        Document(year, "Travel policy", f"travel-{year}.pdf", "", "h", 1, OPEN, DocumentFacts(periods=(year,)))
        for year in ("2024", "2026")
    ]
    others = [Document(name, name, f"{name}.md", "", "h", 1) for name in ("Leave", "Cars", "Badges")]
    assert named("What did the travel policy of 2024 allow?", [*editions, *others]) == {"travel-2024.pdf"}


def test_what_is_asked_of_the_documents_is_left_without_their_names() -> None:
    found = Recogniser().recognise("What was Bluefin's gross margin in Q2 2023?", Catalog(REPORTS), OPEN)
    assert found.focus == "What was gross margin in"


def test_changes_of_the_catalog_are_seen_at_once() -> None:
    recogniser, catalog = Recogniser(), Catalog(REPORTS)
    question = "Nordwind in Q1 2025?"
    before = recogniser.recognise(question, catalog, OPEN).documents
    new = report("Nordwind Energie AG", 2025, 1)
    catalog.put(new)
    assert recogniser.recognise(question, catalog, OPEN).documents == (new.id,)
    catalog.set_access(new.id, ("group:board",))
    assert recogniser.recognise(question, catalog, OPEN).documents == before
    catalog.set_access(new.id, OPEN)
    catalog.remove(new.id)
    assert recogniser.recognise(question, catalog, OPEN).documents == before
