"""What people do with a stack that runs in containers: ask, upload, drop files in a folder, open n8n's editor."""

from __future__ import annotations

import re
from hashlib import md5
from itertools import pairwise

import httpx
import pytest
from playwright.sync_api import Browser, expect

from pipelines.provision.n8n_credentials import FORM_USER
from pipelines.provision.open_webui import OpenWebUI
from tests.compose.asking import ask_once, streamed
from tests.compose.conftest import QUESTION, SOURCE
from tests.compose.deployment import Deployment
from tests.compose.inside import Inside
from tests.e2e.browser import ChatTab, new_window
from tests.e2e.test_answer_through_open_webui import QUOTES
from tests.e2e.test_upload_and_sync_workflows import FACT as LOCKER_FACT
from tests.e2e.test_upload_and_sync_workflows import LOCKER, send
from tests.e2e.test_upload_and_sync_workflows import QUESTION as LOCKER_QUESTION
from tests.e2e.test_uploads_in_open_webui import FACT, GATE, Desk, within
from tests.e2e.test_uploads_in_open_webui import QUESTION as GATE_QUESTION

pytestmark = pytest.mark.stack
ANSWER_WORKFLOW = "answer-question"
THE_CLOCK = 1
"""What the look at the sources may add, once in five minutes."""
PATIENCE_S = 60
"""For a document to be read on a machine that others load."""


def knows(inside: Inside, question: str, source: str) -> bool:
    """Whether the reader's answer is made of this document."""
    return any(source in words for _, part, words in streamed(inside.reader, question) if part == "source")


def test_an_answer_says_what_is_done_then_cites_then_grows_word_by_word(reader: OpenWebUI, slow: str) -> None:
    parts = list(streamed(reader, QUESTION, model=slow))
    kinds = [part for _, part, _ in parts]
    assert "error" not in kinds
    assert kinds.index("status") < kinds.index("source") < kinds.index("text") < kinds.index("usage")
    assert "source" not in kinds[kinds.index("text") :]
    assert next(words for _, part, words in parts if part == "source").startswith(SOURCE)

    moments = [moment for moment, part, _ in parts if part == "text"]
    assert len(moments) > 20
    assert moments[-1] - moments[0] > 1.5
    middle = [moment for moment in moments if moments[0] + 0.25 < moment < moments[-1] - 0.25]
    assert len(middle) > len(moments) / 2
    assert "[1]" in "".join(words for _, part, words in parts if part == "text")


def test_a_turn_is_exactly_one_run_of_the_workflow(inside: Inside) -> None:
    runs = [inside.runs()]
    for number in range(3):
        question = f"How many days of annual leave do I have in Bremerhaven? I ask for the {number}th time."
        assert ask_once(inside.reader, question).end == "answered"
        runs.append(inside.runs())
    of_turns = sorted(after - before for before, after in pairwise(runs))
    assert of_turns in ([1, 1, 1], [1, 1, 1 + THE_CLOCK])
    within(PATIENCE_S, lambda: inside.sql("n8n", "SELECT count(*) FROM execution_entity") == "0")


@pytest.mark.browser
def test_in_a_browser_the_answer_grows_and_its_citation_opens(
    stack: Deployment, chromium: Browser, inside: Inside, slow: str
) -> None:
    before = inside.runs()
    with new_window(chromium, stack.open_webui_url, inside.reader) as window:
        tab = ChatTab.open(window)
        tab.choose(slow)
        tab.ask("How many days of annual leave may I carry over?")
        expect(tab.status).to_have_text(re.compile(r"Found \d+ passages in"))
        lengths = tab.lengths()
        assert lengths == sorted(lengths)
        assert len(set(lengths)) > 2  # a browser on a busy machine paints many words at once

        tab.citation("annual-leave.md").click()
        expect(tab.passages).to_contain_text("Up to five days may be carried into the next year.")
    # a title, tags and follow-up questions are made of it too, without the workflow
    assert inside.runs() - before in (1, 1 + THE_CLOCK)


