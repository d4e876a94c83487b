"""The very first question, before any document was put in. Runs first: the file names order the tests."""

from __future__ import annotations

import pytest

from tests.e2e.test_answer_through_open_webui import QUOTES, hear
from tests.stack import Stack

pytestmark = pytest.mark.stack


def test_a_question_before_any_document_is_answered_with_what_is_missing(empty_stack: Stack) -> None:
    with empty_stack.reader("first") as reader:
        heard = hear(reader, "How much annual leave do I have?", model=QUOTES)
    assert heard.error == ""
    assert heard.text.strip() == "I could not find this in your documents."
    assert "No passage found in your documents" in heard.statuses
