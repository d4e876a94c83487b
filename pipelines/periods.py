"""Reads times out of text: "the third quarter of 2023" goes in, "2023-Q3" comes out.

One notation for all: years `2023`, halves `2023-H1`, quarters `2023-Q3`, months `2023-09`, days `2023-09-30`; as text
they sort by time within one kind. English and German.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable, Iterator

_MONTHS = (
    *("january|januar|jänner|jan", "february|februar|feb", "march|märz|maerz|mar", "april|apr", "may|mai"),
    *("june|juni|jun", "july|juli|jul", "august|aug", "september|sept|sep", "october|oktober|oct|okt"),
    *("november|nov", "december|dezember|dec|dez"),
)
_MONTH_OF = {name: number for number, names in enumerate(_MONTHS, start=1) for name in names.split("|")}
_MONTH = rf"(?P<month>{'|'.join(sorted(_MONTH_OF, key=len, reverse=True))})\.?"
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "erste": 1, "zweite": 2, "dritte": 3, "vierte": 4}
_YEAR = r"(?P<year>(?:19|20)\d\d)"
_SHORT_YEAR = r"(?P<short>\d\d)"
_SPACE = r"[\s,_]*"
_FISCAL = r"(?:(?:of|in|im|for|the|fiscal|year|fy|des|jahres|geschäftsjahr\w*|calendar)\b[\s,_]*){0,4}"
_NTH = (
    r"(?:q(?P<q>[1-4])|(?P<q2>[1-4])q|(?P<nth>first|second|third|fourth|erste|zweite|dritte|vierte)[snrm]?\s+"
    r"(?P<unit>quarter|half|quartal|halbjahr)|(?P<n>[1-4])(?:st|nd|rd|th|\.)?[\s-]*(?P<unit2>quarter|quartal|halbjahr)"
    r"|h(?P<h>[12]))"
)
_EDGE, _END = r"(?<![^\W_])", r"(?![^\W_])"  # an underscore divides the words of a file's name

_PATTERNS = tuple(
    re.compile(_EDGE + pattern + _END, re.IGNORECASE)
    for pattern in (
        rf"{_YEAR}-(?P<mm>\d\d)-(?P<dd>\d\d)",
        rf"{_YEAR}(?P<mm>0[1-9]|1[0-2])(?P<dd>[0-3]\d)",
        rf"(?P<dd>\d{{1,2}})\.(?P<mm>\d{{1,2}})\.{_YEAR}",
        rf"(?P<mm>\d{{1,2}})/(?P<dd>\d{{1,2}})/{_YEAR}",
        rf"{_MONTH}\s+(?P<dd>\d{{1,2}})(?:st|nd|rd|th)?,?\s+{_YEAR}",
        rf"(?P<dd>\d{{1,2}})(?:st|nd|rd|th|\.)?\s+{_MONTH},?\s+{_YEAR}",
        rf"{_NTH}{_SPACE}{_FISCAL}(?:{_YEAR}|['’]{_SHORT_YEAR})",
        rf"{_YEAR}[\s_/-]*{_NTH}",
        rf"{_MONTH}\s+(?:of\s+)?{_YEAR}",
        rf"{_YEAR}-(?P<mm>0[1-9]|1[0-2])",
        rf"fy[\s'’]*(?:{_YEAR}|{_SHORT_YEAR})",
        rf"(?<![.,:$€£#§]){_YEAR}(?![.,:]\d|\s?%)",
    )
)
"""The most exact first: what one has read, the next does not read again."""


def read_periods(text: str) -> tuple[str, ...]:
    """Every time that a text names, each once, in the order of the text."""
    found: dict[int, str] = {}
    rest = text
    for pattern in _PATTERNS:
        for match in pattern.finditer(rest):
            if period := _period(match):
                found.setdefault(match.start(), period)
                rest = rest[: match.start()] + "#" * len(match[0]) + rest[match.end() :]
    return tuple(dict.fromkeys(found[start] for start in sorted(found)))


def without_periods(text: str) -> str:
    """The text without the times that it names."""
    for pattern in _PATTERNS:
        text = pattern.sub(" ", text)
    return text


def coarser(period: str) -> tuple[str, ...]:
    """What a time lies in: the month, the quarter and the year of a day, by the calendar."""
    year, _, rest = period.partition("-")
    if not rest:
        return ()
    if rest[0] in "QH":
        return (year,)
    month = int(rest[:2])
    quarter = f"{year}-Q{(month + 2) // 3}"
    return (quarter, year) if len(rest) == 2 else (f"{year}-{month:02}", quarter, year)


def last_day(period: str) -> str:
    """The last day of a time, in ISO 8601."""
    year, _, rest = period.partition("-")
    if len(rest) > 2:
        return period
    if not rest:
        month = 12
    elif rest[0] == "Q":
        month = 3 * int(rest[1])
    else:
        month = 6 * int(rest[1]) if rest[0] == "H" else int(rest)
    return f"{year}-{month:02}-{calendar.monthrange(int(year), month)[1]}"


def with_coarser(periods: Iterable[str]) -> tuple[str, ...]:
    """The times and what each lies in, each once."""
    return tuple(dict.fromkeys(each for period in periods for each in _self_and_coarser(period)))


def _self_and_coarser(period: str) -> Iterator[str]:
    yield period
    yield from coarser(period)


def _period(match: re.Match[str]) -> str:
    parts = match.groupdict()
    year = parts.get("year") or f"20{parts['short']}"
    nth, unit = _nth(parts)
    if nth:
        letter = "H" if unit == "h" else "Q"
        return f"{year}-{letter}{nth}" if letter == "Q" or nth <= 2 else ""
    name = parts.get("month")
    month = _MONTH_OF[name.lower()] if name else int(parts.get("mm") or 0)
    day = int(parts.get("dd") or 0)
    if month > 12 >= day > 0 and not name:
        month, day = day, month
    if not month:
        return year
    if month > 12 or day > calendar.monthrange(int(year), month)[1]:
        return ""
    return f"{year}-{month:02}-{day:02}" if day else f"{year}-{month:02}"


def _nth(parts: dict[str, str | None]) -> tuple[int, str]:
    if parts.get("h"):
        return int(parts["h"] or 0), "h"
    number = parts.get("q") or parts.get("q2") or parts.get("n")
    word = (parts.get("nth") or "").lower()
    unit = (parts.get("unit") or parts.get("unit2") or "q").lower()
    return int(number) if number else _ORDINALS.get(word, 0), unit[0]
