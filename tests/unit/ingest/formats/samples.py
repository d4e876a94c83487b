"""One small good document of every format but PDF and images, for the tests that every format has to pass."""

from __future__ import annotations

import io
from email.message import EmailMessage

import openpyxl
import pptx

from tests.unit.ingest import make_documents
from tests.unit.ingest.formats import make_ole, make_xlsb, make_zip


def all_samples() -> dict[str, bytes]:
    """The bytes of each document under its file name."""
    document = make_documents.new_word()
    document.add_heading("Hotels", 1)
    document.add_paragraph("Berlin")
    return {
        "a.docx": make_documents.word(document),
        "a.pptx": presentation(),
        "a.xlsx": workbook(),
        "a.xlsb": make_xlsb.binary_workbook("Rates", [["City", "Limit"], ["Berlin", 180.0]]),
        "a.xls": make_ole.old_workbook({"Rates": [["City", "Limit"], ["Berlin", 180.0]]}),
        "a.csv": b"City;Limit\nBerlin;180\n",
        "a.odt": make_zip.opendocument("text", "<text:p>Berlin</text:p>"),
        "a.odp": make_zip.opendocument("presentation", "<draw:page><text:p>Berlin</text:p></draw:page>"),
        "a.ods": make_zip.opendocument("spreadsheet", ODS_SHEET),
        "a.rtf": rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0\fcharset0 Arial;}}\f0 Caf\'e9 in Berlin\par}",
        "a.epub": make_zip.epub({"one.xhtml": "<body><h1>One</h1><p>Berlin</p></body>"}),
        "a.eml": mail(),
        "a.msg": make_ole.outlook_message(
            "Trip", "Berlin", attachments=[make_ole.attached_file("a.txt", "text/plain", b"x")]
        ),
        "a.html": b"<!doctype html><h1>One</h1><p>Berlin</p><ul><li>x</ul>",
        "a.md": b"# One\n\nBerlin\n\n- x\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
        "a.txt": b"ONE\n\nBerlin\n",
    }


ODS_SHEET = """<table:table table:name="Rates">
<table:table-row><table:table-cell><text:p>City</text:p></table:table-cell>
<table:table-cell><text:p>Limit</text:p></table:table-cell></table:table-row>
<table:table-row><table:table-cell><text:p>Berlin</text:p></table:table-cell>
<table:table-cell><text:p>180 EUR</text:p></table:table-cell></table:table-row></table:table>"""


def presentation() -> bytes:
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[1])
    slide.shapes.title.text = "Hotels"
    slide.placeholders[1].text = "Berlin"
    buffer = io.BytesIO()
    deck.save(buffer)
    return buffer.getvalue()


def workbook() -> bytes:
    book = openpyxl.Workbook()
    for row in (["City", "Limit"], ["Berlin", 180]):
        book.active.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def mail() -> bytes:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = "Trip", "a@example.com", "b@example.com"
    message.set_content("Berlin")
    message.add_attachment(b"x", maintype="text", subtype="plain", filename="a.txt")
    return bytes(message)
