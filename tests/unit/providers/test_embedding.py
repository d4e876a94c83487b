"""Which embedding model is taken: the one that the settings name, or the one that an index was built with."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.bootstrap_documents import load_configured_embedding
from pipelines.errors import SetupFailed
from pipelines.providers import embedding as chosen
from pipelines.providers.embedding import choose_embedding, load_embedding_by_name
from pipelines.settings import Settings
from tests.fakes.aws import REGION, clean_environment
from tests.fakes.bedrock_embedding import TITAN, EmbeddingServer, running_embedding
from tests.fakes.in_a_thread import in_a_thread
from tests.models import ModelServer, running_model_server

OLLAMA = "ollama/nomic-embed-text-mock-embed64"


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with in_a_thread(running_model_server) as server:
        yield server


@pytest.fixture
def bedrock() -> Iterator[EmbeddingServer]:
    with in_a_thread(running_embedding) as server, clean_environment() as environment:
        environment.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", server.url)
        yield server


def make_settings(folder: Path, **values: object) -> Settings:
    secrets = dict.fromkeys(("gateway_api_key", "internal_api_key", "webhook_api_key", "identity_secret"), "x" * 32)
    values = {"state_dir": folder, "default_access": "nobody"} | values
    return Settings(_env_file=None, **secrets, **values)  # type: ignore[call-arg,arg-type]


def served_by(server: ModelServer, folder: Path, **values: object) -> Settings:
    return make_settings(folder, ollama_base_url=server.url, openai_base_url=f"{server.url}/v1", **values)


@pytest.mark.parametrize("model", [OLLAMA, "openai/mock-embed64"])
def test_a_model_is_found_again_by_its_name_whatever_the_settings_name_now(
    server: ModelServer, tmp_path: Path, model: str
) -> None:
    first = load_configured_embedding(served_by(server, tmp_path, embedding_model=model))
    again = load_embedding_by_name(first.name, served_by(server, tmp_path))
    assert (again.name, again.dimensions) == (first.name, 64)
    for embedding in (first, again):
        embedding.close()


def test_a_model_of_bedrock_is_found_again_by_its_name(bedrock: EmbeddingServer, tmp_path: Path) -> None:
    first = choose_embedding(make_settings(tmp_path, embedding_model=f"bedrock/{TITAN}", aws_region=REGION))
    again = load_embedding_by_name(first.name, make_settings(tmp_path, aws_region=REGION))
    assert (again.name, again.dimensions) == (first.name, 1024)
    for embedding in (first, again):
        embedding.close()


def test_other_weights_than_an_index_was_built_with_are_refused(server: ModelServer, tmp_path: Path) -> None:
    settings = served_by(server, tmp_path, embedding_model=OLLAMA)
    first = choose_embedding(settings)
    first.close()
    server.embeddings.weights = "b" * 64
    with pytest.raises(SetupFailed, match=r"was built with .*@64-.* put the earlier model back, or delete the index"):
        load_embedding_by_name(first.name, settings)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("ollama/gone-embed", r"EMBEDDING_MODEL=ollama/gone-embed cannot be used\. .*run `ollama pull gone-embed`"),
        ("ollama/mock-ttft0-itl0-len50", "is a chat model and cannot embed"),
        ("openai/gone-embed", "does not have the model"),
        ("bedrock/amazon.nova-lite-v1:0", "no embedding model of Bedrock"),
        ("ollama/", "write ollama/<model>"),
    ],
)
def test_a_wrong_model_is_said_at_the_start(server: ModelServer, tmp_path: Path, model: str, says: str) -> None:
    with pytest.raises(SetupFailed, match=says):
        choose_embedding(served_by(server, tmp_path, embedding_model=model, aws_region=REGION))


def test_a_provider_that_is_down_is_said_at_the_start(tmp_path: Path) -> None:
    down = make_settings(tmp_path, ollama_base_url="http://127.0.0.1:9", embedding_model="ollama/nomic-embed-text")
    with pytest.raises(SetupFailed, match="start it or set OLLAMA_BASE_URL"):
        choose_embedding(down)


def test_a_server_that_is_not_configured_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(SetupFailed, match="needs OPENAI_BASE_URL"):
        choose_embedding(make_settings(tmp_path, embedding_model="openai/text-embedding-3-small"))


def test_the_start_waits_no_longer_than_its_time(
    server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chosen, "LOAD_TIMEOUT_S", 0.3)
    server.embeddings.delay_s = 1.5
    started = time.monotonic()
    with pytest.raises(SetupFailed, match=r"no answer came within 0\.3 s"):
        choose_embedding(served_by(server, tmp_path, embedding_model="openai/mock-embed64"))
    assert time.monotonic() - started < 1.5


def test_a_model_on_this_machine_that_is_gone_is_said_too(tmp_path: Path) -> None:
    with pytest.raises(SetupFailed, match="is not in"):
        load_embedding_by_name("sentence-transformers/gone@0", make_settings(tmp_path))
