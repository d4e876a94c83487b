"""The segments of a table's body in, its rows of cells out: wrapped cells made whole, sections named in their rows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from pipelines.ingest.formats.pdf_columns import Column, Row, column_of
from pipelines.ingest.formats.pdf_segments import Segment, is_number, tidy_amount
from pipelines.ingest.formats.table import TOTAL

SAME_LINE = 0.45
"""Of a line's height: segments whose middles are no further apart stand side by side."""
LEADING = 0.75
"""Of a line's height: the most white between two lines of one cell."""
TIGHT = 0.5
"""Of a line's height: the most white between two lines that are one cell for no other reason."""
INDENT = 2.0
"""Points by which what stands under a section is set further right."""

_NUMBER = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class _TableRow:
    cells: tuple[str, ...]
    left: float
    """Of the first cell's text."""
    right: float
    bottom: float
    top: float
    height: float
    style: int

    @property
    def middle(self) -> float:
        return (self.bottom + self.top) / 2

    @property
    def label(self) -> str:
        return self.cells[0]

    @property
    def is_label_only(self) -> bool:
        return bool(self.cells[0]) and not any(self.cells[1:])


def visual_rows(lines: Sequence[Row]) -> list[Row]:
    """Segments of several lines by where they stand on the page: from top to bottom, then from left to right."""
    found: list[list[Segment]] = []
    for segment in sorted((part for line in lines for part in line), key=lambda part: -(part.bottom + part.top)):
        if found:
            first = found[-1][0]
            apart = abs((first.bottom + first.top) - (segment.bottom + segment.top)) / 2
            if apart <= SAME_LINE * min(first.height, segment.height):
                found[-1].append(segment)
                continue
        found.append([segment])
    return [tuple(sorted(row, key=lambda part: part.left)) for row in found]


def body_rows(rows: Sequence[Row], columns: Sequence[Column], rules: Sequence[float]) -> list[tuple[str, ...]]:
    """The cells of each row, as many as there are columns.

    `rules` are the heights of the rules between the rows; none where the table has no such rules.
    """
    return _with_sections(_unwrapped([_table_row(row, columns) for row in rows], columns, rules))


def _table_row(row: Row, columns: Sequence[Column]) -> _TableRow:
    cells: list[list[str]] = [[] for _ in columns]
    labels: list[Segment] = []
    for segment in row:
        number = column_of(segment, columns)
        cells[number].append(segment.text)
        if number == 0:
            labels.append(segment)
    return _TableRow(
        tuple(tidy_amount(" ".join(cell)) for cell in cells),
        min((label.left for label in labels), default=columns[0].left),
        max((label.right for label in labels), default=columns[0].left),
        min(part.bottom for part in row),
        max(part.top for part in row),
        max(part.height for part in row),
        row[0].style,
    )


def _unwrapped(rows: Sequence[_TableRow], columns: Sequence[Column], rules: Sequence[float]) -> list[_TableRow]:
    """Join names of rows, and cells, that take more than one line."""
    joined: list[_TableRow] = []
    for row, following in pairwise((*rows, None)):
        if row is None:
            break
        before = joined[-1] if joined else None
        if before is None or before.bottom - row.top > LEADING * row.height:
            joined.append(row)
        elif _is_in_band(before, row, columns, rules) if rules else _goes_on(before, row, following, columns):
            joined[-1] = _both(before, row)
        else:
            joined.append(row)
    return joined


def _is_in_band(before: _TableRow, row: _TableRow, columns: Sequence[Column], rules: Sequence[float]) -> bool:
    """Whether `row` is more of `before` in a table with a rule between any two rows, or a colour for every other."""
    if any(row.middle < height < before.middle for height in rules):
        return False
    if any(is_number(above) and is_number(below) for above, below in zip(before.cells[1:], row.cells[1:], strict=True)):
        return False
    if not row.label or not before.label:
        return True
    is_close = before.bottom - row.top < TIGHT * row.height
    return is_close and (not before.is_label_only or _is_full(before, row, columns) or row.label[0].islower())


def _goes_on(before: _TableRow, row: _TableRow, following: _TableRow | None, columns: Sequence[Column]) -> bool:
    """Whether `row` is more of `before` in a table without rules."""
    gap = before.bottom - row.top
    if not row.label:
        # The values of a name of two lines stand beside their middle; a cell of text may take two lines.
        is_beside = before.is_label_only and gap < -SAME_LINE / 2 * row.height
        return is_beside or (not before.is_label_only and not _has_number(row) and gap < TIGHT * row.height)
    if before.is_label_only and not before.label.endswith(":"):
        is_name = row.left >= before.left - INDENT
        return is_name and (_is_full(before, row, columns) or row.label[0].islower())
    if row.is_label_only and not before.is_label_only and row.label[0].islower() and before.label:
        return following is None or gap <= row.bottom - following.top
    return False


def _is_full(before: _TableRow, row: _TableRow, columns: Sequence[Column]) -> bool:
    """Whether the first word of `row` would have had no room behind the name in `before`."""
    if before.style != row.style:
        return False
    first_word = len(row.label.split(" ", 1)[0]) / len(row.label) * (row.right - row.left)
    return before.right + first_word > columns[0].right - INDENT


def _has_number(row: _TableRow) -> bool:
    return any(_NUMBER.search(cell) for cell in row.cells[1:])


def _both(before: _TableRow, row: _TableRow) -> _TableRow:
    cells = tuple(f"{above} {below}".strip() for above, below in zip(before.cells, row.cells, strict=True))
    return replace(
        before,
        cells=cells,
        right=row.right if row.label else before.right,
        bottom=min(before.bottom, row.bottom),
        top=max(before.top, row.top),
    )


@dataclass(slots=True)
class _Section:
    row: _TableRow
    at: int
    is_flat: bool = False


def _with_sections(rows: Sequence[_TableRow]) -> list[tuple[str, ...]]:
    """Put "Net sales:" before the names of the rows under it, where it is clear which these are."""
    found: list[tuple[str, ...]] = []
    used: set[int] = set()
    open_sections: list[_Section] = []
    for number, row in enumerate(rows):
        while open_sections and _ends(open_sections[-1], row):
            open_sections.pop()
        if row.is_label_only and row.label.endswith(":"):
            is_flat = _is_flat(row, rows[number + 1 :])
            open_sections.append(_Section(row, len(found), is_flat))
        elif row.label and open_sections:
            section = open_sections[-1]
            # "Total current assets" needs no section to be understood, and ends it.
            is_total = TOTAL.match(row.label) is not None
            if is_total:
                open_sections.pop()
            if not is_total or " " not in row.label:
                used.add(section.at)
                found.append((f"{section.row.label} {row.label}", *row.cells[1:]))
                continue
        found.append(row.cells)
    return [cells for number, cells in enumerate(found) if number not in used]


def _ends(section: _Section, row: _TableRow) -> bool:
    if section.is_flat:
        return row.is_label_only
    return bool(row.label) and row.left < section.row.left + INDENT


def _is_flat(section: _TableRow, rows: Sequence[_TableRow]) -> bool:
    """Whether rows under `section` are set no further right, and a total shows where they end."""
    for number, row in enumerate(rows):
        if row.is_label_only or row.left >= section.left + INDENT or row.left < section.left - INDENT:
            return False
        if TOTAL.match(row.label):
            return number > 0
    return False
