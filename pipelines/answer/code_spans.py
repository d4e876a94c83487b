"""Knows where code stands in Markdown while it is written: text goes in, whether the next bracket is code comes out.

In doubt it is not code, because only code is exempt from having its citations checked. So code that is indented, that
spans lines, or that is further from its closing backticks than can be seen is not recognised.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_LONGEST_LINE = 4000
_FENCE = re.compile(r"(?P<before>[ \t]*(?P<marker>(?:[-*+]|\d{1,9}[.)])[ \t]+)*)(?P<run>`{3,}(?=[^`]*$)|~{3,})")
_LIST_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]")
_RUN = re.compile(r"`+")
_ESCAPE_OR_RUN = re.compile(r"\\[\\`]|`+")
_LINE_OR_CELL_END = re.compile(r"[\n|]")


@dataclass(frozen=True, slots=True)
class _Fence:
    run: str
    indent: int


class CodePlaces:
    """Follows an answer, line by line, by CommonMark's rules for fences and code spans."""

    def __init__(self) -> None:
        self.line = ""
        self._fence: _Fence | None = None
        self._in_list = False

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
        if self._fence and _indent(line) >= self._fence.indent:
            return True
        ticks = _open_ticks(line) if len(line) < _LONGEST_LINE else 0
        # A code span ends with its cell, if the line is a table's row: it must be one either way.
        if not ticks or _open_ticks(line.rpartition("|")[2]) != ticks:
            return False
        end = _LINE_OR_CELL_END.search(window)
        for run in _RUN.finditer(window, 0, end.start() if end else len(window)):
            run_is_whole = run.end() < len(window) or ended
            if len(run[0]) == ticks and run_is_whole:
                return True
        return False if end or whole else None

    def _end_line(self, line: str) -> None:
        if self._fence and not self._ends_fence(self._fence, line):
            return
        fence, closed = _FENCE.match(line), self._fence is not None and bool(line.strip("`~ \t") == "")
        self._fence = None
        if _LIST_ITEM.match(line):
            self._in_list = True
        elif line.strip() and not line[0].isspace():
            self._in_list = False
        if fence and not closed:
            indent = _width(fence["before"])
            if indent <= 3 or self._in_list:
                self._fence = _Fence(fence["run"], indent)

    @staticmethod
    def _ends_fence(fence: _Fence, line: str) -> bool:
        """A fence ends with its like, or with the list item it stands in."""
        if not line.strip():
            return False
        indent = _indent(line)
        closing = line.strip(" \t")
        if closing.startswith(fence.run) and not closing.strip("`~"):
            return indent <= fence.indent + 3
        return indent < fence.indent


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
