"""Documents on the running stack, while the part that reads them is killed."""

from __future__ import annotations

import io
import os
import signal

import pytest
from tenacity import Retrying, stop_after_delay, wait_fixed

from pipelines.client import DocumentsClient, ListedDocument
from pipelines.domain import Grant
from tests.stack import Stack

pytestmark = pytest.mark.stack
COUNT = 24
NOBODY = Grant()
"""So that no answer of another test is made of these."""


def test_documents_that_were_taken_are_searchable_though_pipelines_is_killed_while_it_reads_them(
    stack: Stack,
) -> None:
    with stack.documents() as documents:
        taken = [put(documents, number) for number in range(COUNT)]
        pid = stack.part("pipelines").pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        for attempt in Retrying(stop=stop_after_delay(60), wait=wait_fixed(0.5), reraise=True):
            with attempt:
                known = {listed.id: listed for listed in documents.list()}
                assert {known[each.id].state for each in taken} == {"ready"}
        assert all(known[each.id].chunks for each in taken)
        for each in taken:
            documents.remove(each.id)
        assert not {each.id for each in taken} & {listed.id for listed in documents.list()}


def put(documents: DocumentsClient, number: int) -> ListedDocument:
    paragraphs = "\n\n".join(
        f"Rule {number}.{line}: doors of house {number} are closed at {line}." for line in range(60)
    )
    name = f"rules-{number}.md"
    return documents.add(name, io.BytesIO(paragraphs.encode()), origin=f"upload://killed/{name}", grant=NOBODY)
