"""Sets a source document as DOCX with Word's own heading, list and table styles."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime

import docx
from docx.document import Document as Docx
from docx.enum.text import WD_BREAK
from docx.shared import Pt
from docx.text.paragraph import Paragraph as DocxParagraph
from handbook_source import Bullets, Heading, Line, PageBreak, Paragraph, Source, SourceBlock, Table

COMPANY = "Halmsund Instruments AB"
WRITTEN = datetime(2026, 1, 1, tzinfo=UTC)
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def set_docx(source: Source) -> bytes:
    """Return the document as DOCX, the same bytes every time."""
    document = docx.Document()
    document.styles["Normal"].font.name = "Calibri"
    document.styles["Normal"].font.size = Pt(10.5)
    properties = document.core_properties
    properties.title, properties.author, properties.subject = source.title, COMPANY, source.reference
    properties.created = properties.modified = WRITTEN
    properties.comments = properties.last_modified_by = ""
    document.sections[0].header.paragraphs[0].text = f"{COMPANY}\t\t{source.title}"
    document.sections[0].footer.paragraphs[0].text = source.reference
    document.add_heading(source.title, level=1)
    document.add_paragraph(source.reference).runs[0].italic = True
    for block in source.blocks:
        _add(document, block)
    buffer = io.BytesIO()
    document.save(buffer)
    return _without_times(buffer.getvalue())


def _add(document: Docx, block: SourceBlock) -> None:
    match block:
        case Heading(level, line):
            _write(document.add_heading(level=level), line)
        case Paragraph(line):
            _write(document.add_paragraph(), line)
        case Bullets(items):
            for item in items:
                _write(document.add_paragraph(style="List Bullet"), item)
        case Table(rows):
            _add_table(document, rows)
        case PageBreak():
            document.add_paragraph().add_run().add_break(WD_BREAK.PAGE)


def _add_table(document: Docx, rows: tuple[tuple[Line, ...], ...]) -> None:
    table = document.add_table(rows=len(rows), cols=len(rows[0]), style="Light Grid Accent 1")
    for row, cells in zip(rows, table.rows, strict=True):
        for line, cell in zip(row, cells.cells, strict=True):
            _write(cell.paragraphs[0], line)
    document.add_paragraph()


def _write(paragraph: DocxParagraph, line: Line) -> None:
    for run in line:
        written = paragraph.add_run(run.text)
        written.bold, written.italic = run.bold or None, run.italic or None


def _without_times(data: bytes) -> bytes:
    """Rewrite the archive: python-docx stamps every member with the time of saving."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as saved, zipfile.ZipFile(buffer, "w") as fixed:
        for name in saved.namelist():
            member = zipfile.ZipInfo(name, ZIP_EPOCH)
            member.compress_type = zipfile.ZIP_DEFLATED
            fixed.writestr(member, saved.read(name))
    return buffer.getvalue()
