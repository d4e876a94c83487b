"""Small PDF and Word files for the tests, made as the tests need them."""

from __future__ import annotations

import io
from collections.abc import Sequence

import docx
from docx.document import Document as WordDocument
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas


def pdf(*pages: Sequence[str], title: str = "", password: str = "") -> bytes:
    """A PDF with these lines on its pages; a page without lines has no text layer."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, encrypt=StandardEncryption(password) if password else None)
    canvas.setTitle(title)
    for lines in pages:
        for number, line in enumerate(lines):
            canvas.drawString(60, 780 - 16 * number, line)
        canvas.rect(10, 10, 20, 20)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def word(document: WordDocument) -> bytes:
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def new_word() -> WordDocument:
    return docx.Document()
