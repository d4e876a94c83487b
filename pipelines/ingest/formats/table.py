"""A table's cells in, a `Block` of rows out."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.domain import Block
from pipelines.ingest.formats.clean import clean_line

SEPARATOR = " | "


def table_block(rows: Sequence[Sequence[str]], *, section: tuple[str, ...], has_header: bool = True) -> Block | None:
    """One row a line, cells between separators; None when the table holds no text.

    A table of a single row has no header: the row is its content.
    """
    cleaned = ([_cell(cell) for cell in row] for row in rows)
    lines = [SEPARATOR.join(cells) for cells in cleaned if any(cells)]
    if not lines:
        return None
    if not has_header or len(lines) == 1:
        return Block("\n".join(lines), kind="table", section=section)
    return Block("\n".join(lines[1:]), kind="table", section=section, header=lines[0])


def name_cells(row: str, header: str) -> str:
    """A row of a table block that says what each cell is: `City: Berlin | Limit: 180 EUR`."""
    if not header:
        return row
    names, cells = header.split(SEPARATOR), row.split(SEPARATOR)
    names += [""] * (len(cells) - len(names))
    named = [f"{name}: {cell}" if name else cell for name, cell in zip(names, cells, strict=False) if cell]
    return SEPARATOR.join(named)


def _cell(text: str) -> str:
    return clean_line(text).replace("|", "/")
