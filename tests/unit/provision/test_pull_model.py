"""Fetching models, from a server that speaks Ollama's protocol and fails as Ollama does."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

from pipelines.errors import ModelUnavailable, RaglineError, SetupFailed, UnknownModel
from pipelines.provision.pull_model import models_to_pull, pull_models
from pipelines.provision.pull_progress import LineReport, reporting
from tests.fakes.in_a_thread import in_a_thread
from tests.models import ModelServer, running_model_server
from tests.unit.native.parts_for_tests import free_port
from tests.unit.provision.conftest import MakeSettings

MODEL = "mock-ttft0-itl0-len5"
OTHER = "mock-embed8"


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with in_a_thread(running_model_server) as running:
        running.library.empty = True
        yield running


class Fetching:
    """What was fetched, said and waited for."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.said = io.StringIO()
        self.pauses: list[float] = []

    def __call__(self, *models: str) -> list[str]:
        with reporting(Console(file=self.said, force_terminal=False, width=40)) as report:
            return list(pull_models(self.url, models, report, sleep=self.pauses.append))


@pytest.fixture
def fetch(server: ModelServer) -> Fetching:
    return Fetching(server.url)


@pytest.mark.parametrize(
    ("given", "models"),
    [
        ({"ollama_model": "a"}, ["a"]),
        ({"llm_model": "b", "ollama_model": "a"}, ["b"]),
        ({"llm_provider": "ollama", "ollama_model": "a"}, ["a"]),
        ({}, []),
        ({"llm_provider": "bedrock", "ollama_model": "a"}, []),
        ({"llm_provider": "extractive", "ollama_model": "a"}, []),
        ({"llm_provider": "openai", "openai_base_url": "http://vllm", "ollama_model": "a"}, []),
        ({"llm_provider": "sagemaker", "sagemaker_endpoint": "e", "ollama_model": "a"}, []),
        ({"llm_provider": "bedrock", "llm_fallback": "ollama/c,extractive/quotes"}, ["c"]),
        ({"llm_provider": "bedrock", "llm_choices": "ollama/c,ollama/d:7b"}, ["c", "d:7b"]),
        ({"ollama_model": "a", "embedding_model": "ollama/e", "vision_model": "v"}, ["e", "v", "a"]),
        ({"ollama_model": "a", "vision_model": "ollama/a"}, ["a"]),
        ({"vision_model": "bedrock/v", "embedding_model": "openai/e", "openai_base_url": "http://vllm"}, []),
    ],
)
def test_fetches_what_the_settings_name_and_nothing_that_is_not_used(
    make_settings: MakeSettings, given: dict[str, Any], models: list[str]
) -> None:
    assert list(models_to_pull(make_settings(**given))) == models


def test_a_model_is_fetched_once_and_then_is_there(fetch: Fetching, server: ModelServer) -> None:
    assert fetch(MODEL) == [MODEL]
    assert fetch(MODEL) == [MODEL]

    assert server.library.pulls == 1


def test_what_is_there_needs_no_internet(fetch: Fetching, server: ModelServer) -> None:
    server.library.add(MODEL)
    server.library.fault = "offline"

    assert fetch(MODEL) == [MODEL]


@pytest.mark.parametrize("fault", ["cut", "broken"])
def test_goes_on_after_a_cut_for_as_long_as_more_comes_each_time(
    fetch: Fetching, server: ModelServer, fault: Any
) -> None:
    server.library.fault, server.library.faults = fault, 7

    assert fetch(MODEL) == [MODEL]

    assert server.library.pulls == 8
    assert fetch.pauses == [2.0] * 7


@pytest.mark.parametrize(
    ("fault", "kind", "says", "pulls"),
    [
        ("offline", ModelUnavailable, "does not reach the internet", 4),
        ("full", SetupFailed, "disk that Ollama keeps models on is full", 1),
        ("old", SetupFailed, "needs a newer Ollama", 1),
    ],
)
def test_what_stands_in_the_way_is_one_sentence_that_says_what_to_do(
    fetch: Fetching, server: ModelServer, fault: Any, kind: type[RaglineError], says: str, pulls: int
) -> None:
    server.library.fault = fault

    with pytest.raises(kind, match=says) as refused:
        fetch(MODEL)

    assert "\n" not in refused.value.message
    assert "docker compose up -d ollama-pull" in refused.value.message or "OLLAMA_IMAGE" in refused.value.message
    assert server.library.pulls == pulls


def test_a_reason_of_ollamas_own_is_told_without_its_signed_address(fetch: Fetching, server: ModelServer) -> None:
    server.library.fault, server.library.size = "broken", 0

    with pytest.raises(ModelUnavailable, match=r"\(max retries exceeded: Get unexpected EOF\)") as refused:
        fetch(MODEL)

    assert "Signature" not in refused.value.message


def test_a_name_that_ollama_does_not_know_keeps_no_other_model_away(fetch: Fetching, server: ModelServer) -> None:
    with pytest.raises(UnknownModel, match=r"Ollama has no model 'llama9': set OLLAMA_MODEL .* in \.env"):
        fetch("llama9", OTHER)

    assert server.library.has(OTHER)


def test_an_ollama_that_is_not_there_is_given_up(fetch: Fetching) -> None:
    fetch.url = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(ModelUnavailable, match=r"Ollama does not answer at http://127\.0\.0\.1"):
        fetch(MODEL)

    assert fetch.pauses == [2.0, 4.0, 8.0]


def test_a_log_gets_whole_lines_some_seconds_apart() -> None:
    said, now = io.StringIO(), iter([0.0, 1.0, 4.9, 5.0, 60.0])
    report = LineReport(Console(file=said, force_terminal=False, width=20), clock=lambda: next(now))

    for percent in (0, 1, 4, 5, 60):
        report.fetched("a-model-with-a-long-name:3b", percent * 20_000_000, 2_000_000_000)
    report.finishing("a-model-with-a-long-name:3b")

    assert said.getvalue().splitlines() == [
        "a-model-with-a-long-name:3b:   0 % of 2.0 GB",
        "a-model-with-a-long-name:3b:   5 % of 2.0 GB",
        "a-model-with-a-long-name:3b:  60 % of 2.0 GB",
        "a-model-with-a-long-name:3b: fetched, being checked",
    ]


def test_a_terminal_gets_a_bar(server: ModelServer) -> None:
    said = io.StringIO()
    with reporting(Console(file=said, force_terminal=True, width=120)) as report:
        assert list(pull_models(server.url, [MODEL], report)) == [MODEL]
    assert "1.3/1.3 GB" in said.getvalue()
