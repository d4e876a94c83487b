"""Knows where code stands in Markdown while it is written: text goes in, whether the next bracket is code comes out.

In doubt it is not code, because only code is exempt from having its citations checked. So code that is indented, that
spans lines, or that is further from its closing backticks than can be seen is not recognised.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LONGEST_LINE = 4000
_MOST_LINES = 20
_MOST_INDENT = 3
_NO_ITEM = 1_000_000
_FENCE = re.compile(r"(?P<before>[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*)(?P<run>`{3,}(?=[^`]*$)|~{3,})")
_LIST_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+")
_RUN = re.compile(r"`+")
_ESCAPE_OR_RUN = re.compile(r"\\[\\`]|`+")
_LINE_OR_CELL_END = re.compile(r"[\n|]")


@dataclass(frozen=True, slots=True)
class _Fence:
    """A fence that was opened; one inside a list's item ends with the item."""

    run: str
    indent: int
    in_item: bool

    def holds(self, line: str) -> bool:
        """Whether a line stands inside, or closes it."""
        return not (self.in_item and line.strip() and _indent(line) < self.indent)

    def is_closed_by(self, line: str) -> bool:
        closing = line.strip(" \t")
        most = _MOST_INDENT + (self.indent if self.in_item else 0)
        return closing.startswith(self.run) and not closing.strip(self.run[0]) and _indent(line) <= most


class CodePlaces:
    """Follows an answer, line by line, by CommonMark's rules for fences and code spans."""

    def __init__(self) -> None:
        self.line = ""
        self._fence: _Fence | None = None
        self._item_indent = _NO_ITEM
        self._above: list[str] = []  # the paragraph's lines that have a backtick

    @property
    def at_line_start(self) -> bool:
        """Whether nothing but space stands on the line so far."""
        return not self.line.strip()

    def follow(self, text: str) -> None:
        """Take what was said."""
        *whole, rest = text.split("\n")
        for part in whole:
            self._end_line(self.line + part)
            self.line = ""
        if len(self.line) < _LONGEST_LINE:
            self.line += rest

    def is_code(self, lead: str, window: str, *, whole: bool, ended: bool) -> bool | None:
        """Whether a bracket at the head of `window`, after `lead`, is code; None when more must be seen to know.

        `whole`: no more than `window` may be looked at; `ended`: the answer ends with it.
        """
        line = self.line + lead
        if self._fence and self._fence.holds(f"{line}["):
            return True
        ticks = _open_ticks(line) if len(line) < _LONGEST_LINE and len(self._above) < _MOST_LINES else 0
        if not ticks or any(_open_ticks(text) != ticks for text in self._readings(line)):
            return False
        end = _LINE_OR_CELL_END.search(window)
        for run in _RUN.finditer(window, 0, end.start() if end else len(window)):
            run_is_whole = run.end() < len(window) or ended
            if len(run[0]) == ticks and run_is_whole:
                return True
        return False if end or whole else None

    def _readings(self, line: str) -> Iterator[str]:
        """What a code span may have begun in: a cell, if the line is a table's row; the lines above, if any."""
        yield line.rpartition("|")[2]
        text = line
        for above in reversed(self._above):
            text = f"{above}\n{text}"
            yield text

    def _end_line(self, line: str) -> None:
        if self._fence and self._fence.holds(line):
            if self._fence.is_closed_by(line):
                self._fence = None
            return
        self._fence = None
        if not line.strip():
            self._above.clear()
        elif "`" in line:
            self._above.append(line)
        if item := _LIST_ITEM.match(line):
            self._item_indent = min(_width(item[0]), self._item_indent)
        elif line.strip() and not line[0].isspace():
            self._item_indent = _NO_ITEM
        if opened := _FENCE.match(line):
            indent = _width(opened["before"])
            in_item = indent >= self._item_indent
            if in_item or indent <= _MOST_INDENT:
                self._fence = _Fence(opened["run"], indent, in_item)
                self._above.clear()


def _open_ticks(line: str) -> int:
    """How many backticks opened the code span that is still open at the end of the line; 0 when none is."""
    opened, at = 0, 0
    while found := (_RUN if opened else _ESCAPE_OR_RUN).search(line, at):
        at = found.end()
        if found[0][0] == "\\":
            continue
        if not opened:
            opened = len(found[0])
        elif len(found[0]) == opened:
            opened = 0
    return opened


def _indent(line: str) -> int:
    return _width(line[: len(line) - len(line.lstrip(" \t"))])


def _width(text: str) -> int:
    return len(text.expandtabs(4))
