"""Binary Excel workbooks ([MS-XLSB]) for the tests, which nothing here can write."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from tests.unit.ingest.formats.make_zip import a_zip

_TYPES = """<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Override PartName="/xl/workbook.bin" ContentType="application/vnd.ms-excel.sheet.binary.macroEnabled.main"/></Types>"""
_RELATIONS = """<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{}" Target="{}"/>
</Relationships>"""


def binary_workbook(name: str, rows: Sequence[Sequence[str | float]], *, first_row: int = 0) -> bytes:
    """A workbook of one sheet; its rows stand from `first_row` on, counted from 0."""
    sheet = _record(0x81, b"") + _record(0x94, struct.pack("<IIII", 0, len(rows), 0, 5)) + _record(0x91, b"")
    for row, cells in enumerate(rows, start=first_row):
        sheet += _record(0x00, struct.pack("<IIHHBI", row, 0, 0x12C, 0, 0, 0))
        for column, cell in enumerate(cells):
            place = struct.pack("<II", column, 0)
            if isinstance(cell, str):
                sheet += _record(0x06, place + _text(cell))
            else:
                sheet += _record(0x05, place + struct.pack("<d", cell))
    sheet += _record(0x92, b"") + _record(0x82, b"")
    bundle = _record(0x8F, b"") + _record(0x9C, struct.pack("<II", 0, 1) + _text("rId1") + _text(name))
    book = _record(0x83, b"") + bundle + _record(0x90, b"") + _record(0x84, b"")
    return a_zip(
        {
            "[Content_Types].xml": _TYPES,
            "_rels/.rels": _RELATIONS.format("officeDocument", "xl/workbook.bin"),
            "xl/workbook.bin": book,
            "xl/_rels/workbook.bin.rels": _RELATIONS.format("worksheet", "worksheets/sheet1.bin"),
            "xl/worksheets/sheet1.bin": sheet,
        }
    )


def _record(kind: int, body: bytes) -> bytes:
    # `kind` is what the specification gives, less the bit that says a second byte follows.
    number = bytes([kind]) if kind < 0x80 else bytes([kind, 0x01])
    return number + bytes([len(body)]) + body


def _text(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")
