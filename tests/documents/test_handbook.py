"""The sample handbook is what its sources say, and every golden question can be answered from it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import docx
import pypdfium2
import pytest
from make_handbook import HERE, PASSWORD, stale_files

HANDBOOK = HERE / "handbook"
QUESTIONS: list[dict[str, Any]] = json.loads((HERE / "questions.json").read_text(encoding="utf-8"))
ANSWERABLE = [question for question in QUESTIONS if question["kind"] != "unanswerable"]
OUTDATED = [question for question in QUESTIONS if "older_document" in question]
IN_A_ROW = [question for question in QUESTIONS if "row" in question]
UNANSWERABLE = [question for question in QUESTIONS if question["kind"] == "unanswerable"]
ROW_LENGTH = 110
"""Characters from a row's first word in which its cells must come."""
CANARY = "copper lanterns over slack water"


def test_generated_files_are_what_the_sources_say() -> None:
    assert list(stale_files()) == []


def test_question_ids_are_unique() -> None:
    assert len({question["id"] for question in QUESTIONS}) == len(QUESTIONS)


@pytest.mark.parametrize("question", ANSWERABLE, ids=lambda question: question["id"])
def test_the_fact_stands_on_the_page(question: dict[str, Any]) -> None:
    assert _stands(question["fact"], _text(question["document"], question["page"]))


@pytest.mark.parametrize("question", IN_A_ROW, ids=lambda question: question["id"])
def test_the_fact_stands_in_its_row(question: dict[str, Any]) -> None:
    text = _text(question["document"], question["page"])
    rows = [text[found.start() :][:ROW_LENGTH] for found in re.finditer(re.escape(question["row"]), text)]
    assert any(_stands(question["fact"], row) for row in rows)


@pytest.mark.parametrize("question", OUTDATED, ids=lambda question: question["id"])
def test_the_older_document_contradicts_the_newer_one(question: dict[str, Any]) -> None:
    assert _stands(question["older_fact"], _text(question["older_document"], question["older_page"]))
    assert not _stands(question["older_fact"], question["fact"])


@pytest.mark.parametrize("question", UNANSWERABLE, ids=lambda question: question["id"])
def test_an_unanswerable_question_has_a_near_miss(question: dict[str, Any]) -> None:
    assert (HANDBOOK / question["near"]).is_file()
    assert question["document"] is question["page"] is question["fact"] is None


def test_a_page_is_named_exactly_where_the_format_has_pages() -> None:
    for question in ANSWERABLE:
        assert (question["page"] is not None) == question["document"].endswith(".pdf"), question["id"]


def test_the_canary_stands_in_the_restricted_folder_only() -> None:
    documents = (path for path in HANDBOOK.rglob("*") if path.is_file())
    holders = [name for path in documents if CANARY in _text(name := path.relative_to(HANDBOOK).as_posix(), None)]
    assert holders == ["people-team/salary-bands.docx"]


def test_the_encrypted_document_opens_with_its_password_only() -> None:
    path = HERE / "broken" / "encrypted.pdf"
    with pytest.raises(pypdfium2.PdfiumError):
        pypdfium2.PdfDocument(path)
    with pypdfium2.PdfDocument(path, password=PASSWORD) as document:
        assert len(document) == 1


def _stands(fact: str, text: str) -> bool:
    """Whether the text has the fact as whole words: "30" does not stand in "1,300"."""
    return re.search(rf"(?<![\w.,]){re.escape(fact)}(?!\w|[.,]\d)", text) is not None


def _text(name: str, page: int | None) -> str:
    path = HANDBOOK / name
    match path.suffix:
        case ".pdf":
            text = _pdf_text(path, page)
        case ".docx":
            document = docx.Document(str(path))
            cells = (cell.text for table in document.tables for row in table.rows for cell in row.cells)
            text = " ".join([*(paragraph.text for paragraph in document.paragraphs), *cells])
        case ".html":
            text = _HtmlText.of(path.read_text(encoding="utf-8"))
        case _:
            text = path.read_text(encoding="utf-8")
    return " ".join(text.split())


def _pdf_text(path: Path, page: int | None) -> str:
    with pypdfium2.PdfDocument(path) as document:
        pages = range(len(document)) if page is None else [page - 1]
        return " ".join(document[number].get_textpage().get_text_range() for number in pages)


class _HtmlText(HTMLParser):
    @classmethod
    def of(cls, html: str) -> str:
        parser = cls()
        parser.parts = []
        parser.feed(html)
        return " ".join(parser.parts)

    parts: list[str]

    def handle_data(self, data: str) -> None:
        self.parts.append(data)
