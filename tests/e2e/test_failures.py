"""What a reader gets when a part fails in the middle, and that the next question works."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest

from pipelines.demo import Heard, ask
from pipelines.provision.open_webui import OpenWebUI
from tests.e2e.test_answer_through_open_webui import hear
from tests.stack import BREAKS, DOCUMENTS, FAST, MODEL, REFUSES, VERY_SLOW, Stack, choice

pytestmark = pytest.mark.stack
QUESTION = "How much annual leave do I have?"


@pytest.fixture(scope="module")
def reader(stack: Stack) -> Iterator[OpenWebUI]:
    with stack.reader("reader") as account:
        yield account


def gateway(stack: Stack) -> httpx.Client:
    assert stack.settings.client_api_key is not None
    key = stack.settings.client_api_key.get_secret_value()
    return httpx.Client(base_url=stack.settings.pipelines_url, headers={"Authorization": f"Bearer {key}"}, timeout=60)


def body(text: str, model: str = MODEL, *, stream: bool = True) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": text}], "stream": stream}


def test_killing_n8n_mid_answer_is_an_error_for_the_reader_and_the_next_question_works(
    stack: Stack, reader: OpenWebUI
) -> None:
    begun = threading.Event()
    ends: list[Heard] = []

    def read() -> None:
        for piece, heard in ask(reader, [{"role": "user", "content": QUESTION}], model=choice(VERY_SLOW)):
            if piece:
                begun.set()
            else:
                ends.append(heard)

    thread = threading.Thread(target=read)
    thread.start()
    assert begun.wait(20)
    pid = stack.part("n8n").pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    thread.join(10)
    assert not thread.is_alive()
    assert time.monotonic() - killed < 2
    assert "n8n" in ends[0].error
    assert ends[0].usage == {}

    while not hear(reader, QUESTION, model=choice(FAST)).text:
        assert time.monotonic() - killed < 60
        time.sleep(1)


def test_leaving_stops_the_model_within_a_second(stack: Stack) -> None:
    stack.reset_models()
    with (
        gateway(stack) as http,
        http.stream("POST", "/v1/chat/completions", json=body(QUESTION, choice(VERY_SLOW))) as r,
    ):
        for line in r.iter_lines():
            if '"content":"' in line and '"content":""' not in line:
                break
    left = time.monotonic()
    while stack.model_stats()["cancelled"] == 0:
        assert time.monotonic() - left < 1
        time.sleep(0.02)
    assert stack.model_stats()["active"] == 0


def test_leaving_before_the_first_word_stops_the_model_too(stack: Stack) -> None:
    stack.reset_models()
    with gateway(stack) as http, pytest.raises(httpx.ReadTimeout):
        slow_start = choice(VERY_SLOW)
        http.post("/v1/chat/completions", json=body(QUESTION, slow_start, stream=False), timeout=0.8)
    left = time.monotonic()
    while stack.model_stats()["active"] or not stack.model_stats()["requests"]:
        assert time.monotonic() - left < 1.5
        time.sleep(0.02)


def test_a_model_that_breaks_off_is_an_error_and_never_a_whole_answer(reader: OpenWebUI) -> None:
    heard = hear(reader, QUESTION, model=choice(BREAKS))
    assert "broke" in heard.error
    assert not heard.usage


def test_a_model_that_refuses_is_named_to_the_reader(stack: Stack) -> None:
    with gateway(stack) as http:
        text = http.post("/v1/chat/completions", json=body(QUESTION, choice(REFUSES))).text
    error = json.loads(text.strip().rpartition("data: ")[2])["error"]
    assert error["code"] == "model_failed"
    assert "Ollama" in error["message"]


@pytest.mark.parametrize(
    ("content", "content_type", "status", "code"),
    [
        (json.dumps(body("x", "gpt-4")), "application/json", 404, "model_not_found"),
        (json.dumps(body("   ")), "application/json", 400, "empty_question"),
        (json.dumps(body("x" * 1_000_000)), "application/json", 413, "request_too_large"),
        ("{not json", "application/json", 400, "invalid_request"),
        ("a=b", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
    ],
)
def test_bad_requests_are_typed(stack: Stack, content: str, content_type: str, status: int, code: str) -> None:
    with gateway(stack) as http:
        response = http.post("/v1/chat/completions", content=content, headers={"Content-Type": content_type})
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


def test_a_wrong_key_is_refused_by_every_route(stack: Stack) -> None:
    wrong = {"Authorization": "Bearer wrong", "X-Ragline-Key": "wrong"}
    calls = [("GET", "/v1/models"), ("POST", "/v1/chat/completions"), ("POST", "/answer"), ("POST", "/retrieve")]
    calls += [("GET", "/documents"), ("DELETE", "/documents/x"), ("GET", "/llm/v1/models")]
    with httpx.Client(base_url=stack.settings.pipelines_url, headers=wrong) as http:
        for method, path in calls:
            response = http.request(method, path)
            assert (response.status_code, response.json()["error"]["code"]) == (401, "unauthorized"), path
    assert httpx.post(f"{stack.settings.n8n_url}/webhook/answer-question", json={}).status_code == 403


def test_open_webui_shows_the_sentence_of_a_refused_question(reader: OpenWebUI) -> None:
    heard = hear(reader, "x" * 40_000, model=choice(FAST))
    assert "longer than" in heard.error


def test_documents_that_cannot_be_read_cost_nothing_but_themselves(stack: Stack) -> None:
    problems = stack.add([DOCUMENTS / "broken", DOCUMENTS / "handbook" / "annual-leave.md"])
    assert len(problems) == len(list((DOCUMENTS / "broken").iterdir()))
    assert any("password" in problem for problem in problems)
    with stack.documents() as documents:
        titles = [document.title for document in documents.list()]
    assert titles.count("Annual leave") == 1


def test_no_part_is_started_with_a_secret_in_its_arguments(stack: Stack) -> None:
    secrets = [
        value.get_secret_value()
        for value in stack.settings.model_dump().values()
        if hasattr(value, "get_secret_value") and value.get_secret_value()
    ]
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        assert not any(secret in line for secret in secrets)
