"""A table's cells in, a `Block` of rows out."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipelines.domain import Block
from pipelines.ingest.formats.clean import clean_line

SEPARATOR = " | "

TOTAL = re.compile(r"(?:(?:sub|grand )?total|(?:zwischen|gesamt)?summe|(?:ins)?gesamt)\b", re.IGNORECASE)
"""How a row begins that sums up those above it."""


def table_block(
    rows: Sequence[Sequence[str]], *, section: tuple[str, ...], has_header: bool = True, is_grouped: bool = False
) -> Block | None:
    """One row a line, cells between separators; None when the table holds no text.

    A table of a single row has no header: the row is its content. Rows under a name with a colon carry that name,
    unless the table `is_grouped` and they do.
    """
    filled = [cells for cells in ([_cell(cell) for cell in row] for row in rows) if any(cells)]
    if not filled:
        return None
    start = 1 if has_header and len(filled) > 1 else 0
    body = filled[start:] if is_grouped else _with_groups(filled[start:])
    header = SEPARATOR.join(filled[0]) if start else ""
    return Block("\n".join(map(SEPARATOR.join, body)), kind="table", section=section, header=header)


def name_cells(row: str, header: str) -> str:
    """A row of a table block that says what each cell is: `City: Berlin | Limit: 180 EUR`."""
    if not header:
        return row
    names, cells = header.split(SEPARATOR), row.split(SEPARATOR)
    names += [""] * (len(cells) - len(names))
    named = [f"{name}: {cell}" if name else cell for name, cell in zip(names, cells, strict=False) if cell]
    return SEPARATOR.join(named)


def _with_groups(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """The rows under one that is only a name with a colon, such as "Net sales:", with that name before theirs.

    Up to the next name without values, the next colon or a total; "Total net sales" needs no name before it.
    """
    found: list[list[str]] = []
    group = ""
    for label, *values in rows:
        if not any(values):
            group = label if label.endswith(":") else ""
        elif label.endswith(":"):
            group = ""
        elif group and label:
            if found[-1] == [group]:
                found.pop()
            is_total = TOTAL.match(label) is not None
            label = label if is_total and " " in label else f"{group} {label}"
            group = "" if is_total else group
        found.append([label, *values] if any(values) or not group else [group])
    return found


def _cell(text: str) -> str:
    return clean_line(text).replace("|", "/")
