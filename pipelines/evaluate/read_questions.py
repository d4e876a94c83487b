"""A questions file in, golden questions out.

JSON (a list, or an object with `questions` and `access`), JSON Lines and CSV; the fields are those of `_Row`.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints, ValidationError, field_validator, model_validator

from pipelines.domain import Message
from pipelines.errors import InvalidRequest
from pipelines.evaluate.questions import GoldenQuestion, Questions, RightPlace

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]

SEPARATOR = ";"
"""Between several documents or pages in one cell of a CSV file."""


def read_questions(file: Path) -> Questions:
    """Read a questions file; its name's end says which format it has.

    Raises:
        InvalidRequest: it cannot be read; says which line or question, and what is wrong with it.
    """
    readers = {".json": _read_json, ".jsonl": _read_lines, ".csv": _read_csv}
    if file.suffix.lower() not in readers:
        raise InvalidRequest(f"{file.name} is no questions file: it must be .json, .jsonl or .csv.")
    try:
        text = file.read_text("utf-8-sig")
    except OSError as error:
        raise InvalidRequest(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{file.name} is not UTF-8: save it as UTF-8.") from error
    rows, access = readers[file.suffix.lower()](file.name, text)
    questions = tuple(_question(place, row) for place, row in rows)
    if not questions:
        raise InvalidRequest(f"{file.name} holds no questions.")
    _require_distinct(file.name, questions)
    return Questions(questions, access)


class _Place(BaseModel):
    document: Text
    page: int | None = Field(default=None, ge=1)
    grade: int = Field(default=1, ge=1, le=10)


class _Turn(BaseModel):
    role: Literal["user", "assistant"]
    content: str


class _Row(BaseModel):
    """One question as its file has it. `document` and `page` are short for one entry of `pages`.

    `documents` are right as a whole where no page is known. `row` marks an answer in a row of a table.
    """

    question: Text
    id: str = ""
    kind: str = "question"
    evidence: str = ""
    document: Text | None = None
    page: int | None = Field(default=None, ge=1)
    documents: list[Text] = Field(default_factory=list)
    pages: list[_Place] = Field(default_factory=list)
    row: str | None = None
    group: str | None = None
    history: list[_Turn] = Field(default_factory=list)
    fact: str | None = None
    older_fact: str | None = None
    older_document: Text | None = None
    older_page: int | None = Field(default=None, ge=1)

    @field_validator("id", mode="before")
    @classmethod
    def _number_as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) else value

    @model_validator(mode="after")
    def _page_of_a_document(self) -> _Row:
        if self.page and not self.document:
            raise ValueError("page is given without a document")
        return self


_Rows = Iterator[tuple[str, Any]]


def _read_json(name: str, text: str) -> tuple[_Rows, Mapping[str, str]]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"{name}, line {error.lineno}: it is not JSON ({error.msg}).") from error
    access: object = {}
    if isinstance(content, dict):
        access = content.get("access", {})
        content = content.get("questions")
    if not isinstance(content, list):
        raise InvalidRequest(f"{name} must be a list of questions, or an object with the list `questions`.")
    if not isinstance(access, dict) or not all(isinstance(group, str) for group in access.values()):
        raise InvalidRequest(f"{name}: `access` must name a group for each folder.")
    rows = ((f"{name}, question {number}", row) for number, row in enumerate(content, start=1))
    return rows, access


def _read_lines(name: str, text: str) -> tuple[_Rows, Mapping[str, str]]:
    def rows() -> _Rows:
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                place = f"{name}, line {number}"
                try:
                    yield place, json.loads(line)
                except json.JSONDecodeError as error:
                    raise InvalidRequest(f"{place}: it is not JSON ({error.msg}).") from error

    return rows(), {}


def _read_csv(name: str, text: str) -> tuple[_Rows, Mapping[str, str]]:
    reader = csv.DictReader(text.splitlines(keepends=True), strict=True)

    def rows() -> _Rows:
        try:
            for row in reader:
                place = f"{name}, line {reader.line_num}"
                yield place, _cells(place, row)
        except csv.Error as error:
            raise InvalidRequest(f"{name}, line {reader.line_num}: it is not CSV ({error}).") from error

    return rows(), {}


def _cells(place: str, row: Mapping[str | None, Any]) -> dict[str, Any]:
    """A row of a CSV file as `_Row` has it: empty cells are left out, several documents and pages are paired."""
    if None in row:
        raise InvalidRequest(f"{place}: it has more cells than the first line names.")
    cells: dict[str, Any] = {key: value for key, value in row.items() if key and value and value.strip()}
    documents, pages = (
        [part.strip() for part in cells.pop(name, "").split(SEPARATOR) if part.strip()] for name in ("document", "page")
    )
    if len(documents) == 1:
        documents *= max(1, len(pages))
    if pages and len(pages) != len(documents):
        raise InvalidRequest(f"{place}: it names {len(documents)} documents and {len(pages)} pages.")
    cells["pages"] = [
        {"document": document, "page": page}
        for document, page in zip(documents, pages or [None] * len(documents), strict=True)
    ]
    return cells


def _question(place: str, row: object) -> GoldenQuestion:
    try:
        read = _Row.model_validate(row)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or "it"
        raise InvalidRequest(f"{place}: {where}: {first['msg'].removeprefix('Value error, ')}.") from error
    right = [RightPlace(each.document, each.page, each.grade) for each in read.pages]
    if read.document:
        right.append(RightPlace(read.document, read.page))
    right += [RightPlace(document) for document in read.documents]
    return GoldenQuestion(
        id=read.id or hashlib.sha256(read.question.encode()).hexdigest()[:12],
        text=read.question,
        kind=read.kind,
        right=tuple(dict.fromkeys(right)),
        evidence=read.evidence or ("table" if read.row else ""),
        group=read.group or "",
        history=tuple(Message(turn.role, turn.content) for turn in read.history),
        fact=read.fact or "",
        older_fact=read.older_fact or "",
        older=RightPlace(read.older_document, read.older_page) if read.older_document else None,
    )


def _require_distinct(name: str, questions: tuple[GoldenQuestion, ...]) -> None:
    seen: set[str] = set()
    for question in questions:
        if question.id in seen:
            raise InvalidRequest(f"{name}: two questions have the id {question.id}.")
        seen.add(question.id)
