"""The tables of real quarterly reports, where these are at hand: one page of each company."""

from __future__ import annotations

import io
import re
from collections import Counter
from pathlib import Path

import pypdfium2
import pytest

from pipelines.domain import Block
from pipelines.ingest.formats import pdf

CHECKOUT = Path(__file__).parents[4]
REPORTS = CHECKOUT.parent / "shared" / "eval" / "sec-10-q" / "docs"
PAGES = [
    ("2023 Q2 AAPL", 5, "Three Months Ended April 1, 2023", "Total comprehensive income | $25,326 | $19,443"),
    ("2023 Q3 AMZN", 13, "Year Ended December 31, 2025", "Leases not yet commenced | 284 | 1,963 | 1,750 | 1,888"),
    ("2023 Q3 INTC", 10, "Retained Earnings", "Share-based compensation | — | 737 | — | — | 35 | 772"),
    ("2023 Q2 MSFT", 3, "Nine Months Ended March 31, 2022", "Revenue: Product | $15,588 | $17,366 | $47,846"),
    ("2023 Q2 NVDA", 12, "Six Months Ended July 30, 2023", "Numerator: Net income | $6,188 | $656 | $8,232"),
]

pytestmark = pytest.mark.skipif(not REPORTS.is_dir(), reason="the reports are not here")


@pytest.mark.parametrize(("name", "page", "column", "row"), PAGES, ids=[name for name, *_ in PAGES])
def test_a_row_stands_under_the_names_of_its_columns(name: str, page: int, column: str, row: str) -> None:
    tables = [block for block in _blocks(_page(name, page)) if block.kind == "table"]
    assert any(column in table.header.split(" | ") and row in table.text for table in tables)


@pytest.mark.parametrize(("name", "page"), [(name, page) for name, page, *_ in PAGES])
def test_no_word_is_lost(name: str, page: int) -> None:
    data = _page(name, page)
    with pypdfium2.PdfDocument(data) as document:
        written = Counter(re.findall(r"\w+", document[0].get_textpage().get_text_range().replace("\ufffe", "")))
    kept = Counter(re.findall(r"\w+", " ".join(f"{block.header} {block.text}" for block in _blocks(data))))
    # A word divided at the end of a line is whole in one of them and in two parts in the other.
    assert sum((written - kept).values()) <= sum(written.values()) / 100


def _page(name: str, page: int) -> bytes:
    buffer = io.BytesIO()
    with pypdfium2.PdfDocument(REPORTS / f"{name}.pdf") as report, pypdfium2.PdfDocument.new() as alone:
        alone.import_pages(report, [page - 1])
        alone.save(buffer)
    return buffer.getvalue()


def _blocks(data: bytes) -> tuple[Block, ...]:
    return pdf.parse(data).blocks
