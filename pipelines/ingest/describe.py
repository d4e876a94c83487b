"""A parsed document in, what it is about out: whose it is, of what kind and of which period.

Learned from what every document has: its title, its file name and how it begins. A question names documents by these
(`answer/recognise.py`), and chunks carry what their title does not say (`about`).
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import PurePosixPath

from pipelines.domain import Document, DocumentFacts, ParsedDocument
from pipelines.ingest.title import title_from_name
from pipelines.kinds import read_kinds
from pipelines.periods import coarser, last_day, read_periods, with_coarser

FIRST_LINES = 60
FIRST_CHARACTERS = 4_000
"""How much of the beginning is read: about a page."""
KIND_LINES = 20
MAX_NAMES, MAX_PERIODS = 6, 24
RECENT_YEARS = 10
MAX_NAME = 80
"""Characters: the longest name of an organisation that is believed."""
WEEK_CALENDAR = datetime.timedelta(days=6)
"""A fiscal period by weeks may end on the first days of the next month; the month it covers is the one before."""

_LEGAL_FORM = (
    r"Inc|Incorporated|INC|Corp|Corporation|CORP|CORPORATION|Ltd|Limited|LTD|LIMITED|LLC|LLP|PLC|plc|GmbH|GMBH|mbH|AG|"
    r"SE|KG|KGaA|e\.?V|AB|ASA|A/S|ApS|Oy|Oyj|B\.?V|N\.?V|S\.A|SAS|SARL|S\.p\.A|SpA|S\.r\.l|Srl|S\.L|Pty|Pte|Stiftung"
)
_NAME_WORD = r"[A-Z0-9ÄÖÜÅØÆÉ][\w.&’'/-]*"
_ORGANISATION = re.compile(
    rf"(?<!\w){_NAME_WORD}(?:[ ,]+(?:{_NAME_WORD}|&|of|and|und|für|de)){{0,6}}?,?\s+(?:{_LEGAL_FORM})(?!\w)\.?"
)
_DATED_LINE = re.compile(
    r"\b(?:end(?:ed|ing|s)|period|quarter|year|month|fiscal|valid|effective|version|edition|revision|revised|updated|"
    r"dated?|issued|as of|since|from|stand|vom|gültig|ab|zum|geändert|fassung|quartal|jahr|monat|ausgabe)\b",
    re.IGNORECASE,
)
_ENDED = re.compile(r"\b(?:end(?:ed|ing|s)|endend|endet)\b", re.IGNORECASE)


def describe_document(document: Document, parsed: ParsedDocument) -> Document:
    """The document with its facts, as its title, its file name and its first page say them."""
    lines = list(_first_lines(parsed))
    own = (document.title, title_from_name(document.name))
    named = _named(read_periods("\n".join(own)))
    dated_lines = [line for line in lines if _DATED_LINE.search(line)]
    days = [period for line in dated_lines for period in read_periods(line)]
    facts = DocumentFacts(
        names=_names(lines),
        kinds=read_kinds("\n".join((*own, *lines[:KIND_LINES])))[:4],
        periods=_recent(dict.fromkeys((*named, *_derived(days, named)))),
        dated=_dated(dated_lines, named, days),
    )
    return replace(document, facts=facts)


def about(document: Document) -> str:
    """Whose document it is and of which period, as far as its title does not say: for the context of its chunks."""
    facts, title = document.facts, _plain(document.title)
    parts = [name for name in facts.names[:1] if _plain(name) not in title]
    words = title_from_name(document.name).split()
    lacking = [word for word in words if any(map(str.isdigit, word)) or _plain(word) not in title]
    if _plain(" ".join(words)) != title and any(map(str.isdigit, " ".join(lacking))):
        parts.append(" ".join(lacking))
    return ", ".join(parts)


def _first_lines(parsed: ParsedDocument) -> Iterator[str]:
    left = FIRST_CHARACTERS
    lines = (line.strip() for block in parsed.blocks for line in block.text.split("\n"))
    for line in islice((line for line in lines if line), FIRST_LINES):
        yield line[:left]
        left -= len(line)
        if left <= 0:
            return


def _names(lines: Sequence[str]) -> tuple[str, ...]:
    """Organisations; those alone on their line come first, for so a document says whose it is."""
    found = [(line.strip(" .,*#") == match[0].strip(" .,"), _cased(match[0])) for line, match in _organisations(lines)]
    ordered = [name for alone, name in found if alone] + [name for alone, name in found if not alone]
    return tuple({_plain(name): name for name in reversed(ordered)}.values())[::-1][:MAX_NAMES]


def _organisations(lines: Sequence[str]) -> Iterator[tuple[str, re.Match[str]]]:
    for line in lines:
        for match in _ORGANISATION.finditer(line[: 4 * MAX_NAME]):
            if len(match[0]) <= MAX_NAME:
                yield line, match


def _cased(name: str) -> str:
    """`INTEL CORPORATION` as a sentence would write it; what has small letters stays, and so does `AB`."""
    if not name.isupper():
        return name
    return " ".join(word.capitalize() if len(word) > 3 else word for word in name.split())


def _named(periods: Sequence[str]) -> tuple[str, ...]:
    """The times in its name and what they lie in; beside a quarter, a day there is when it was filed."""
    own_quarter = any("-Q" in period for period in periods)
    wider = with_coarser(periods)
    return tuple(period for period in wider if period in periods or not (own_quarter and "-Q" in period))


def _recent(periods: Iterable[str]) -> tuple[str, ...]:
    """Without times long before the newest: an act of 1934 is not what a report is about."""
    listed = list(periods)
    newest = max((int(period[:4]) for period in listed), default=0)
    return tuple(period for period in listed if int(period[:4]) > newest - RECENT_YEARS)[:MAX_PERIODS]


def _derived(days: Sequence[str], named: Sequence[str]) -> Iterator[str]:
    """The times a document begins with, and what they lie in; a quarter or year that its name gives stands above."""
    own_quarter = any("-Q" in period for period in named)
    own_year = any("-" not in period for period in named)
    for day in days:
        yield day
        for wider in coarser(_covered(day)):
            if not (own_quarter and "-Q" in wider) and not (own_year and "-" not in wider):
                yield wider


def _covered(day: str) -> str:
    if len(day) != len("2023-10-01"):
        return day
    date = datetime.date.fromisoformat(day)
    return (date - WEEK_CALENDAR).isoformat() if date.day <= WEEK_CALENDAR.days else day


def _dated(dated_lines: Sequence[str], named: Sequence[str], days: Sequence[str]) -> str:
    ended = [period for line in dated_lines if _ENDED.search(line) for period in read_periods(line)]
    return max(map(last_day, ended or named or days), default="")


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", PurePosixPath(text).name.casefold()))
