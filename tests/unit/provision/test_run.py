"""What is said of the sources after provisioning, and where provisioning cannot begin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest

from pipelines.errors import SetupFailed
from pipelines.provision.n8n import provision_n8n, try_workflow
from pipelines.provision.n8n_api import open_api
from pipelines.provision.run import compare_sources, n8n_target
from tests.unit.provision.conftest import MakeSettings

Answers = dict[str, tuple[int, str]]
REPORT = (
    '{"sources": [{"source": "/documents", "added": 3, "changed": 1, "removed": 0, "reopened": 0, "unchanged": 9, '
    '"problem": ""}, {"source": "s3://b", "added": 0, "changed": 0, "removed": 0, "reopened": 0, "unchanged": 0, '
    '"problem": "s3://b cannot be reached; check the endpoint and the network."}]}'
)


@contextmanager
def answering(answers: Answers, *, session: str = "") -> Iterator[str]:
    """A server that answers a path as is given, and every other with 404.

    With a `session` it gives that as a cookie that is marked Secure, and wants it shown for all that is not the login.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = self.path.partition("?")[0]
            status, body = answers.get(path, (404, "{}"))
            if session and path != "/rest/login" and f"n8n-auth={session}" not in self.headers.get("Cookie", ""):
                status, body = 401, "{}"
            self.send_response(status)
            if session and path == "/rest/login":
                self.send_header("Set-Cookie", f"n8n-auth={session}; Path=/; HttpOnly; Secure")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        do_POST = do_GET

        def log_request(self, *_: object) -> None:
            """Tests read what fails."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_says_what_each_source_has_or_why_it_was_not_looked_at(make_settings: MakeSettings) -> None:
    with answering({"/documents/sync": (200, REPORT)}) as url:
        said = list(compare_sources(make_settings(pipelines_url=url, document_sources="/documents,s3://b")))
    assert said == [
        "/documents: 3 new, 1 changed, 0 gone documents",
        "s3://b: s3://b cannot be reached; check the endpoint and the network.",
    ]


@pytest.mark.parametrize("status", [None, 500])
def test_sources_that_cannot_be_compared_are_a_warning(make_settings: MakeSettings, status: int | None) -> None:
    with answering({"/documents/sync": (status or 200, "oops")}) as url:
        address = url if status else "http://127.0.0.1:1"
        (said,) = compare_sources(make_settings(pipelines_url=address, document_sources="/documents"))
    assert said.startswith("The sources were not compared; the next look at them is n8n's: pipelines")


def test_without_sources_nothing_is_asked(make_settings: MakeSettings) -> None:
    assert list(compare_sources(make_settings(pipelines_url="http://127.0.0.1:1"))) == []


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({"/rest/login": (401, "{}")}, "start n8n anew, for it reads them at its start"),
        ({"/rest/login": (429, "{}")}, "in five minutes"),
        ({"/rest/login": (500, "oops")}, "n8n refused POST /rest/login with status 500: oops"),
        ({"/rest/login": (200, "n8n is starting up. Please wait")}, "it is still starting"),
    ],
)
def test_a_key_that_n8n_does_not_make_is_one_sentence(make_settings: MakeSettings, answers: Answers, says: str) -> None:
    with (
        answering(answers) as url,
        pytest.raises(SetupFailed, match=says),
        open_api(n8n_target(make_settings(n8n_url=url))),
    ):
        pass


def test_a_key_is_made_where_n8n_marks_its_cookie_for_tls(make_settings: MakeSettings, tmp_path: Path) -> None:
    answers = {
        "/rest/login": (200, '{"data": {}}'),
        "/rest/api-keys": (200, '{"data": {"items": [], "rawApiKey": "n8n-key"}}'),
    }
    key_file = tmp_path / "n8n-api-key"

    with (
        answering(answers, session="s3ss10n") as url,
        open_api(n8n_target(make_settings(n8n_url=url, n8n_api_key_file=key_file))),
    ):
        pass

    assert key_file.read_text() == "n8n-key"


@pytest.mark.parametrize(
    ("status", "says"),
    [(404, "publish it in n8n's editor, or archive it"), (403, "refuses WEBHOOK_API_KEY")],
)
def test_an_answering_workflow_that_does_not_answer_is_one_sentence(
    make_settings: MakeSettings, status: int, says: str
) -> None:
    with answering({"/webhook/answer-question": (status, "no")}) as url:
        target = n8n_target(make_settings(n8n_url="http://127.0.0.1:1", workflow_url=url))
        with pytest.raises(SetupFailed, match=says) as failed:
            try_workflow(target, "answer-question")
    assert isinstance(failed.value.__cause__, httpx.HTTPStatusError)


def test_an_n8n_that_is_away_is_one_sentence(make_settings: MakeSettings) -> None:
    with pytest.raises(SetupFailed, match="look at the log of n8n"):
        provision_n8n(n8n_target(make_settings(n8n_url="http://127.0.0.1:1")), [])


def test_a_folder_that_cannot_be_written_is_one_sentence(make_settings: MakeSettings) -> None:
    target = n8n_target(make_settings(n8n_api_key_file=Path("/proc/none/n8n-api-key")))
    with pytest.raises(SetupFailed, match=r"/proc/none cannot be written .*N8N_API_KEY_FILE"):
        provision_n8n(target, [])
