"""The benchmark of ingestion: the documents it measures with, and when it says that a bar is missed."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pypdfium2
import pytest

from pipelines.ingest.formats import pdf
from tests.bench.ingest_bars import Bar, born_digital, reports, scanned, unchanged
from tests.bench.ingest_results import Line, Look, Many, OneDocument
from tests.bench.ingest_tables import of_stages
from tests.bench.ingest_watch import Watch
from tests.bench.make_pdfs import PAGE_CHARS, born_digital_pdf, scanned_pdf, small_documents

ONE = OneDocument(6.0, 50, 250, "", True, 500.0, 9.0, {"read": 1.0, "embed": 5.0}, {"read": 400.0}, [], [])
LINE = Line("report.pdf", "ready", "", 3, [1, 3], 0, 100, 2.0)
MANY = Many(60.0, 2, [LINE, LINE], {}, 10, 500.0, 100.0, 0, 0)
LOOK = Look(0.1, 0.2, 1000, 0, 0, 0)


def missed(bars: list[Bar]) -> list[str]:
    return [bar.about for bar in bars if not bar.met]


def test_a_born_digital_pdf_has_full_pages_with_tables_and_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("one", "other"):
        born_digital_pdf(tmp_path / name, 6)

    data = (tmp_path / "one").read_bytes()
    assert data == (tmp_path / "other").read_bytes()
    with pypdfium2.PdfDocument(data) as document:
        lengths = [len(page.get_textpage().get_text_range()) for page in document]
    assert all(0.9 * PAGE_CHARS < length < 1.2 * PAGE_CHARS for length in lengths), lengths
    parsed = pdf.parse(data)
    assert (parsed.pages, parsed.unread) == (6, ())
    assert [block.page for block in parsed.blocks if block.kind == "table"] == [2, 6]


def test_a_scanned_pdf_has_no_text_layer(tmp_path: Path) -> None:
    scanned_pdf(tmp_path / "scan.pdf", 2)

    assert pdf.parse((tmp_path / "scan.pdf").read_bytes()).unread == (1, 2)


def test_small_documents_differ_and_each_has_a_question_of_its_own() -> None:
    documents = list(small_documents(60))

    for position in range(3):
        assert len({each[position] for each in documents}) == 60
    assert documents[59][0].startswith("001/")


def test_the_stages_of_a_thread_add_up_to_the_whole() -> None:
    watch = Watch()
    began = time.perf_counter()

    with watch.stage("other"):
        time.sleep(0.01)
        with watch.stage("read"):
            time.sleep(0.02)
        assert watch.now == "other"

    assert watch.now == ""
    assert watch.seconds["read"] >= 0.02
    assert sum(watch.seconds.values()) == pytest.approx(time.perf_counter() - began, abs=0.005)


def test_bars_that_are_met() -> None:
    assert not missed(born_digital([ONE]))
    assert not missed(scanned([replace(ONE, seconds=39.0)], [1], [8], 8))
    assert not missed(reports(MANY, {"report.pdf": {1, 3}, "same.pdf": set()}))
    assert not missed(unchanged("folder", LOOK, 0, 1000))


def test_each_bar_that_is_missed_is_named() -> None:
    slow = replace(ONE, seconds=10.1, peak_mb=1537.0, found=False)
    assert len(missed(born_digital([slow, slow, ONE]))) == 3
    assert len(missed(scanned([replace(ONE, seconds=40.1)], [2], [9], 8))) == 3
    assert len(missed(reports(MANY, {"report.pdf": {1, 2, 3}}))) == 2
    assert len(missed(unchanged("folder", replace(LOOK, seconds=5.1, files_changed=1), 1, 1000))) == 3


def test_a_stage_that_did_not_happen_has_no_row() -> None:
    table = of_stages("50 pages", [ONE])

    assert list(table.columns[0].cells) == ["read", "embed", "whole"]
