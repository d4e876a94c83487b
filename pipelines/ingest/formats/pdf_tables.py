"""The lines of a page and its rules in, the same with tables where lines were the rows of one out.

A table is found by its columns: gaps that run through several lines, beside numbers, under a header of its own style
or between rules. Lines of which that is not sure stay lines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.ingest.formats.pdf_columns import Column, Row, column_of, find_columns, has_numbers
from pipelines.ingest.formats.pdf_header import NOTE, header_cells
from pipelines.ingest.formats.pdf_lines import Line
from pipelines.ingest.formats.pdf_rows import body_rows, visual_rows
from pipelines.ingest.formats.pdf_runs import Rules, find_runs
from pipelines.ingest.formats.pdf_segments import Segment, is_date, is_number, segments

MOST_HEADER_LINES = 30
MOST_SECTIONS = 3
"""Lines between a table's header and its first row of values."""
CLOSE_TO_EDGE = 15.0
"""Points between the left edge of a table and that of a note above it."""
CENTRED = 6.0
"""Points from the middle of a table."""
OUTDENT = 40.0
"""Points by which a section may stand further left than the rows under it."""
LOOSE = 1.5
"""Of a line's height: the most white between a header and what is under it."""
STACKED = 1.2
"""Of a line's height: the most white between two lines of a header."""
LARGER = 1.3
"""Of a line's height: what is set so large is a title, not the name of a column."""
DENSE = 0.7
"""The share of lines of several segments in a table without numbers, rules or a header of its own style."""

_NO_NAME = re.compile(r"\d|:\Z")


@dataclass(frozen=True, slots=True)
class Table:
    """`header` has a name for each cell of a row, or is empty."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """A table that takes the lines from `start` up to `stop`."""

    start: int
    stop: int
    table: Table


def divide(lines: Sequence[Line], rules: Sequence[float]) -> list[str | Table]:
    """Lines and tables in the order of `lines`. `rules` are height, left and right end of each rule in turn."""
    side_by_side = _side_by_side(lines)
    rows = [segments(Line(tuple(word for line in run for word in line.words), run[0].style)) for run in side_by_side]
    ruling = Rules(rules)
    items: list[str | Table] = []
    done = 0
    for start, stop in find_runs(rows, ruling):
        found = _table(rows, max(start, done), stop, done, ruling)
        if found:
            items.extend(line.text for run in side_by_side[done : found.start] for line in run)
            items.append(found.table)
            done = found.stop
    items.extend(line.text for run in side_by_side[done:] for line in run)
    return [item for item in items if item]


def _side_by_side(lines: Sequence[Line]) -> list[list[Line]]:
    """Lines that go on to the right of the one before: PDFium ends a line at some gaps, or where a sign is small."""
    runs: list[list[Line]] = []
    for line in lines:
        before, word = runs[-1][-1].words[-1] if runs else None, line.words[0]
        if before and before.right - 1 <= word.left and before.bottom < (word.bottom + word.top) / 2 < before.top:
            runs[-1].append(line)
        else:
            runs.append([line])
    return runs


def _table(rows: Sequence[Row], start: int, stop: int, done: int, rules: Rules) -> _Found | None:
    core = [row for row in rows[start:stop] if len(row) > 1]
    if len(core) < 2:
        return None
    body_style = core[-1][0].style
    marked = sum(row[0].style == body_style for row in core[1:]) > 0.6 * (len(core) - 1)
    is_styled = marked and core[0][0].style != body_style
    top, bottom = max(part.top for part in core[0]), min(part.bottom for part in core[-1])
    left, right = min(part.left for row in core for part in row), max(part.right for row in core for part in row)
    across = rules.between((Column(left, right),), bottom - 9, top + 9)
    is_ruled = len(across) > 0.6 * len(core) and len(across) > 2
    is_marked = is_styled or is_ruled
    columns = find_columns(core, is_marked=is_marked)
    if not columns or not (is_marked or any(map(has_numbers, core)) or len(core) > DENSE * (stop - start)):
        return None
    while _is_before_table(rows[start], columns):
        start += 1
    first = _first_header_line(rows, start, done, columns)
    shown = visual_rows(rows[first:stop])
    names = _header_rows(shown, columns, body_style if is_styled else None)
    if not names and is_ruled:
        names = _ruled_header_rows(shown, columns, across)
    body = shown[names:]
    if not any(len(row) > 1 for row in body):
        return None
    header = header_cells(shown[:names], columns, rules.places)
    cells = body_rows(body, columns, across if is_ruled else ())
    return _Found(first, stop, Table(header if any(header) else (), tuple(cells)))


def _is_before_table(row: Row, columns: Sequence[Column]) -> bool:
    """Whether it is of the text above a table: a line with a gap by chance."""
    wide = (columns[-1].right - columns[0].left) / 2
    is_text = all(column_of(part, columns) == 0 for part in row) or any(part.right - part.left > wide for part in row)
    return is_text and not has_numbers(row)


def _first_header_line(rows: Sequence[Row], start: int, done: int, columns: Sequence[Column]) -> int:
    """The first of the lines above the table's first row that stand above its values, and are names of columns."""
    top = max(part.top for part in rows[start])
    first = start
    sections = 0
    for at in range(start - 1, max(done, start - MOST_HEADER_LINES) - 1, -1):
        row = rows[at]
        room = (LOOSE if first == start else STACKED) * row[0].height
        is_apart = min(part.bottom for part in row) - top > room or row[0].top < rows[start][0].bottom
        if is_apart or row[0].height > LARGER * rows[start][0].height:
            break
        is_beside = first < start and row[0].bottom < top - row[0].height / 2
        if all(is_beside or _is_above_values(part, columns) for part in row):
            first = at
        elif first == start and sections < MOST_SECTIONS and _is_section(row, columns):
            # Taken along if there is a header above it.
            sections += 1
        else:
            break
        top = max(top, *(part.top for part in row))
    return first


