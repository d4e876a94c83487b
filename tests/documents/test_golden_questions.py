"""Every golden question of both sample sets can be answered from its document, or from none."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from document_text import stands, text_of
from make_handbook import HERE

Golden = tuple[Path, dict[str, Any]]

SETS = {"handbook": "questions.json", "clinic": "clinic-questions.json"}
GOLDEN: list[Golden] = [
    (HERE / folder, question)
    for folder, name in SETS.items()
    for question in json.loads((HERE / name).read_text(encoding="utf-8"))
]
ANSWERABLE = [(folder, question) for folder, question in GOLDEN if question["kind"] != "unanswerable"]
UNANSWERABLE = [(folder, question) for folder, question in GOLDEN if question["kind"] == "unanswerable"]
OUTDATED = [(folder, question) for folder, question in GOLDEN if "older_document" in question]
IN_A_ROW = [(folder, question) for folder, question in GOLDEN if "row" in question]
ROW_LENGTH = 110
"""Characters from a row's first word in which its cells must come."""


def _id(value: Path | dict[str, Any]) -> str:
    return value.name if isinstance(value, Path) else str(value["id"])


@pytest.mark.parametrize("folder", SETS)
def test_question_ids_are_unique(folder: str) -> None:
    ids = [question["id"] for place, question in GOLDEN if place.name == folder]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(("folder", "question"), ANSWERABLE, ids=_id)
def test_the_fact_stands_on_the_page(folder: Path, question: dict[str, Any]) -> None:
    assert stands(question["fact"], text_of(folder / question["document"], question["page"]))


@pytest.mark.parametrize(("folder", "question"), IN_A_ROW, ids=_id)
def test_the_fact_stands_in_its_row(folder: Path, question: dict[str, Any]) -> None:
    text = text_of(folder / question["document"], question["page"])
    rows = [text[found.start() :][:ROW_LENGTH] for found in re.finditer(re.escape(question["row"]), text)]
    assert any(stands(question["fact"], row) for row in rows)


@pytest.mark.parametrize(("folder", "question"), OUTDATED, ids=_id)
def test_the_older_document_contradicts_the_newer_one(folder: Path, question: dict[str, Any]) -> None:
    assert stands(question["older_fact"], text_of(folder / question["older_document"], question["older_page"]))
    assert not stands(question["older_fact"], question["fact"])


@pytest.mark.parametrize(("folder", "question"), UNANSWERABLE, ids=_id)
def test_an_unanswerable_question_has_a_near_miss(folder: Path, question: dict[str, Any]) -> None:
    assert (folder / question["near"]).is_file()
    assert question["document"] is question["page"] is question["fact"] is None


@pytest.mark.parametrize(("folder", "question"), ANSWERABLE, ids=_id)
def test_a_page_is_named_exactly_where_the_format_has_pages(folder: Path, question: dict[str, Any]) -> None:
    del folder
    assert (question["page"] is not None) == question["document"].endswith(".pdf")
