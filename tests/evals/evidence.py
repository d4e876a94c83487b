"""An answer and the pages of a document in, the pages that hold the answer's evidence out.

Two kinds of evidence: figures (an amount, a share, a quantity as the page writes it, beside the words it is named by)
and wording (runs of words that answer and page share). What many pages hold says little, what one page holds says
much: each is weighted by how few pages of the document hold it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

NEAR = 12
"""Words before and after a figure in which it must be named: a row of a table, a clause of a sentence."""
NAMES = {1: 2, 2: 2, 3: 2, 4: 1}
"""How many of the words by which the answer names a figure must stand near it, by its digits; one of five or more is
itself on few pages."""
RARE, RARE_FIGURE = 0.15, 0.25
"""A run of words, or a figure, that a larger share of a document's pages holds proves nothing."""
RUN = 4
"""Words in a run."""
ENOUGH_WORDING = 20.0
"""The weight of shared runs from which a page is taken for wording alone: a rare half sentence."""
ENOUGH_FIGURES = 3.5
"""The same for figures alone: one of four digits or more, or two lesser ones."""
CLOSE = 0.5
"""Pages that reach this share of the best page are right as well: what a statement says, the discussion repeats."""
FIGURE_WORTH = {1: 1.0, 2: 1.0, 3: 1.5}
MOST_WORTH = 2.0
"""How many runs of words a figure weighs, by its digits: a short one stands on a page by chance more easily."""

_SOURCE = re.compile(r"\(?\"?SOURCES?(\(S\))?:?[^\n)]*\)?|\"?20\d\d Q\d [A-Z]{4}(\.pdf)?\"?", re.IGNORECASE)
_QUOTED_HEADING = re.compile(r"\"(?:[^\s\"]+\s+){4,}[^\s\"]+\"")
_FIGURE = re.compile(r"\$?\d[\d,]*(?:\.\d+)?(?:\s*(?:%|percent|billion|million))?")
_WORD = re.compile(r"[a-z]+|\d[\d,]*(?:\.\d+)?%?")
_WITHOUT_WEIGHT = """
    a also an and april are as at august be been billion by can company compared could december ended february
    first fiscal for fourth from had has have in into is it its january july june march may million months nine
    no not november october of on or other our period periods q1 q2 q3 quarter quarterly quarters respectively
    second september six such than that the their there these they third this three to total was we were which
    while will with would year
"""
_STOP = frozenset(_WITHOUT_WEIGHT.split())
_SAME = {"sales": "revenue", "revenues": "revenue", "earnings": "income", "profit": "income", "buybacks": "repurchase"}
_SAME |= {"repurchases": "repurchase", "repurchased": "repurchase", "spending": "expense", "expenses": "expense"}
_SAME |= {"expenditure": "expense", "costs": "cost", "inventories": "inventory"}
"""Words for the same thing in accounts: questions say the one, reports the other."""


@dataclass(frozen=True, slots=True)
class PageText:
    """A page as words in order."""

    words: tuple[str, ...]
    runs: frozenset[tuple[str, ...]]
    places: dict[str, list[int]]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A page that holds evidence, with what it is: `why` names the figures and the longest shared run."""

    document: str
    page: int
    score: float
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Figure:
    """A figure of an answer: the ways a page may write it, and the words that name it."""

    written: str
    digits: int
    forms: tuple[tuple[str, ...], ...]
    names: frozenset[str]


def page_text(text: str) -> PageText:
    """Take a page's text apart."""
    words = tuple(_words(text))
    places: dict[str, list[int]] = {}
    for place, word in enumerate(words):
        places.setdefault(word, []).append(place)
    return PageText(words, frozenset(_runs(words)), places)


def find_evidence(question: str, answer: str, document: str, pages: Sequence[PageText]) -> list[Evidence]:
    """The pages of one document, in order, that hold what the answer says; none where it says nothing to be found.

    What an answer names as its source, a document or a section's heading in quotes, is no evidence.
    """
    answer = _QUOTED_HEADING.sub(" ", _SOURCE.sub(" ", answer))
    figures = _by_figures(question, answer, pages)
    wording = _by_wording(answer, pages)
    by_figures = {page: sum(weight for _, weight in held) for page, held in figures.items()}
    by_both = {page: by_figures.get(page, 0.0) + weight for page, (weight, _) in wording.items()} | {
        page: weight for page, weight in by_figures.items() if page not in wording
    }
    most_figures, most = max(by_figures.values(), default=0.0), max(by_both.values(), default=0.0)
    right = {page for page, weight in by_figures.items() if weight >= max(ENOUGH_FIGURES, CLOSE * most_figures)}
    right |= {page for page, weight in by_both.items() if weight >= max(ENOUGH_WORDING, CLOSE * most)}
    return [
        Evidence(document, page + 1, by_both[page], _why(figures.get(page, ()), wording.get(page)))
        for page in sorted(right)
    ]


