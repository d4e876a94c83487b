"""Maps the data set sec-10-q to a questions file: its answers go in, the pages that hold their evidence come out.

    python -m tests.evals.sec_10_q --docs ../shared/eval/sec-10-q --out questions.json [--sample 25]

The data set names documents, never pages. A page is right when it holds the figures or the wording of the answer;
how, and how well, is in README.md beside this file. Nothing here uses this product's parser, chunks or index: pages
are read by pypdfium2 and compared as words.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pypdfium2 as pdfium

from tests.evals.evidence import Evidence, PageText, find_evidence, page_text

COVER = 1
"""The first page of a report lists its securities and its period, and answers nothing."""
WEAK = 0.2
"""Of several documents, one whose best page has less than this share of the best of all has no page."""
KINDS = {
    "Single-Doc Single-Chunk RAG": "single-chunk",
    "Single-Doc Multi-Chunk RAG": "multi-chunk",
    "Multi-Doc RAG": "multi-document",
}


@dataclass(frozen=True, slots=True)
class MappedQuestion:
    """A question of the data set with its documents, as they are named, and the pages that hold its evidence."""

    text: str
    kind: str
    evidence: str
    answer: str
    documents: tuple[str, ...]
    found: tuple[Evidence, ...]

    def row(self) -> dict[str, object]:
        """This question as a questions file has it."""
        pages = [{"document": each.document, "page": each.page} for each in self.found]
        return {
            "id": hashlib.sha256(self.text.encode()).hexdigest()[:10],
            "question": self.text,
            "kind": self.kind,
            "evidence": self.evidence,
            "documents": list(self.documents),
            "pages": pages,
        }


def map_questions(data_set: Path, *, only: Collection[str] = ()) -> Iterator[MappedQuestion]:
    """Map every row of `qna_data.csv`, or the questions of `only`; a question that comes twice comes once."""
    documents = Documents(data_set / "docs")
    seen: set[str] = set()
    with (data_set / "qna_data.csv").open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            text = " ".join(row["Question"].split())
            if (only and text not in only) or text.casefold() in seen:
                continue
            seen.add(text.casefold())
            names = documents.named(row["Source Docs"])
            yield MappedQuestion(
                text=text,
                kind=KINDS[row["Question Type"]],
                evidence=row["Source Chunk Type"].lower(),
                answer=row["Answer"],
                documents=names,
                found=tuple(_find(text, row["Answer"], {name: documents.pages(name) for name in names})),
            )


def _find(question: str, answer: str, documents: Mapping[str, Sequence[PageText]]) -> Iterator[Evidence]:
    found = {name: find_evidence(question, answer, name, pages) for name, pages in documents.items()}
    found = {name: [each for each in pages if each.page != COVER] for name, pages in found.items()}
    best = {name: max((each.score for each in pages), default=0.0) for name, pages in found.items()}
    for name, pages in found.items():
        if best[name] >= WEAK * max(best.values()):
            yield from pages


class Documents:
    """The reports of a folder, each read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names = sorted(path.name for path in folder.glob("*.pdf"))
        self._pages: dict[str, list[PageText]] = {}

    def named(self, pattern: str) -> tuple[str, ...]:
        """The documents of a pattern such as `*2023 Q3 AAPL*`."""
        return tuple(name for name in self._names if fnmatchcase(name, pattern))

    def pages(self, name: str) -> list[PageText]:
        """The text of every page of a document."""
        if name not in self._pages:
            with pdfium.PdfDocument(self._folder / name) as pdf:
                self._pages[name] = [page_text(page.get_textpage().get_text_range()) for page in pdf]
        return self._pages[name]


def main() -> None:
    """Write the questions file; with --sample print some questions with their evidence, to be checked by eye."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", type=Path, required=True, help="the folder of the data set")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sample", type=int, default=0)
    arguments = parser.parse_args()
    questions = list(map_questions(arguments.docs))
    arguments.out.write_text(json.dumps([question.row() for question in questions], indent=1, ensure_ascii=False))
    for kind in KINDS.values():
        of_kind = [question for question in questions if question.kind == kind]
        with_page = [question for question in of_kind if question.found]
        pages = sum(len(question.found) for question in with_page)
        print(f"{kind}: {len(of_kind)} questions, {len(with_page)} with a page, {pages} pages")
    print(f"{len(questions)} questions, {sum(bool(question.found) for question in questions)} with a page")
    for question in random.Random(4).sample(questions, arguments.sample):
        _show(question)


def _show(question: MappedQuestion) -> None:
    print(f"\n## {question.text}\n{question.kind}, {question.evidence}\n{question.answer}")
    for each in question.found:
        print(f"  -> {each.document} page {each.page} ({each.score:.1f}): {'; '.join(each.why)}")


if __name__ == "__main__":
    main()
