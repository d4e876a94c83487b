"""What counts as a citation mark in a text: a text goes in, its marks and their numbers come out.

One grammar for both ways: marks that documents carry are taken out of a prompt (`inert.py`), marks that a model
writes are checked (`cite.py`). It takes everything that Open WebUI 0.12.4 renders as a citation, which is
`\\[\\d+(#…)?(,\\s*\\d+(#…)?)*\\]` (its Markdown extension `citation`), and the forms that models were trained to write:

    [1]  [1, 2]  [2-4]  [[1]]  \\[1\\]  [^1]  [#1]  ［1］  【1†source】  【1:0†L10】
    [Source 1]  [doc1]  [Passage 2, p. 3]  [1, Travel policy.pdf]
"""

from __future__ import annotations

import re
from collections.abc import Iterator

OPENERS = "[［【〔〖⟦❲"
CLOSERS = "]］】〕〗⟧❳"

LABELS = (
    *("source", "sources", "passage", "passages", "citation", "citations", "cite", "ref", "refs"),
    *("reference", "references", "doc", "docs", "document", "documents", "quelle", "quellen", "passagen"),
    *("dokument", "dokumente", "fuente", "fuentes", "pasaje", "pasajes", "documento", "documentos"),
    *("fonte", "fontes", "fonti", "passaggio", "bron", "bronnen"),
)
"""Words that a model puts before a passage's number."""

_PLACES = (
    "p|pp|pg|page|pages|s|seite|seiten|pág|página|páginas|pagina|l|line|lines|sec|section|sections|§|table|tables|"
    "chapter|ch|art|article|para"
)
_OPEN = rf"\\*+[{re.escape(OPENERS)}]"
_CLOSE = rf"\\*[{re.escape(CLOSERS)}]"
_INSIDE = re.escape(OPENERS + CLOSERS) + "{}"
_GAP = r"[\s\u061c\u200b-\u200f\u2060\ufeff]*+"
_LABEL = rf"\^?+(?:(?:{'|'.join(sorted(LABELS, key=len, reverse=True))})[\s.:_-]*+)?+#?+{_GAP}"
_ITEM = rf"{_LABEL}(?P<first>\d++)(?:#[^,\]\s{{}}]+)?(?:{_GAP}[-‐‑–—]{_GAP}{_LABEL}(?P<last>\d++))?"
_UNNAMED_ITEM = re.sub(r"\?P<\w+>", "?:", _ITEM)
_AND = rf"{_GAP}(?:[,;、，]|\b(?:and|und|et|y|e|en)\b){_GAP}"
_PLACE = rf"(?:{_PLACES})\.?{_GAP}\d[\d.]*+(?:{_GAP}[-–]{_GAP}\d[\d.]*+)?"
_TAIL = (
    rf"(?::\d++)?†[^{_INSIDE}]*+"
    rf"|(?<=\s){_PLACE}"
    rf"|[,;:](?:[^{_INSIDE}\n]{{0,80}}?(?<![^\W_]))?{_PLACE}"
    rf"|[,;:]\s?[^{_INSIDE}\n]{{1,80}}?\.[a-z][a-z0-9]{{1,4}}(?![^{_INSIDE}])"
)
_INNER = rf"{_GAP}{_UNNAMED_ITEM}(?:{_AND}{_UNNAMED_ITEM})*(?:{_GAP}(?:{_TAIL}))?{_GAP}"

MARK = re.compile(
    rf"(?<!\\)(?:{_OPEN}{_OPEN}(?P<twice>{_INNER}){_CLOSE}{_CLOSE}|{_OPEN}(?P<once>{_INNER}){_CLOSE})", re.IGNORECASE
)
"""A whole mark. Groups: what stands between two brackets a side, or between one."""

_LIST = re.compile(rf"{_GAP}{_UNNAMED_ITEM}(?:{_AND}{_UNNAMED_ITEM})*", re.I)
_ONE = re.compile(_ITEM, re.I)
_BEGUN = re.compile(
    rf"\\*(?:{_OPEN}(?P<label>{_GAP}\^?[^\W\d_]*[\s.:_-]*#?{_GAP})(?:\d[^{re.escape(CLOSERS)}]*)?"
    rf"|{_OPEN}{_OPEN}(?P<other>{_GAP}\^?[^\W\d_]*[\s.:_-]*#?{_GAP})"
    rf"(?:\d[^{re.escape(CLOSERS)}]*(?:[{re.escape(CLOSERS)}]\\*)?)?)?"
)


def inner(mark: re.Match[str]) -> str:
    """What stands between a mark's brackets."""
    return mark["twice"] if mark["twice"] is not None else mark["once"]


def spans(mark: re.Match[str]) -> Iterator[tuple[int, int]]:
    """The first and the last number of each item of a mark, in its order; they are the same but for a range."""
    text = inner(mark)
    named = _LIST.match(text)
    for item in _ONE.finditer(named[0] if named else text):
        first = int(item["first"])
        last = int(item["last"]) if item["last"] else first
        yield (first, last) if first <= last else (last, first)


def may_become_mark(text: str) -> bool:
    """Whether a text that is no whole mark can be the beginning of one."""
    begun = _BEGUN.fullmatch(text)
    if not begun:
        return False
    word = (begun["label"] or begun["other"] or "").strip(" \t\n^#.:_-").lower()
    return not word or any(label.startswith(word) for label in LABELS)
