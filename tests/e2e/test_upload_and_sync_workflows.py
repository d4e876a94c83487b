"""Documents put in by n8n's form, and the workflow that looks at the sources: on the real n8n."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import psycopg
import pytest
from playwright.sync_api import FilePayload, Page, expect

from pipelines.native.postgres import server_url
from pipelines.provision.n8n import provision_n8n
from pipelines.provision.n8n_credentials import FORM_USER
from pipelines.provision.normalise import SERVICE_ORIGIN
from pipelines.provision.run import n8n_target
from tests.e2e.browser import running_chromium
from tests.e2e.conftest import PEOPLE_TEAM
from tests.e2e.test_answer_through_open_webui import QUOTES, hear
from tests.e2e.test_uploads_in_open_webui import within
from tests.stack import DOCUMENTS, Stack

pytestmark = pytest.mark.stack
LOCKER = b"# Lockers\n\nThe lockers of the Trieste office are opened with the word Marmalade.\n"
QUESTION = "With which word are the lockers of the Trieste office opened?"
FACT = "Marmalade"


@pytest.fixture
def form(stack: Stack) -> Iterator[Page]:
    """The form, in the browser of somebody who knows its password."""
    password = stack.settings.upload_form_password.get_secret_value()
    with running_chromium() as browser:
        window = browser.new_context(
            base_url=stack.settings.n8n_url, http_credentials={"username": FORM_USER, "password": password}
        )
        page = window.new_page()
        page.goto("/form/upload-document")
        yield page


def send(form: Page, files: dict[str, bytes], *, readers: str, group: str = "") -> None:
    chosen: list[FilePayload] = [
        {"name": name, "mimeType": "application/octet-stream", "buffer": data} for name, data in files.items()
    ]
    form.locator("input[type=file]").set_input_files(chosen)
    form.locator("select").select_option(label=readers)
    form.get_by_placeholder("A group's name").fill(group)
    form.get_by_role("button", name="Add").click()


def answered(stack: Stack, reader: str, *, group: str | None = None) -> bool:
    with stack.reader(reader, group=group) as account:
        return FACT in hear(account, QUESTION, model=QUOTES).text


def unsaved_runs(stack: Stack) -> bool:
    with psycopg.connect(server_url(stack.settings).of("n8n")) as connection:
        return connection.execute("SELECT count(*) FROM execution_entity").fetchone() == (0,)


@pytest.mark.browser
def test_the_form_puts_in_documents_for_one_group_and_says_what_came_of_each(stack: Stack, form: Page) -> None:
    encrypted = next((DOCUMENTS / "broken").glob("*encrypted*.pdf")).read_bytes()
    files = {"Schließfächer.md": LOCKER, "contract.pdf": encrypted}
    send(form, files, readers="Only the group named below", group=PEOPLE_TEAM)

    expect(form.locator("body")).to_contain_text("Schließfächer.md is ready: 1 passage.", timeout=60_000)
    expect(form.locator("body")).to_contain_text("password")
    assert answered(stack, "insider", group=PEOPLE_TEAM)
    assert not answered(stack, "reader")
    # neither the run nor the files stay in n8n once the page has been shown
    within(10, lambda: unsaved_runs(stack))
    assert list((stack.settings.state_dir / "data" / "n8n").glob("**/binary_data/*")) == []


@pytest.mark.browser
def test_a_form_without_the_groups_name_opens_the_document_to_nobody(stack: Stack, form: Page) -> None:
    send(form, {"Schließfächer.md": LOCKER}, readers="Only the group named below")
    expect(form.locator("body")).to_contain_text("Nobody may read it yet.", timeout=60_000)
    assert not answered(stack, "insider", group=PEOPLE_TEAM)


def test_the_form_is_shown_to_nobody_without_its_password(stack: Stack) -> None:
    address = f"{stack.settings.n8n_url}/form/upload-document"
    for auth in (None, (FORM_USER, "wrong-password")):
        assert httpx.get(address, auth=auth).status_code == 401
        files = {"field-0": ("a.md", LOCKER)}
        assert httpx.post(address, auth=auth, files=files, data={"field-1": "Everyone"}).status_code == 401


def test_the_clock_has_the_sources_compared(stack: Stack, tmp_path: Path) -> None:
    target = n8n_target(stack.settings)
    shipped = (stack.settings.workflows_dir / "sync-documents.json").read_text()
    path = tmp_path / "tried-sync.json"
    with pipelines_that_notes() as (url, noted):
        path.write_text(
            shipped.replace('"sync-documents"', '"tried-sync"')
            .replace(SERVICE_ORIGIN, url)
            .replace('"field": "minutes"', '"field": "seconds"')
            .replace('"minutesInterval": 5', '"secondsInterval": 2')
        )
        try:
            assert provision_n8n(target, [path]) == {"tried-sync": "created"}
            within(15, lambda: len(noted) >= 2)
        finally:
            path.write_text(shipped.replace('"sync-documents"', '"tried-sync"').replace(SERVICE_ORIGIN, url))
            provision_n8n(target, [path])
    assert set(noted) == {("POST", "/documents/sync", target.internal_key)}
    within(10, lambda: unsaved_runs(stack))


@contextmanager
def pipelines_that_notes() -> Iterator[tuple[str, list[tuple[str, str, str | None]]]]:
    """A server that notes what it is asked, and by which key."""
    noted: list[tuple[str, str, str | None]] = []

    class Noting(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            noted.append(("POST", self.path, self.headers["X-Ragline-Key"]))
            body = json.dumps({"sources": []}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Noting) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", noted
        finally:
            server.shutdown()
            thread.join()
