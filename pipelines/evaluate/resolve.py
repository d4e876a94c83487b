"""Golden questions and a folder's documents in, what is right for each question out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from pipelines.errors import InvalidRequest
from pipelines.evaluate.build_index import FolderDocument
from pipelines.evaluate.questions import GoldenQuestion, Questions, RightPlace


@dataclass(frozen=True, slots=True)
class JudgedQuestion:
    """A question with the grade of every right document and every right page; `pages` is empty where none is known.

    Documents are keys; a page is a key and a number, as `page_name` writes it.
    """

    question: GoldenQuestion
    documents: Mapping[str, int]
    pages: Mapping[str, int]
    formats: tuple[str, ...]


def page_name(key: str, page: int | None) -> str:
    """One page of one document, or the document where its format has no pages."""
    return key if page is None else f"{key}#{page}"


def resolve(questions: Sequence[GoldenQuestion], documents: Sequence[FolderDocument]) -> list[JudgedQuestion]:
    """Find the documents that the questions name.

    Raises:
        InvalidRequest: a question names a document that the folder does not hold.
    """
    return [_judge(question, documents) for question in questions]


def restricted(questions: Questions, documents: Sequence[FolderDocument]) -> dict[str, str]:
    """The group that each closed document is open to: what `access` says of its folder, then what a question says."""
    groups: dict[str, str] = {}
    for folder, group in questions.access.items():
        for document in documents:
            if PurePosixPath(document.key).is_relative_to(folder.strip("/")):
                groups[document.key] = group
    for question in questions.questions:
        if question.group:
            for place in question.right:
                for document in _named(question, place, documents):
                    groups[document.key] = question.group
    return groups


def _judge(question: GoldenQuestion, documents: Sequence[FolderDocument]) -> JudgedQuestion:
    right: dict[str, int] = {}
    pages: dict[str, int] = {}
    for place in question.right:
        for document in _named(question, place, documents):
            right[document.key] = max(place.grade, right.get(document.key, 0))
            # A document without pages is one page; in one that has them, a page that is not named is not known.
            if place.page is not None or not document.paged:
                name = page_name(document.key, place.page if document.paged else None)
                pages[name] = max(place.grade, pages.get(name, 0))
    formats = tuple(sorted({PurePosixPath(key).suffix.removeprefix(".").lower() for key in right}))
    return JudgedQuestion(question, right, pages, formats)


def _named(
    question: GoldenQuestion, place: RightPlace, documents: Sequence[FolderDocument]
) -> Sequence[FolderDocument]:
    exact = [document for document in documents if document.key == place.document]
    found = exact or [document for document in documents if _fits(document.key, place.document)]
    if not found:
        raise InvalidRequest(
            f"Question {question.id} names {place.document}, which is no document of the folder, or could not be read."
        )
    return found


def _fits(key: str, pattern: str) -> bool:
    return fnmatchcase(key, pattern) or fnmatchcase(PurePosixPath(key).name, pattern)