def test_a_file_uploaded_in_open_webui_lies_in_the_object_store_and_is_answered_from(
    stack: Deployment, inside: Inside
) -> None:
    before = inside.objects()
    desk = Desk(f"{stack.open_webui_url}/api/v1", inside.reader.token)
    file_id = desk.upload("ulm.md", GATE)
    assert desk.file(file_id)["content"] == "ulm.md is ready: 1 passage."
    fresh = {key: etag.strip('"') for key, etag in inside.objects().items() if key not in before}
    of_file = {key: etag for key, etag in fresh.items() if file_id in key and key.startswith("open-webui/")}
    assert list(of_file.values()) == [md5(GATE, usedforsecurity=False).hexdigest()]
    assert knows(inside, GATE_QUESTION, "ulm.md")
    assert (
        FACT.encode()
        in httpx.get(
            f"{desk.url}/files/{file_id}/content", headers={"Authorization": f"Bearer {desk.token}"}, timeout=30
        ).content
    )

    desk.call("DELETE", f"/files/{file_id}")
    within(PATIENCE_S, lambda: not any(file_id in key for key in inside.objects()))
    within(PATIENCE_S, lambda: not knows(inside, GATE_QUESTION, "ulm.md"))


def test_a_document_put_into_the_folder_is_found_after_a_look_at_it(stack: Deployment, inside: Inside) -> None:
    document = stack.documents / "lockers.md"
    document.write_bytes(LOCKER)
    inside.sync()
    within(PATIENCE_S, lambda: knows(inside, LOCKER_QUESTION, "lockers.md"))
    document.unlink()
    inside.sync()
    within(PATIENCE_S, lambda: not knows(inside, LOCKER_QUESTION, "lockers.md"))


def test_the_folder_cannot_be_written_by_who_reads_it(stack: Deployment) -> None:
    for service in ("pipelines", "pipelines-worker"):
        said = stack.exec(service, "sh", "-c", "touch /documents/x 2>&1 || true", user="0")
        assert "Read-only file system" in said


def test_the_owner_opens_the_editor_and_finds_the_workflows(stack: Deployment, chromium: Browser) -> None:
    password = stack.settings["N8N_OWNER_PASSWORD"]
    with httpx.Client(base_url=f"{stack.n8n_url}/rest", headers={"browser-id": "ragline"}, timeout=30) as editor:
        wrong = {"emailOrLdapLoginId": "owner@example.org", "password": "not-the-password"}
        assert editor.post("/login", json=wrong).status_code == 401
        editor.post("/login", json={**wrong, "password": password}).raise_for_status()
        listed = editor.get("/workflows").raise_for_status().json()["data"]
        assert {workflow["name"] for workflow in listed} >= {ANSWER_WORKFLOW, "upload-document", "sync-documents"}
        assert all(workflow["active"] for workflow in listed)
        (answering,) = (workflow for workflow in listed if workflow["name"] == ANSWER_WORKFLOW)

    with chromium.new_context(base_url=stack.n8n_url) as window:
        page = window.new_page()
        page.goto("/signin")
        page.locator("input[type=email], input[name=emailOrLdapLoginId]").first.fill("owner@example.org")
        page.locator("input[type=password]").fill(password)
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile("/(home|workflow|projects)"))
        page.goto(f"/workflow/{answering['id']}")
        expect(page.get_by_role("heading", name="2 Passages")).to_be_visible()
        expect(page.get_by_role("button", name="Published")).to_be_visible()


@pytest.mark.browser
def test_the_upload_form_takes_a_document_from_who_knows_its_password(
    stack: Deployment, chromium: Browser, inside: Inside
) -> None:
    address = f"{stack.n8n_url}/form/upload-document"
    assert httpx.get(address).status_code == 401
    account = {"username": FORM_USER, "password": stack.settings["UPLOAD_FORM_PASSWORD"]}
    with chromium.new_context(base_url=stack.n8n_url, http_credentials=account) as window:
        page = window.new_page()
        page.goto("/form/upload-document")
        send(page, {"Schließfächer.md": LOCKER}, readers="Everyone")
        expect(page.locator("body")).to_contain_text("Schließfächer.md is ready: 1 passage.", timeout=PATIENCE_S * 1000)
    told = "".join(words for _, part, words in streamed(inside.reader, LOCKER_QUESTION, model=QUOTES) if part == "text")
    assert LOCKER_FACT in told
