"""Takes a comparison apart: "compare Apple's and Microsoft's revenue" goes in, a question for each side comes out."""

from __future__ import annotations

import re

from pipelines.answer.understand.parts import Kind, Part, parts_of, periods_of

_MAX_SIDES = 3
_COMPARES = re.compile(
    r"\b(?:(?:please )?compar(?:e|ed|ing|ison)(?: (?:of|between))?|(?:what (?:is|are) )?the differences? between|"
    r"differences? between|differ|vergleiche?n?|(?:der |die )?"
    r"unterschiede? zwischen|(?:im )?vergleich(?: zwischen)?)\b",
    re.IGNORECASE,
)
_VERSUS = re.compile(r"\b(?:versus|vs)\b", re.IGNORECASE)
_BETWEEN_SIDES = re.compile(
    r"(?:['’]s?)?(?:\s?,)?\s?(?:and|or|vs\.?|versus|with|to|und|oder|mit|,)\s"
    r"(?:(?:with|to|in|for|of|the|that of|von|im|mit|für)\s){0,2}",
    re.IGNORECASE,
)
_BEFORE = "of "
_TOGETHER = re.compile(r"\s?,?\s?(?:of\s)?")
_THAN = re.compile(
    r"\s(?:compared? (?:to|with)|than|versus|vs\.?|im vergleich zu|als)\s(?:that of |those of )?"
    r"(?P<other>\S.{0,60}?)(?:['’]s?)?\W*$",
    re.IGNORECASE,
)
_KINDS: tuple[Kind, ...] = ("name", "code", "label")


def compared(text: str) -> tuple[str, ...]:
    """Return a question for each side of a comparison; `text` alone where the sides are not two of a kind for sure."""
    if (than := _THAN.search(text)) and (sides := _than(text, than)):
        return sides
    if _VERSUS.search(text):  # "Tesla vs Ford": a capital at the beginning tells a name here
        return tuple(each.removeprefix(_BEFORE) for each in _sides_apart(f"{_BEFORE}{text}"))
    return _sides_apart(text) if _COMPARES.search(text) else (text,)


def _sides_apart(text: str) -> tuple[str, ...]:
    for sides in (_periods(text), *(parts_of(text, kind) for kind in _KINDS)):
        if run := _run(text, sides):
            return _apart(text, run)
    return (text,)


def _apart(text: str, sides: list[Part]) -> tuple[str, ...]:
    shared_year = _year(sides[-1].text)
    each = [side.text if _year(side.text) or not shared_year else f"{side.text} {shared_year}" for side in sides]
    asked = [f"{text[: sides[0].start]}{side}{text[sides[-1].end :]}" for side in each]
    return tuple(re.sub(r"\s{2,}", " ", _COMPARES.sub("", one)).strip() for one in asked)


def _run(text: str, sides: list[Part]) -> list[Part]:
    """The two or three parts that stand side by side; empty when there are none, or more than one such row."""
    runs: list[list[Part]] = []
    for part in sides:
        if runs and _BETWEEN_SIDES.fullmatch(text, runs[-1][-1].end, part.start):
            runs[-1].append(part)
        else:
            runs.append([part])
    several = [run for run in runs if len(run) > 1]
    return several[0] if len(several) == 1 and len(several[0]) <= _MAX_SIDES else []


def _than(text: str, than: re.Match[str]) -> tuple[str, ...]:
    """Take apart "is A's revenue higher than B's": the same question of A and of B."""
    others = parts_of(f"of {than['other']}", "name")
    asked = text[: than.start()]
    owners = [part for part in parts_of(asked, "name") if asked.startswith(("'s", "’s"), part.end)]
    if len(others) != 1 or others[0].text != than["other"] or len(owners) != 1:
        return ()
    return f"{asked}?", f"{asked[: owners[0].start]}{others[0].text}{asked[owners[0].end :]}?"


def _periods(text: str) -> list[Part]:
    """The periods of a text, a quarter and its year as one."""
    joined: list[Part] = []
    for part in periods_of(text):
        if joined and _TOGETHER.fullmatch(text, joined[-1].end, part.start) and joined[-1].kind != part.kind:
            start = joined.pop().start
            joined.append(Part(part.kind, start, part.end, text[start : part.end]))
        else:
            joined.append(part)
    return joined


def _year(text: str) -> str:
    years = parts_of(text, "year")
    return years[0].text if years else ""
