"""A workbook's bytes in, the number of cells its sheets spread over out, without holding any of them.

calamine 0.9 keeps a sheet as a full grid from its first to its last cell, and ends the process where that does not fit
into memory: one cell in the last corner makes 17 billion.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

_XML_CELL = re.compile(rb"""<(?:\w+:)?c\b[^>]*?\sr\s*=\s*["']\s*([A-Za-z]+)(\d+)[^>]*[^/]>\s*<""")
_BINARY_ROW = 0
_BINARY_CELLS = range(1, 12)
"""BrtRowHdr and BrtCellBlank to BrtFmlaError, [MS-XLSB] 2.3.2."""
_OLD_CELLS = {0x0006, 0x0201, 0x0203, 0x0204, 0x0205, 0x0207, 0x027E, 0x00BD, 0x00BE, 0x00D6, 0x00FD}
"""The records of a cell, each of which begins with its row and column, [MS-XLS] 2.3.2."""
_OLD_RUNS = {0x00BD, 0x00BE}
"""Several cells of a row, of which the record ends with the last column."""
_OLD_STRINGS = 0x00FC
_OLD_DIMENSIONS = 0x0200
_OLD_UNKNOWN = 0x0FFF
"""No record is of this kind; readers pass over what they do not know."""
_OLD_BEGIN = {0x0009, 0x0209, 0x0409, 0x0809}
_LETTERS = 4
"""A cell's letters that are read; three name the last column there is."""


def of_xml(sheet: bytes) -> int:
    """Cells of an .xlsx sheet, rows times columns. Cells without a value do not count."""
    rows, columns = 0, set()
    for match in _XML_CELL.finditer(sheet):
        columns.add(match[1][:_LETTERS])
        rows = max(rows, int(match[2][:8]))
    return rows * max(map(_column, columns), default=0)


def of_binary(sheet: bytes) -> int:
    """Cells of an .xlsb sheet, rows times columns."""
    row = rows = columns = 0
    for kind, body in _binary_records(sheet):
        if kind == _BINARY_ROW and len(body) >= 4:
            (row,) = struct.unpack_from("<I", body)
        elif kind in _BINARY_CELLS and len(body) >= 4:
            rows = max(rows, row + 1)
            columns = max(columns, struct.unpack_from("<I", body)[0] + 1)
    return rows * columns


def of_old(stream: bytes) -> int:
    """Cells of all sheets of an .xls together, rows times columns each; calamine holds them all at once.

    A table of strings that declares more of them than the stream has bytes counts as so many cells.
    """
    total = rows = columns = 0
    for kind, start, end in _old_records(stream):
        if kind in _OLD_BEGIN:
            total, rows, columns = total + rows * columns, 0, 0
        elif kind in _OLD_CELLS and end - start >= 4:
            row, column = struct.unpack_from("<HH", stream, start)
            rows, columns = max(rows, row + 1), max(columns, column + 1)
            if kind in _OLD_RUNS:
                columns = max(columns, struct.unpack_from("<H", stream, end - 2)[0] + 1)
        elif kind == _OLD_STRINGS and end - start >= 8:
            (strings,) = struct.unpack_from("<I", stream, start + 4)
            total += strings if strings > len(stream) else 0
    return total + rows * columns


def without_dimensions(stream: bytes) -> bytes:
    """The stream of an .xls without what its sheets declare to be their size, for which calamine makes room unasked."""
    changed = bytearray(stream)
    for kind, start, _ in _old_records(stream):
        if kind == _OLD_DIMENSIONS:
            struct.pack_into("<H", changed, start - 4, _OLD_UNKNOWN)
    return bytes(changed)


def _old_records(stream: bytes) -> Iterator[tuple[int, int, int]]:
    """The kind of each record, and where its body starts and ends."""
    position = 0
    while position + 4 <= len(stream):
        kind, size = struct.unpack_from("<HH", stream, position)
        position += 4
        yield kind, position, min(position + size, len(stream))
        position += size


def _binary_records(sheet: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(sheet):
        kind, position = _number(sheet, position, most=2)
        size, position = _number(sheet, position, most=4)
        yield kind, sheet[position : position + size]
        position += size


def _number(data: bytes, position: int, *, most: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends."""
    value = 0
    for index, byte in enumerate(data[position : position + most]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position + index + 1
    return value, position + most


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number