def _is_section(row: Row, columns: Sequence[Column]) -> bool:
    is_name = columns[0].left - OUTDENT < row[0].left and row[0].right < columns[1].left
    return len(row) == 1 and is_name


def _is_above_values(part: Segment, columns: Sequence[Column]) -> bool:
    if NOTE.match(part.text) and part.left < columns[0].left + CLOSE_TO_EDGE:
        return True
    is_centred = abs(part.middle - (columns[0].left + columns[-1].right) / 2) < CENTRED and not is_date(part.text)
    if (part.text.isupper() and " " in part.text) or (is_centred and part.left < columns[1].left):
        # The title of the page.
        return False
    is_within = columns[0].left + part.height < part.left and part.right < columns[-1].right + 3 * part.height
    return is_within and column_of(part, columns) > 0 and not part.is_amount


def _header_rows(shown: Sequence[Row], columns: Sequence[Column], body_style: int | None) -> int:
    """How many of the rows at the top of a table are its header. `body_style` is that of rows under it, if another."""
    has_values = any(has_numbers(row) for row in shown if body_style in (None, row[0].style))
    count = 0
    for number, row in enumerate(shown[:-1]):
        values = [part for part in row if column_of(part, columns) > 0]
        has_name = len(values) < len(row)
        if body_style is not None and row[0].style != body_style:
            is_header = bool(values) and not any(is_number(part.text) for part in values)
        elif body_style is not None and (has_name or not any(is_date(part.text) for part in values)):
            break
        else:
            is_header = bool(values) and has_values and not any(part.is_amount for part in values)
        if is_header:
            count = number + 1
        elif values or not NOTE.match(row[0].text):
            break
    return count


def _ruled_header_rows(shown: Sequence[Row], columns: Sequence[Column], across: Sequence[float]) -> int:
    """How many rows stand above the second rule of a table, if what they say are names of columns."""
    bands = [sum(height > (row[0].bottom + row[0].top) / 2 for height in across) for row in shown]
    count = bands.count(bands[0])
    names = header_cells(shown[:count], columns, ())
    is_header = len(columns) > 2 and all(name and not _NO_NAME.search(name) for name in names)
    return count if is_header and len(set(bands)) > 2 else 0
