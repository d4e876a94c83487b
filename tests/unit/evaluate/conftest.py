"""Three documents, one of them closed, with questions about them; and what reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

from pipelines.ingest.isolate import Isolation
from pipelines.ingest.run import IngestPath

P = ParamSpec("P")
R = TypeVar("R")

DOCUMENTS = {
    "travel.md": "# Travel rules\n\nA hotel in Lisbon may cost 180 euros for a night.\n\nTrains are booked first.",
    "leave.md": "# Leave\n\nAnnual leave is 28 working days.\n\nUnused leave lapses in March.",
    "hr/pay.md": "# Pay bands\n\nThe midpoint of band E5 is 65,600 euros.",
}
QUESTIONS = [
    {"id": "hotel", "question": "What may a hotel in Lisbon cost?", "document": "travel.md"},
    {"id": "leave", "question": "How many days is annual leave?", "document": "leave.md", "kind": "number"},
    {"id": "band", "question": "What is the midpoint of band E5?", "document": "pay.md", "group": "hr", "row": "E5"},
    {"id": "dogs", "question": "May I bring my dog?", "kind": "unanswerable"},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in DOCUMENTS.items():
        file = tmp_path / "documents" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "documents"


@pytest.fixture
def questions_file(tmp_path: Path) -> Path:
    file = tmp_path / "questions.json"
    file.write_text(json.dumps(QUESTIONS))
    return file


class InThisProcess(Isolation):
    """Reads without a process of its own: these documents are harmless, and starting one takes a second."""

    def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        return function(*args, **kwargs)


@pytest.fixture
def open_path(tmp_path: Path) -> Callable[[], IngestPath]:
    """Opens the stages as often as they are needed; whoever opens them closes them."""

    def opened() -> IngestPath:
        spool = tmp_path / "spool"
        spool.mkdir(exist_ok=True)
        return IngestPath(
            isolation=InThisProcess(workers=1, memory_mb=1024, timeout_s=60),
            vision=None,
            threads=ThreadPoolExecutor(1),
            thread_count=1,
            spool=spool,
            max_bytes=1_000_000,
        )

    return opened


@pytest.fixture
def unused_path() -> Callable[[], IngestPath]:
    """For an index that must not be built again."""

    def opened() -> IngestPath:
        raise AssertionError("the index was to be kept")

    return opened
