"""The rows of a sheet in, its tables and the lines between them as blocks out.

A sheet is a grid without markup: where its tables begin, and which row names the columns, is read off the cells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile

from pipelines.domain import Block
from pipelines.errors import DocumentTooLarge
from pipelines.ingest.formats.clean import clean_lines
from pipelines.ingest.formats.table import table_block

MAX_CELLS = 2_000_000
"""Cells of a sheet, rows times columns: beyond, it is a data base, and takes hours to embed."""

Row = Sequence[str]

_VALUE = re.compile(r"\W*\d[\d.,:%/\sTZ+-]*\W*|TRUE|FALSE|#[A-Z/0]+[!?]?")
"""A number, an amount, a date or an error: what stands in the body of a table, not in its header."""
_YEAR = re.compile(r"(?:19|20)\d\d")


@dataclass(frozen=True, slots=True)
class _Table:
    """Rows of equal length, the first of which stands in the sheet's column `left`."""

    left: int
    rows: list[Row]

    @property
    def place(self) -> tuple[int, int]:
        return self.left, len(self.rows[0])


def grid_blocks(rows: Sequence[Row], *, section: tuple[str, ...] = ()) -> list[Block]:
    """The blocks of one sheet, whose `rows` may be of unequal length.

    Empty rows part tables; one without a header goes on with the columns of the one above it, if it has as many.
    Tables beside each other are parted by an empty column. Lines of a single cell above a table are its titles.

    Raises:
        DocumentTooLarge: the sheet has more than `MAX_CELLS`.
    """
    refuse_too_many(len(rows) * max(map(len, rows), default=0))
    blocks: list[Block] = []
    headers: dict[tuple[int, int], Row] = {}
    for table in _tables(rows):
        titles = _titles(table.rows)
        blocks += [Block(text, section=section) for text in map(clean_lines, titles) if text]
        body = table.rows[len(titles) :]
        if _is_header(body):
            headers[table.place], body = body[0], body[1:]
        header = headers.get(table.place)
        block = table_block([header, *body] if header else body, section=section, has_header=header is not None)
        if block:
            blocks.append(block)
    return blocks


def refuse_too_many(cells: int) -> None:
    """Raise `DocumentTooLarge` above `MAX_CELLS`."""
    if cells > MAX_CELLS:
        raise DocumentTooLarge(
            f"A sheet spreads over {cells:,} cells and {MAX_CELLS:,} can be read: split it, or clear what is far off."
        )


def _tables(rows: Sequence[Row]) -> Iterator[_Table]:
    for is_filled, group in groupby(rows, key=lambda row: any(map(str.strip, row))):
        if is_filled:
            yield from _side_by_side(list(group))


def _side_by_side(band: Sequence[Row]) -> Iterator[_Table]:
    """The tables of a band: one, unless each run of filled columns looks like a table of its own."""
    used = sorted({column for row in band for column, cell in enumerate(row) if cell.strip()})
    starts = [0] + [index for index in range(1, len(used)) if used[index] > used[index - 1] + 1]
    runs = [(used[start], used[end - 1]) for start, end in zip(starts, [*starts[1:], len(used)], strict=True)]
    parts = [_cut(band, *run) for run in runs]
    if len(parts) > 1 and all(_is_whole(part.rows) for part in parts):
        yield from parts
    else:
        yield _cut(band, used[0], used[-1])


def _cut(band: Sequence[Row], first: int, last: int) -> _Table:
    width = last - first + 1
    return _Table(first, [[*row[first : last + 1], *[""] * (width - len(row[first : last + 1]))] for row in band])


def _is_whole(rows: Sequence[Row]) -> bool:
    body = rows[len(_titles(rows)) :]
    return len(rows[0]) > 1 and len(body) > 1 and _is_header(body)


def _titles(rows: Sequence[Row]) -> list[str]:
    """The texts of the single cells above a table; all of them, where no row has two cells."""
    return ["".join(row).strip() for row in takewhile(lambda row: len(_filled(row)) < 2, rows)]


def _is_header(body: Sequence[Row]) -> bool:
    """Whether the first of several rows holds more names (or years) than values and fills half of the columns."""
    if len(body) < 2:
        return False
    cells = _filled(body[0])
    names = sum(1 for cell in cells if _YEAR.fullmatch(cell) or not _VALUE.fullmatch(cell))
    return 2 * names > len(cells) and 2 * len(cells) >= len(body[0])


def _filled(row: Row) -> list[str]:
    return [cell.strip() for cell in row if cell.strip()]
