"""A folder that is kept in line: what lies in it is what gets answered."""

from __future__ import annotations

from pathlib import Path

import pytest
from tenacity import Retrying, stop_after_delay, wait_fixed

from pipelines.provision.open_webui import OpenWebUI
from tests.e2e.test_answer_through_open_webui import hear
from tests.stack import MODEL, Stack

pytestmark = pytest.mark.stack

QUESTION = "How much does a lost locker key cost?"
QUOTES = f"{MODEL}:extractive/quotes"


def test_what_lies_in_the_folder_is_answered_as_it_is_now_and_not_once_it_is_gone(stack: Stack, share: Path) -> None:
    file = share / "lockers.md"
    with stack.reader("reader") as reader:
        file.write_text("# Lockers\n\nA lost locker key costs 37 euros.\n")
        look(stack, ready=1)
        assert "37 euros" in answer(reader)

        file.write_text("# Lockers\n\nA lost locker key costs 41 euros.\n")
        look(stack, ready=1)
        assert "41 euros" in answer(reader)
        assert "37 euros" not in answer(reader)

        file.unlink()
        look(stack, ready=0)
        for attempt in Retrying(stop=stop_after_delay(5), wait=wait_fixed(0.2), reraise=True):
            with attempt:
                assert "euros" not in answer(reader)


def look(stack: Stack, *, ready: int) -> None:
    """Have the folder looked at, as n8n's clock does, and wait until what was found is done."""
    with stack.documents() as documents:
        (report,) = documents.sync([])
        assert report.problem == ""
        for attempt in Retrying(stop=stop_after_delay(30), wait=wait_fixed(0.2), reraise=True):
            with attempt:
                assert [listed.state for listed in documents.list(source=report.source)] == ["ready"] * ready


def answer(reader: OpenWebUI) -> str:
    return hear(reader, QUESTION, model=QUOTES).text
