"""What people upload in Open WebUI is answered to them, and to those they share it with, until they delete it."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, expect
from tenacity import Retrying, stop_after_delay, wait_fixed

from pipelines.errors import RaglineError
from pipelines.ingest.open_webui_api import ORIGIN
from pipelines.provision.open_webui import OpenWebUI
from tests.e2e.browser import ChatTab, new_window, running_chromium
from tests.e2e.test_answer_through_open_webui import QUOTES, hear
from tests.stack import DOCUMENTS, FAST, Stack, choice

pytestmark = pytest.mark.stack
GATE = b"# Warehouse Ulm\n\nThe gate code of the Ulm warehouse is Kestrel 4711.\n"
QUESTION = "What is the gate code of the Ulm warehouse?"
FACT = "Kestrel 4711"
CREW = "Warehouse crew"
PROMPT_S = 20
"""For a change in Open WebUI to be in force; most of it is what this machine takes to ask and compare."""


@dataclass(frozen=True)
class Desk:
    """Open WebUI's API as its pages use it, for one account."""

    url: str
    token: str

    @classmethod
    def of(cls, stack: Stack, account: OpenWebUI) -> Desk:
        return cls(f"{stack.settings.open_webui_url}/api/v1", account.token)

    def call(self, method: str, path: str, body: Any = None, **kwargs: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = httpx.request(method, f"{self.url}{path}", json=body, headers=headers, timeout=60, **kwargs)
        assert answer.is_success, answer.text
        return answer.json()

    def upload(self, name: str, content: bytes, *, knowledge: str | None = None) -> str:
        """Upload a file and return its id once it has been processed, one way or the other."""
        metadata = {"metadata": json.dumps({"knowledge_id": knowledge})} if knowledge else {}
        file_id = str(self.call("POST", "/files/", files={"file": (name, content)}, data=metadata)["id"])
        within(PROMPT_S, lambda: self.file(file_id)["status"] in ("completed", "failed"))
        return file_id

    def file(self, file_id: str) -> dict[str, Any]:
        """What Open WebUI shows of a file: its status, its content or its error."""
        data: dict[str, Any] = self.call("GET", f"/files/{file_id}")["data"]
        return data

    def share(self, knowledge: str, *readers: tuple[str, str]) -> None:
        grants = [{"principal_type": kind, "principal_id": who, "permission": "read"} for kind, who in readers]
        self.call("POST", f"/knowledge/{knowledge}/access/update", {"access_grants": grants})


@pytest.fixture(scope="module")
def admin(stack: Stack) -> Iterator[OpenWebUI]:
    with stack.admin() as account:
        yield account


@pytest.fixture(scope="module")
def colleague(stack: Stack) -> Iterator[OpenWebUI]:
    with stack.reader("colleague") as account:
        yield account


@pytest.fixture(scope="module")
def uploader(stack: Stack) -> Iterator[OpenWebUI]:
    with stack.reader("uploader") as account:
        yield account


@pytest.fixture
def desk(stack: Stack, admin: OpenWebUI) -> Desk:
    return Desk.of(stack, admin)


@pytest.fixture
def knowledge(desk: Desk) -> str:
    made = desk.call("POST", "/knowledge/create", {"name": "Warehouse", "description": "", "access_grants": []})
    return str(made["id"])


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with running_chromium() as browser:
        yield browser


@pytest.fixture
def window(stack: Stack, chromium: Browser, uploader: OpenWebUI) -> Iterator[BrowserContext]:
    with new_window(chromium, stack.settings.open_webui_url, uploader) as window:
        yield window


def within(seconds: float, true: Callable[[], bool]) -> None:
    """Wait until something is so, and fail when it takes longer."""
    for attempt in Retrying(stop=stop_after_delay(seconds), wait=wait_fixed(0.2), reraise=True):
        with attempt:
            assert true()


def knows(account: OpenWebUI) -> bool:
    """Whether this reader is answered from the uploaded file."""
    return FACT in hear(account, QUESTION, model=QUOTES).text


def documents_of(stack: Stack, file_id: str) -> int:
    with stack.documents() as documents:
        return sum(document.origin.startswith(f"{ORIGIN}{file_id}/") for document in documents.list())


def test_a_file_is_answered_to_its_uploader_alone_until_it_is_deleted(
    stack: Stack, uploader: OpenWebUI, colleague: OpenWebUI
) -> None:
    desk = Desk.of(stack, uploader)
    file_id = desk.upload("ulm.md", GATE)

    assert desk.file(file_id)["content"] == "ulm.md is ready: 1 passage."
    assert knows(uploader)
    assert not knows(colleague)

    desk.call("POST", f"/files/{file_id}/rename", {"filename": "renamed.md"})
    desk.call("DELETE", f"/files/{file_id}")
    within(PROMPT_S, lambda: not knows(uploader))
    assert documents_of(stack, file_id) == 0


def test_a_file_that_cannot_be_read_says_why(stack: Stack, uploader: OpenWebUI) -> None:
    desk = Desk.of(stack, uploader)
    encrypted = next((DOCUMENTS / "broken").glob("*encrypted*.pdf"))
    told = desk.file(desk.upload("contract.pdf", encrypted.read_bytes()))
    assert told["status"] == "failed"
    assert "contract.pdf" in told["error"]
    assert "password" in told["error"]


def test_a_knowledge_base_is_answered_to_those_it_is_shared_with(
    stack: Stack, desk: Desk, knowledge: str, admin: OpenWebUI, colleague: OpenWebUI
) -> None:
    file_id = desk.upload("ulm.md", GATE, knowledge=knowledge)
    assert desk.file(file_id)["status"] == "completed"
    assert not knows(colleague)

    crew = admin.add_group(CREW)
    admin.add_member(crew, colleague.user_id)
    desk.share(knowledge, ("group", crew))
    within(PROMPT_S, lambda: knows(colleague))
    desk.call("POST", f"/groups/id/{crew}/update", {"name": "Yard crew", "description": ""})
    within(PROMPT_S, lambda: "Yard crew" in admin.group_ids() and knows(colleague))

    desk.share(knowledge)
    within(PROMPT_S, lambda: not knows(colleague))
    desk.share(knowledge, ("user", "*"))
    within(PROMPT_S, lambda: knows(colleague))

    desk.call("POST", f"/knowledge/{knowledge}/file/remove", {"file_id": file_id})
    within(PROMPT_S, lambda: not knows(colleague))
    within(PROMPT_S, lambda: documents_of(stack, file_id) == 0)


def test_a_file_added_to_a_shared_knowledge_base_is_shared_as_long_as_that_exists(
    stack: Stack, desk: Desk, knowledge: str, colleague: OpenWebUI
) -> None:
    file_id = desk.upload("ulm.md", GATE)
    desk.share(knowledge, ("user", colleague.user_id))
    assert not knows(colleague)

    desk.call("POST", f"/knowledge/{knowledge}/file/add", {"file_id": file_id})
    within(PROMPT_S, lambda: knows(colleague))
    desk.call("DELETE", f"/knowledge/{knowledge}/delete")
    within(PROMPT_S, lambda: not knows(colleague))
    assert documents_of(stack, file_id) == 1
    desk.call("DELETE", f"/files/{file_id}")


def test_a_file_deleted_while_pipelines_is_down_is_gone_when_it_is_back(
    stack: Stack, desk: Desk, admin: OpenWebUI
) -> None:
    file_id = desk.upload("ulm.md", GATE)
    pid = stack.part("pipelines").pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    desk.call("DELETE", f"/files/{file_id}")

    def gone() -> bool:
        try:
            return documents_of(stack, file_id) == 0 and not knows(admin)
        except RaglineError:
            return False  # not up yet

    within(60, gone)


@pytest.mark.browser
def test_in_the_chat_the_uploader_sees_that_a_file_is_ready_or_why_not(stack: Stack, window: BrowserContext) -> None:
    tab = ChatTab.open(window)
    chooser = tab.page.locator("input[type=file]").first
    encrypted = next((DOCUMENTS / "broken").glob("*encrypted*.pdf"))
    chooser.set_input_files({"name": "contract.pdf", "mimeType": "application/pdf", "buffer": encrypted.read_bytes()})
    expect(tab.page.locator("[data-sonner-toast]")).to_contain_text("contract.pdf")
    expect(tab.page.locator("[data-sonner-toast]")).to_contain_text("password")
    tab.page.close()

    tab = ChatTab.open(window)
    chooser = tab.page.locator("input[type=file]").first
    with tab.page.expect_response(re.compile("/process/status")) as processed:
        chooser.set_input_files({"name": "ulm.md", "mimeType": "text/markdown", "buffer": GATE})
    processed.value.finished()
    tab.page.get_by_text("ulm.md", exact=True).click()
    expect(tab.page.get_by_role("dialog")).to_contain_text("ulm.md is ready: 1 passage.")
    tab.page.keyboard.press("Escape")

    stack.reset_models()
    tab.choose(choice(FAST))
    tab.ask(QUESTION)
    expect(tab.citation("ulm.md")).to_be_visible()
    sent = stack.model_stats()["last_request"]["messages"][-1]["content"]
    assert "is ready" not in sent
    assert "<attached_files>" not in sent
