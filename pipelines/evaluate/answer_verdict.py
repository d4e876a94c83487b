"""A golden question and the answer to it in, a verdict out: the fact, the citations, and whether it had to decline."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipelines.evaluate.answer_facts import declines, says
from pipelines.evaluate.questions import GoldenQuestion, RightPlace

_CITATION = re.compile(r"\[(\d+(?:\s*,\s*\d+)*)\]")
_STATEMENT = re.compile(r"\n+|(?<=[.!?\]])\s+(?=[A-ZÀ-Þ\"“-])")
_PAST = re.compile(
    r"\b(older|earlier|previous(ly)?|former(ly)?|outdated|obsolete|superseded|replaced|differs?|used to|no longer|"
    r"before|until|was|were|älter\w*|früher\w*|vorher\w*|bisher\w*|ersetzt\w*|abweich\w*|galt\w*|waren?)\b",
    re.I,
)


@dataclass(frozen=True, slots=True)
class CitedPage:
    """What a citation's number leads to. `document` is a path below the folder, or a file's name."""

    document: str
    page: int | None


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """An answer as it came, with the pages of its numbers. `problem` says why there is none."""

    text: str
    pages: Mapping[int, CitedPage]
    ms: float
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of one answer. `kind` is the question's, `closed` when its asker may not read the answer.

    `fact` is None where none is expected. `cited_right`, `cited_wrong` and `cited_nothing` count the numbers in the
    answer that lead to a right page, to another one, and to none at all. `outdated` tells whether it gives the
    superseded fact as if it held.
    """

    id: str
    kind: str
    question: str
    answer: str
    answerable: bool
    declined: bool
    fact: bool | None
    outdated: bool
    cited_right: int
    cited_wrong: int
    cited_nothing: int
    ms: float
    problem: str = ""

    @property
    def citations_right(self) -> bool:
        """At least one number leads to a right page, and none to nowhere."""
        return self.cited_right > 0 and self.cited_nothing == 0

    @property
    def passed(self) -> bool:
        """Whether it is what a reader needs: the fact, current and cited; or the one sentence that there is none."""
        if not self.answerable:
            return self.declined
        return self.fact is not False and not self.outdated and self.citations_right and not self.declined

    @property
    def failures(self) -> Sequence[str]:
        """What is wrong with it, in words."""
        if self.problem:
            return (self.problem,)
        if self.passed or self.declined:
            return () if self.passed else ("declined",)
        if not self.answerable:
            return ("did not decline",)
        found = {
            "fact missing": self.fact is False,
            "outdated fact": self.outdated,
            "right page not cited": not self.cited_right,
            "cites what is not there": self.cited_nothing > 0,
        }
        return tuple(name for name, wrong in found.items() if wrong)


def judge(question: GoldenQuestion, answer: GivenAnswer, *, closed: bool = False) -> Verdict:
    """Judge one answer; when it is `closed` to the asker, only declining is right."""
    answerable = bool(question.right) and not closed
    numbers = cited_numbers(answer.text)
    pages = [answer.pages[number] for number in numbers if number in answer.pages]
    right = sum(any(_leads_to(page, place) for place in question.right) for page in pages)
    older = sum(question.older is not None and _leads_to(page, question.older) for page in pages)
    return Verdict(
        id=question.id,
        kind="closed" if closed else question.kind,
        question=question.text,
        answer=answer.text,
        answerable=answerable,
        declined=declines(answer.text),
        fact=says(question.fact, answer.text) if answerable and question.fact else None,
        outdated=answerable and gives_as_current(question.older_fact, question.fact, answer.text),
        cited_right=right if answerable else 0,
        cited_wrong=len(pages) - right - older if answerable else len(pages),
        cited_nothing=len(numbers) - len(pages),
        ms=answer.ms,
        problem=answer.problem,
    )


def cited_numbers(text: str) -> list[int]:
    """Every citation number of an answer, once, in order."""
    numbers = (int(number) for found in _CITATION.findall(text) for number in found.split(","))
    return list(dict.fromkeys(numbers))


def gives_as_current(older: str, newer: str, text: str) -> bool:
    """Whether a text says the older fact without saying the newer one first, or without a word that it is past."""
    if not older:
        return False
    current = False
    for statement in _STATEMENT.split(text):
        if says(newer, statement):
            current = True
        elif says(older, statement) and not (current and _PAST.search(statement)):
            return True
    return False


def _leads_to(cited: CitedPage, place: RightPlace) -> bool:
    path = PurePosixPath(cited.document)
    # A gateway tells a file's name only.
    named = path.match(place.document) or path.match(PurePosixPath(place.document).name)
    return named and place.page in (None, cited.page)
