"""Rows of segments in, the columns they stand in out, where they are a table at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from pipelines.ingest.formats.pdf_segments import Segment, is_number

Row = tuple[Segment, ...]

ACROSS = 12
"""In a table of so many rows one may run across the gap between two columns."""
NUMBERS = 0.6
"""The share of a column's cells that make it one of numbers."""
FILLED = 0.4
"""The share of rows that have a cell in a column of numbers."""
SHORT_CELL = 26
"""Characters: of the columns of a table without numbers, only one may hold longer cells; prose in columns does."""
ALIGNED = 0.7
CLOSE = 3.0
"""Points between edges that stand under each other."""

_COUNTING = re.compile(r"\(?\d{1,4}[.)]?")


@dataclass(frozen=True, slots=True)
class Column:
    """From where to where its cells reach, in points from the left of the page."""

    left: float
    right: float

    @property
    def middle(self) -> float:
        return (self.left + self.right) / 2

    def overlap(self, segment: Segment) -> float:
        """How many points they share; below 0 how far they are apart."""
        return min(self.right, segment.right) - max(self.left, segment.left)


def has_numbers(row: Row) -> bool:
    """Whether it is a row of a table with values, as opposed to one of its header."""
    return len(row) > 1 and any(segment.is_amount for segment in row[1:] or row)


def find_columns(rows: Sequence[Row], *, is_marked: bool) -> tuple[Column, ...]:
    """The columns of a table; none where the rows are no table, or not surely one.

    `rows` are those of two and more segments. `is_marked` says that rules or the style of its header make it a table.
    """
    data = [row for row in rows if has_numbers(row)]
    if len(data) < 2:
        data = [row for row in rows if has_numbers(row) or row[0].is_amount]
    if len(data) >= 2:
        columns = _columns(data)
        if len(columns) > 1 and _has_values(data, columns):
            return () if _is_enumeration(data, columns) else columns
    columns = _columns(rows)
    if len(rows) >= 3 and len(columns) > 1 and _is_text_table(rows, columns, is_marked=is_marked):
        return columns
    return ()


def column_of(segment: Segment, columns: Sequence[Column]) -> int:
    """The number of the column that shares most with `segment`, or is nearest to it."""
    return max(range(len(columns)), key=lambda number: columns[number].overlap(segment))


def _columns(rows: Sequence[Row]) -> tuple[Column, ...]:
    """What lies between the gaps that run through all the rows, but for a few."""
    across = len(rows) // ACROSS
    # A long name of a row may reach into the first column of values where it has no value there.
    limit = median(row[1].left for row in rows if len(row) > 1) - 1
    places = [
        (part.left, limit if number == 0 and part.left < limit < part.right else part.right)
        for row in rows
        for number, part in enumerate(row)
    ]
    edges = sorted(edge for left, right in places for edge in ((left, 1), (right, -1)))
    columns: list[Column] = []
    covered, start = 0, 0.0
    for place, change in edges:
        if covered <= across < covered + change:
            start = place
        covered += change
        if covered <= across < covered - change and place > start:
            columns.append(Column(start, place))
    return tuple(columns)


def _cells(rows: Sequence[Row], columns: Sequence[Column]) -> list[list[Segment]]:
    cells: list[list[Segment]] = [[] for _ in columns]
    for row in rows:
        for segment in row:
            cells[column_of(segment, columns)].append(segment)
    return cells


def _has_values(rows: Sequence[Row], columns: Sequence[Column]) -> bool:
    return any(
        len(cells) >= FILLED * len(rows) and sum(cell.is_amount for cell in cells) >= NUMBERS * len(cells)
        for cells in _cells(rows, columns)
    )


def _is_enumeration(rows: Sequence[Row], columns: Sequence[Column]) -> bool:
    """A table of contents, or lines with their numbers: one column of counting numbers beside text."""
    cells = _cells(rows, columns)
    numeric = [number for number, column in enumerate(cells) if all(_COUNTING.fullmatch(cell.text) for cell in column)]
    if len(numeric) != 1 or numeric[0] not in (0, len(columns) - 1) or (numeric[0] == 0 and len(columns) > 2):
        return False
    if any(is_number(cell.text) for number, column in enumerate(cells) if number not in numeric for cell in column):
        return False
    counted = [int(cell.text.strip("().")) for cell in cells[numeric[0]]]
    steps = [following - number for number, following in pairwise(counted)]
    return all(step == 1 for step in steps) if numeric[0] == 0 else all(step >= 0 for step in steps)


def _is_text_table(rows: Sequence[Row], columns: Sequence[Column], *, is_marked: bool) -> bool:
    cells = _cells(rows, columns)
    if not all(map(_is_aligned, cells)) or sum(len(column) < len(rows) / 2 for column in cells) > len(columns) / 2:
        return False
    if is_marked:
        return True
    long = sum(median(len(cell.text) for cell in column) > SHORT_CELL for column in cells)
    return long < min(2, len(columns))


def _is_aligned(cells: Sequence[Segment]) -> bool:
    edges = ([cell.left for cell in cells], [cell.right for cell in cells], [cell.middle for cell in cells])
    return any(sum(abs(edge - median(side)) < CLOSE for edge in side) >= ALIGNED * len(side) for side in edges)
