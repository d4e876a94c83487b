"""Whether a question for a number finds its row with the names and the unit it needs, in tables of several formats."""

from __future__ import annotations

import io
import re
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import openpyxl
import pytest

from pipelines.domain import Chunk, Document, ParsedDocument
from pipelines.ingest.chunk import chunk_document
from pipelines.ingest.formats import docx, html, markdown, pdf, spreadsheet
from tests.fakes.word_embedding import WordEmbedding
from tests.unit.ingest.formats import make_pdfs
from tests.unit.ingest.make_documents import new_word, word

DOCUMENT = Document(str(uuid.uuid4()), "Report", "file:///report", "", "hash", 1)


@dataclass(frozen=True, slots=True)
class Case:
    """A table under its title and its unit, a question for one of its rows, and what has to stand in one chunk."""

    above: tuple[str, ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    question: str
    needs: tuple[str, ...]


SITES = ("Aalborg", "Bergen", "Cork", "Dresden", "Esbjerg", "Faro", "Gdansk")
PARTS = ("Shaft seal", "Ball bearing", "Filter insert", "Hose clamp", "Drive belt", "Pressure gauge")

PRICES = Case(
    ("Table 3: Prices of spare parts", "(in EUR per piece)"),
    ("Part", "List price 2024", "List price 2025"),
    tuple((f"{part} for {site}", f"{12 + at}.50", f"{13 + at}.90") for at, part in enumerate(PARTS) for site in SITES),
    "What does a drive belt for Dresden cost in EUR per piece, list price 2025?",
    ("Part: Drive belt for Dresden", "List price 2025: 17.90", "Prices of spare parts", "in EUR per piece"),
)
CLINIC = Case(
    ("Tabelle 2: Behandelte Fälle nach Abteilung", "Angaben in Tausend, ungeprüft"),
    ("Abteilung", "2023", "2024"),
    tuple(
        row
        for at, site in enumerate(SITES)
        for row in (
            (f"Standort {site}:", "", ""),
            ("Kardiologie", f"{at}4,1", f"{at}5,2"),
            ("Unfallchirurgie", f"{at}6,3", f"{at}7,4"),
            ("Geburtshilfe", f"{at}8,5", f"{at}9,6"),
            (f"Summe {site}", f"{at}8,9", f"{at}2,2"),
        )
    ),
    "Wie viele Fälle, in Tausend, behandelte die Unfallchirurgie am Standort Faro 2024?",
    ("Standort Faro: Unfallchirurgie", "2024: 57,4", "Behandelte Fälle", "Angaben in Tausend"),
)
MACHINE = Case(
    ("Dimensions of the pump series", "All dimensions in mm."),
    ("Model", "Length", "Flange"),
    tuple((f"KP {size} {letter}", f"{size * 3}", f"{size + 500}") for size in range(100, 120) for letter in "ABC"),
    "How long is the pump KP 113 B in mm, its length?",
    ("Model: KP 113 B", "Length: 339", "Dimensions of the pump series", "All dimensions in mm"),
)


def _markdown(case: Case) -> ParsedDocument:
    lines = ["| " + " | ".join(row) + " |" for row in (case.header, ["---"] * len(case.header), *case.rows)]
    return markdown.parse("\n\n".join((*case.above, "\n".join(lines))).encode())


def _html(case: Case) -> ParsedDocument:
    def row(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in cells) + "</tr>"

    rows = row(case.header, "th") + "".join(row(cells, "td") for cells in case.rows)
    caption = f"<caption>{'<br>'.join(case.above)}</caption>"
    return html.parse(f"<html><body><table>{caption}{rows}</table></body></html>".encode())


def _docx(case: Case) -> ParsedDocument:
    document = new_word()
    for line in case.above:
        document.add_paragraph(line)
    table = document.add_table(0, len(case.header))
    for cells in (case.header, *case.rows):
        for place, text in zip(table.add_row().cells, cells, strict=True):
            place.text = text
    return docx.parse(word(document))


def _xlsx(case: Case) -> ParsedDocument:
    book = openpyxl.Workbook()
    for row in (*([line] for line in case.above), case.header, *case.rows):
        book.active.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return spreadsheet.parse(buffer.getvalue())


def _pdf(case: Case) -> ParsedDocument:
    return pdf.parse(make_pdfs.story(*case.above, make_pdfs.table([case.header, *case.rows], grid=True)))


def _found(parsed: ParsedDocument, question: str) -> Chunk:
    """The chunk that has the most of the question's words, the rarer ones counting more."""
    chunks = chunk_document(DOCUMENT, parsed, count_tokens=WordEmbedding().count_tokens, max_tokens=256)
    assert len(chunks) > 1, "a table that is never cut proves nothing"
    in_chunks = Counter(word for chunk in chunks for word in _words(chunk.context))
    return max(chunks, key=lambda chunk: sum(1 / in_chunks[word] for word in _words(question) & _words(chunk.context)))


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))


@pytest.mark.parametrize("made", [_markdown, _html, _docx, _xlsx, _pdf])
@pytest.mark.parametrize("case", [PRICES, CLINIC, MACHINE], ids=["prices", "clinic", "machine"])
def test_a_question_for_a_number_finds_its_row_with_header_and_unit(
    case: Case, made: Callable[[Case], ParsedDocument]
) -> None:
    text = _found(made(case), case.question).text
    assert [needed for needed in case.needs if needed not in text] == []
    row, value = case.needs[:2]
    assert any(row in line and value in line for line in text.splitlines()), "name and value stand in one row"
