"""The rows above a table's first data in, one name for each column out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations

from pipelines.ingest.formats.pdf_columns import CLOSE, Column, Row, column_of
from pipelines.ingest.formats.pdf_segments import Segment

UNDER = 0.8
"""Of a line's height: how far under a name the rule is that underlines what it spans."""
MOST_COLUMNS = 16
"""Beyond, there are too many ways to divide them."""
OFF_MIDDLE = 0.2
"""Of a column's width: columns are not all as wide as their cells, nor is a date set exactly in their middle."""

NOTE = re.compile(r"\([^)]*\)(?:\s*\([^)]*\))*\Z")
"""What is said in brackets, such as the unit, of all columns."""

_PERIOD = re.compile(r"\bended\b|\b(?:19|20)\d\d\b", re.IGNORECASE)


def header_cells(rows: Sequence[Row], columns: Sequence[Column], rules: Sequence[float]) -> tuple[str, ...]:
    """Stacked lines of a header as one name a column: what spans columns is part of the name of each of them.

    `rules` are height, left and right end of each rule on the page in turn.
    """
    spans: list[list[range]] = []
    below: list[tuple[Segment, range]] = []
    # From the lowest row up: what stands above a name that spans columns is the beginning of that name.
    for row in reversed(rows):
        spans.insert(0, _spans(row, columns, rules, below))
        below = list(zip(row, spans[0], strict=True))
    names: list[list[str]] = [[] for _ in columns]
    for row, covered in zip(rows, spans, strict=True):
        for segment, span in zip(row, covered, strict=True):
            for column in span:
                names[column].append(segment.text)
    return tuple(" ".join(parts) for parts in names)


def _spans(
    row: Row, columns: Sequence[Column], rules: Sequence[float], below: Sequence[tuple[Segment, range]]
) -> list[range]:
    """For each segment the columns it stands above: those its rule underlines, or over whose middle it is set."""
    if len(row) == 1 and NOTE.match(row[0].text):
        return [range(1)]
    bases = [_base(segment, columns) for segment in row]
    if not below:
        return bases
    spanning = [segment for segment, base in zip(row, bases, strict=True) if 0 not in base]
    underlined = _underlined(spanning, columns, rules)
    if underlined:
        return [*bases[: len(row) - len(spanning)], *underlined]
    spans: list[range] = []
    for number, (segment, base) in enumerate(zip(row, bases, strict=True)):
        # Column 0 holds the names of the rows: nothing spans from it to the values.
        first = min(max(spans[-1].stop if spans else 1, 1), base.start)
        last = max(bases[number + 1].start if number + 1 < len(bases) else len(columns), base.stop)
        continued = next((span for name, span in below if len(span) > 1 and _is_right_above(segment, name)), None)
        spans.append(base if 0 in base else continued or _centred(segment, base, columns, first, last))
    return spans


def _is_right_above(segment: Segment, name: Segment) -> bool:
    shared = min(segment.right, name.right) - max(segment.left, name.left)
    is_close = segment.bottom - name.top < segment.height / 2
    return is_close and shared > 0.5 * min(segment.right - segment.left, name.right - name.left)


def _underlined(row: Sequence[Segment], columns: Sequence[Column], rules: Sequence[float]) -> list[range]:
    """Divide the columns that are underlined right below `row` so that each segment stands best above its own."""
    if not row or len(columns) > MOST_COLUMNS:
        return []
    low, high = row[0].bottom - UNDER * row[0].height, row[0].bottom + UNDER / 2 * row[0].height
    lines = [rules[at : at + 3] for at in range(0, len(rules), 3) if low <= rules[at] <= high]
    under = [n for n, column in enumerate(columns) if n and any(line[1] < column.middle < line[2] for line in lines)]
    if len(under) < len(row):
        return []
    own = [_within(line, columns) for part in row for line in lines if line[1] <= part.middle <= line[2]]
    if len(own) == len(row) and sum(map(len, own)) == len(under):
        return own
    # A piece under each column: the rule does not tell where one name ends and the next begins.
    divisions: list[list[range]] = []
    for cuts in combinations(range(1, len(under)), len(row) - 1):
        ends = zip((0, *cuts), (*cuts, len(under)), strict=True)
        divisions.append([range(under[start], under[stop - 1] + 1) for start, stop in ends])
    best = min(divisions, key=lambda spans: _misfit(row, spans, columns))
    is_above = all(
        columns[span.start].left < part.middle < columns[span.stop - 1].right
        for part, span in zip(row, best, strict=True)
    )
    return best if is_above else []


def _within(line: Sequence[float], columns: Sequence[Column]) -> range:
    """The columns whose middle is above the rule."""
    inside = [number for number, column in enumerate(columns) if number and line[1] < column.middle < line[2]]
    return range(inside[0], inside[-1] + 1) if inside else range(0)


def _misfit(row: Sequence[Segment], spans: Sequence[range], columns: Sequence[Column]) -> float:
    """How far a row is from being set in the middle of its columns, or at their right, whichever is nearer."""
    pairs = list(zip(row, spans, strict=True))
    centred = sum(_off(part, span, columns) for part, span in pairs)
    return min(centred, sum(abs(columns[span.stop - 1].right - part.right) for part, span in pairs))


def _centred(segment: Segment, base: range, columns: Sequence[Column], first: int, last: int) -> range:
    """Of the columns from `first` up to `last` those around `base` in whose middle `segment` stands."""
    spans = [range(start, stop) for start in range(first, base.start + 1) for stop in range(base.stop, last + 1)]
    off = {span: _off(segment, span, columns) for span in spans}
    best = min(spans, key=lambda span: (round(off[span] / CLOSE), len(span)))
    if _PERIOD.search(segment.text):
        # What is in the middle of one column is in that of three too: a date stands above all of them.
        pitch = (columns[-1].right - columns[1].left) / (len(columns) - 1)
        return max((span for span in spans if off[span] <= off[best] + OFF_MIDDLE * pitch), key=len)
    return best if off[best] + CLOSE < off[base] else base


def _base(segment: Segment, columns: Sequence[Column]) -> range:
    """The columns under `segment`; the nearest one where there is none."""
    under = [
        number
        for number, column in enumerate(columns)
        if column.overlap(segment) > 0.25 * min(column.right - column.left, segment.right - segment.left)
    ]
    if not under:
        nearest = column_of(segment, columns)
        return range(nearest, nearest + 1)
    if 0 in under and len(under) > 1:
        under = under[:1] if columns[0].overlap(segment) > columns[1].overlap(segment) else under[1:]
    return range(under[0], under[-1] + 1)


def _off(segment: Segment, span: range, columns: Sequence[Column]) -> float:
    """How far `segment` is from the middle of the columns."""
    return abs((columns[span.start].left + columns[span.stop - 1].right) / 2 - segment.middle)
