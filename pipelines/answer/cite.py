"""Checks the citations of an answer while it is written: a model's pieces of text go in, the same with right marks out.

A mark whose number no citation has is taken out; every other form of a mark (`marks.py`) becomes `[1]`. Code is left
alone, and so is all other Markdown; but a mark never becomes the text of a link, whose address the model chose.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from pipelines.answer.code_spans import CodePlaces
from pipelines.answer.marks import MARK, OPENERS, may_become_mark, spans

WINDOW = 40
"""What is held back is never longer than this, from a bracket on that may begin a mark, and the spaces before it."""

_SLICE = 200
_LONGEST_OPEN = 1000
_SPACE = r"[ \t\u00a0\u2009\u202f]{0,8}"
_LEAD = re.compile(rf"{_SPACE}(?P<around>[(（]|\*{{1,3}})?{_SPACE}")
_LEAD_AFTER_MARK = re.compile(rf"[,;]?{_LEAD.pattern}")
_CLOSING = {"(": ")", "（": "）"}
_TELLING = rf"\s(（*,;\\{re.escape(OPENERS)}"
_PLAIN = re.compile(rf"(?:[^{_TELLING}]|[\s,;](?=[^{_TELLING}]))+")
_NO_SPACE_BEFORE = frozenset(".,;:!?)]}\n…。，、；：！？）")
_BEGUN_LIST = re.compile(r"\[\s*(?:\d+(?:#[^,\]\s]*)?(?:,\s*(?:\d+(?:#[^,\]\s]*)?)?)*)?")
_WHOLE_ITEMS = re.compile(r"\[\s*((?:\d+(?:#[^,\]\s]+)?,\s*)+)")
_ONLY_MARK = re.compile(r"\s*\[\d+\]")


class CitationFilter:
    """Filters one answer; what comes out does not depend on how the text was cut into pieces.

    `numbers` may grow while the answer is written: it is looked at for every mark. `dropped` counts the marks that lost
    a number.
    """

    def __init__(self, numbers: Collection[int]) -> None:
        self._numbers = numbers
        self._held = ""
        self._lead: re.Match[str] | None = None  # what stood before marks that were taken out, not yet said
        self._after_mark = False
        self._open_bracket = ""  # what was said since a bracket that is not closed yet
        self._places = CodePlaces()
        self._out: list[str] = []
        self.dropped = 0

    def feed(self, text: str) -> str:
        """Take the next piece of the answer and return what can be said by now."""
        # Slices, because what is held is copied with every step: an answer may come as one piece.
        slices = (text[start : start + _SLICE] for start in range(0, len(text), _SLICE))
        return "".join(self._take(piece) for piece in slices)

    def end(self) -> str:
        """Return what was held back; nothing may be fed afterwards."""
        return self._take("", final=True)

    def _take(self, text: str, *, final: bool = False) -> str:
        self._held += text
        while self._step(final):
            pass
        said = "".join(self._out)
        self._out.clear()
        return said

    def _step(self, final: bool) -> bool:
        """Do one thing with what is held; False when nothing can be done before more comes."""
        lead, rest = self._parted()
        if not rest:
            if final:
                self._say("" if self._lead else lead)
                self._held, self._lead = "", None
            return False
        if rest[0] in OPENERS or rest[0] == "\\":
            return self._bracket(lead, rest, final)
        if self._lead:
            return self._close_gap(self._lead, rest, final)
        plain = _PLAIN.match(rest)
        return self._pass_on(lead, rest, plain.end() if plain else 0 if lead else 1)

    def _parted(self) -> tuple[str, str]:
        if self._lead:
            return self._lead[0], self._held
        lead = (_LEAD_AFTER_MARK if self._after_mark else _LEAD).match(self._held)
        assert lead is not None
        return lead[0], self._held[lead.end() :]

    def _pass_on(self, lead: str, rest: str, length: int) -> bool:
        self._lead = None
        self._held = rest[length:]
        self._say(lead + rest[:length])
        return True

    def _bracket(self, lead: str, rest: str, final: bool) -> bool:
        window = rest[:WINDOW]
        whole = final or len(rest) >= WINDOW
        code = self._places.is_code(lead, window, whole=whole, ended=final and len(rest) <= WINDOW)
        if code is None:
            return False
        if not code:
            if mark := MARK.match(window):
                return self._mark(lead, rest, mark)
            if not whole and may_become_mark(window):
                return False
            if len(rest) >= WINDOW and _BEGUN_LIST.fullmatch(window):
                return self._long_list(lead, rest)
        return self._pass_on(lead, rest, 1)

    def _mark(self, lead: str, rest: str, mark: re.Match[str]) -> bool:
        right: list[int] = []
        wrong = False
        for first, last in spans(mark):
            known = [number for number in sorted(self._numbers) if first <= number <= last]
            wrong = wrong or len(known) < last - first + 1
            right += known
        self.dropped += wrong
        return self._replace(lead, right, rest[mark.end() :])

    def _replace(self, lead: str, numbers: list[int], rest: str) -> bool:
        """Say the right numbers of what was read; with none, remember what stood before it."""
        if numbers:
            self._lead = None
            self._say(lead)
            marks = "".join(f"[{number}]" for number in dict.fromkeys(numbers))
            self._places.follow(marks)
            self._out.append(marks)
            self._after_mark, self._open_bracket = True, ""
        elif self._lead is None:
            self._lead = (_LEAD_AFTER_MARK if self._after_mark else _LEAD).match(self._held)
        self._held = rest
        return True

    def _long_list(self, lead: str, rest: str) -> bool:
        """Open WebUI renders a list of any length: say what is right of it so far, or take the list's look away."""
        items = _WHOLE_ITEMS.match(rest[:WINDOW])
        if not items:
            return self._pass_on(lead, "\\" + rest, 2)
        numbers = [int(number) for number in re.findall(r"(?<!#)\b\d+", items[1])]
        right = [number for number in numbers if number in self._numbers]
        self.dropped += len(right) < len(numbers)
        return self._replace(lead, right, "[" + rest[items.end() :])

    def _close_gap(self, lead: re.Match[str], rest: str, final: bool) -> bool:
        """Join what stood before marks that were taken out with what comes after them."""
        around = lead["around"]
        if around:
            closing = _CLOSING.get(around, around)
            if rest.startswith(closing):
                self._lead = _LEAD.match(lead[0][: lead.start("around")])
                self._held = rest[len(closing) :]
                return True
            if closing.startswith(rest) and not final:
                return False
            if rest[0] in ",; ":
                self._held = rest[1:]
                return True
            return self._pass_on(lead[0], rest, 0)
        if rest[0] in " \t" and not lead[0] and self._places.at_line_start:
            self._held = rest[1:]
            return True
        return self._pass_on(self._joint(lead[0], rest[0]), rest, 0)

    def _joint(self, lead: str, following: str) -> str:
        """What to say where marks were taken out, so that what is left does not become a mark, or other code."""
        if _BEGUN_LIST.fullmatch(self._open_bracket):
            return f"{lead}\\"
        if following == "`" and self._places.line.endswith("`"):
            return lead or " "
        return "" if following.isspace() or following in _NO_SPACE_BEFORE else lead

    def _say(self, text: str) -> None:
        if not text:
            return
        if self._after_mark and self._would_link(text):
            text = f" {text}"
        self._after_mark = False
        opened, closed = text.rfind("["), text.rfind("]")
        if opened > closed:
            self._open_bracket = text[opened:]
        elif closed >= 0:
            self._open_bracket = ""
        elif 0 < len(self._open_bracket) < _LONGEST_OPEN:
            self._open_bracket += text
        self._places.follow(text)
        self._out.append(text)

    def _would_link(self, text: str) -> bool:
        """Whether Markdown would make a link, or the target of one, of a mark with this after it."""
        if text[0] in "([":
            return True
        return text[0] == ":" and _ONLY_MARK.fullmatch(self._places.line) is not None