def _by_figures(question: str, answer: str, pages: Sequence[PageText]) -> dict[int, list[tuple[str, float]]]:
    """By page: the answer's figures that it holds and names, each with its weight."""
    found: dict[int, list[tuple[str, float]]] = {}
    for figure in _figures(question, answer):
        holding = [number for number, page in enumerate(pages) if _holds(page, figure)]
        if holding and len(holding) <= max(3, RARE_FIGURE * len(pages)):
            worth = FIGURE_WORTH.get(figure.digits, MOST_WORTH)
            weight = worth * math.log(len(pages) / len(holding) + 1)
            for number in holding:
                found.setdefault(number, []).append((figure.written, weight))
    return found


def _by_wording(answer: str, pages: Sequence[PageText]) -> dict[int, tuple[float, str]]:
    """By page: the weight of the runs of words that it shares with the answer, and the longest of them."""
    words = tuple(_words(answer))
    runs = set(_runs(words))
    holding = Counter(run for page in pages for run in runs & page.runs)
    found: dict[int, tuple[float, str]] = {}
    for number, page in enumerate(pages):
        rare = [run for run in runs & page.runs if holding[run] <= max(2, RARE * len(pages))]
        if rare:
            weight = sum(math.log(len(pages) / holding[run] + 1) for run in rare)
            found[number] = (weight, _longest(words, page.runs))
    return found


def _figures(question: str, answer: str) -> Iterator[_Figure]:
    """The figures of an answer, sentence by sentence, without years, days and small counts."""
    seen: set[tuple[tuple[str, ...], ...]] = set()
    for sentence in re.split(r"\n+|(?<=[.;:])\s+(?=[A-Z])", answer):
        words = (word for word in _words(f"{sentence} {question}") if word.isalpha() and word not in _STOP)
        names = frozenset(_SAME.get(word, word) for word in words)
        for match in _FIGURE.finditer(sentence):
            forms = tuple(_forms(match.group()))
            if forms and forms not in seen:
                seen.add(forms)
                digits = len(re.sub(r"\D|,000\b", "", match.group()).lstrip("0"))
                yield _Figure(match.group(), digits, forms, names)


def _forms(written: str) -> Iterator[tuple[str, ...]]:
    """The ways in which a page may write a figure, as words; none for one that says too little."""
    number, unit = re.sub(r"[$\s]|percent$", "", written), ""
    for name in ("billion", "million"):
        if number.endswith(name):
            number, unit = number.removesuffix(name), name
    if written.endswith("percent"):
        number += "%"
    digits = re.sub(r"\D", "", number)
    if number.endswith("%"):
        yield (number,)
        if "." in number:
            yield (number.removesuffix("%"),)
        return
    if unit:
        yield (number, unit)
    if unit == "billion" and "." in number and len(number.partition(".")[2]) == 3:
        yield (f"{int(digits):,}",)  # exact to the million, as statements in millions have it
    elif re.fullmatch(r"[\d,]+,\d{3},000", number):
        yield (number,)
        yield (number.removesuffix(",000"),)  # as statements in thousands have it
    elif "," in number or ("." in number and not unit and len(digits) > 2) or (unit == "million" and len(digits) > 2):
        yield (number,)


def _holds(page: PageText, figure: _Figure) -> bool:
    """Whether the page has the figure, in one of its forms, near enough of the words that name it."""
    for form in figure.forms:
        for place in page.places.get(form[0], ()):
            if page.words[place : place + len(form)] == form:
                near = page.words[max(0, place - NEAR) : place + len(form) + NEAR // 2]
                named = figure.names & {_SAME.get(word, word) for word in near}
                if len(named) >= NAMES.get(figure.digits, 0):
                    return True
    return False


def _words(text: str) -> Iterator[str]:
    text = re.sub(r"(?<=\d)\s+%", "%", text.lower())
    for word in _WORD.findall(text):
        yield word.rstrip(",.") if word[0].isdigit() else word


def _runs(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for start in range(len(words) - RUN + 1):
        run = tuple(words[start : start + RUN])
        if sum(word not in _STOP and not word.isdigit() for word in run) >= RUN // 2:
            yield run


def _longest(words: Sequence[str], runs: frozenset[tuple[str, ...]]) -> str:
    best, current = 0, 0
    end = 0
    for start in range(len(words) - RUN + 1):
        current = current + 1 if tuple(words[start : start + RUN]) in runs else 0
        if current > best:
            best, end = current, start + RUN
    return " ".join(words[end - best - RUN + 1 : end]) if best else ""


def _why(figures: Sequence[tuple[str, float]], wording: tuple[float, str] | None) -> tuple[str, ...]:
    shared = (f"“{wording[1]}” ({wording[0]:.0f})",) if wording and wording[1] else ()
    return (*(written for written, _ in figures), *shared)
