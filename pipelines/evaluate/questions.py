"""What is asked in an evaluation, by whom, and where the answers stand."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pipelines.domain import Message

Half = Literal["develop", "report", "all"]


@dataclass(frozen=True, slots=True)
class RightPlace:
    """Where an answer stands. `document` is a path below the folder, a file name, or a pattern such as `*2023*`.

    `page` is None where it is not known or the format has none; `grade` says how right it is, 1 or more.
    """

    document: str
    page: int | None = None
    grade: int = 1


@dataclass(frozen=True, slots=True)
class GoldenQuestion:
    """A question with its right places; without any it cannot be answered from the documents.

    `evidence` is what kind of text holds the answer ("table", "text"), or empty. The asker is a member of `group`, and
    the right documents are open to that group alone; "" is everyone. A right answer says `fact`; `older_fact` is what
    the superseded document, at the place `older`, says instead.
    """

    id: str
    text: str
    kind: str
    right: tuple[RightPlace, ...]
    evidence: str = ""
    group: str = ""
    history: tuple[Message, ...] = ()
    fact: str = ""
    older_fact: str = ""
    older: RightPlace | None = None

    @property
    def half(self) -> Half:
        """Which half it belongs to, today and always: by its text alone, so that the same question is never in both."""
        digest = hashlib.sha256(" ".join(self.text.casefold().split()).encode()).digest()
        return "report" if digest[-1] % 2 else "develop"


@dataclass(frozen=True, slots=True)
class Questions:
    """The questions of one file. `access` opens what lies below a folder, as its path, to one group alone."""

    questions: tuple[GoldenQuestion, ...]
    access: Mapping[str, str] = field(default_factory=dict)

    def of(self, half: Half) -> tuple[GoldenQuestion, ...]:
        """The questions of one half, or all."""
        return tuple(question for question in self.questions if half in ("all", question.half))
