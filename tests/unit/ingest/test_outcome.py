"""What a person is told of the document they put in."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.domain import DocumentRecord, Grant
from pipelines.ingest.outcome import outcome, page_ranges


def record(**given: Any) -> DocumentRecord:
    standard: dict[str, Any] = {
        "id": "d1",
        "origin": "upload://report.pdf",
        "source": "upload://",
        "version": "1",
        "state": "ready",
        "title": "Report",
        "grant": Grant(everyone=True),
        "access": ("everyone",),
        "pages": 12,
        "chunks": 40,
    }
    return DocumentRecord(**{**standard, **given})


def test_a_ready_document_says_how_much_of_it_there_is() -> None:
    assert outcome(record()) == "report.pdf is ready: 12 pages, 40 passages."
    assert outcome(record(pages=None, chunks=1)) == "report.pdf is ready: 1 passage."


def test_pages_that_could_not_be_read_are_named_with_the_reason() -> None:
    told = outcome(record(unread_pages=(3, 7), problem="no model reads pages here"))
    assert told.endswith("Pages 3 and 7 could not be read: no model reads pages here.")
    assert outcome(record(unread_pages=(3,))).endswith("Page 3 could not be read.")


def test_a_document_that_failed_says_why_and_which_it_is() -> None:
    failed = {"state": "failed", "error_code": "encrypted_document"}
    assert outcome(record(**failed, problem="report.pdf asks for a password.")) == "report.pdf asks for a password."
    assert outcome(record(**failed, problem="The PDF is broken.")) == "report.pdf: The PDF is broken."
    assert outcome(record(**failed)) == "report.pdf could not be read."


@pytest.mark.parametrize("state", ["queued", "working"])
def test_a_document_that_is_not_ready_yet_is_said_to_be_kept(state: str) -> None:
    assert "kept and still being read" in outcome(record(state=state))


def test_a_document_nobody_may_read_says_so() -> None:
    assert outcome(record(access=(), grant=Grant(groups=("Poeple",)))).endswith(
        "Nobody may read it yet: there is no group Poeple."
    )
    assert outcome(record(access=(), grant=Grant())).endswith("Nobody may read it yet.")


def test_pages_are_listed_as_ranges_and_long_lists_are_cut() -> None:
    assert page_ranges((9, 3, 7, 8)) == "3 and 7-9"
    assert page_ranges((4,)) == "4"
    assert page_ranges(tuple(range(1, 100, 2))) == "1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23 and more"
