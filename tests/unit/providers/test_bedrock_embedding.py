"""How Bedrock is asked to embed, and what its errors mean, with the real boto3."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipelines.errors import Busy, ModelFailed, ModelUnavailable, RaglineError, UnknownModel
from pipelines.providers.bedrock_embedding import BedrockEmbeddingCalls, load_bedrock_embedding
from tests.fakes import bedrock_refusals
from tests.fakes.aws import REGION, clean_environment
from tests.fakes.aws_signature import EXPIRED
from tests.fakes.aws_wire import Refusal
from tests.fakes.bedrock_embedding import (
    COHERE,
    COHERE_4,
    NOVA,
    TITAN,
    TITAN_1,
    EmbeddingServer,
    running_embedding,
)
from tests.fakes.in_a_thread import in_a_thread
from tests.models.embeddings import Embeddings

ARN = f"arn:aws:bedrock:{REGION}::foundation-model/{TITAN}"
REFUSALS: list[tuple[Refusal, type[RaglineError], str]] = [
    (bedrock_refusals.THROTTLED, Busy, "busy"),
    (EXPIRED, ModelUnavailable, "sign in again"),
    (bedrock_refusals.denied("bedrock:InvokeModel", ARN), ModelUnavailable, f"allow bedrock:InvokeModel on {ARN}"),
    (bedrock_refusals.UNKNOWN_MODEL, UnknownModel, f"cannot embed texts with {TITAN} in {REGION}"),
    (bedrock_refusals.MODEL_ERROR, ModelFailed, "unexpected error"),
    (bedrock_refusals.INTERNAL, ModelFailed, "Try your request again"),
    (bedrock_refusals.invalid("400 Bad Request: Too many input tokens."), ModelFailed, "Too many input tokens"),
]


@pytest.fixture(autouse=True)
def environment() -> Iterator[pytest.MonkeyPatch]:
    with clean_environment() as environment:
        yield environment


@pytest.fixture(scope="module")
def running() -> Iterator[EmbeddingServer]:
    with in_a_thread(running_embedding) as server:
        yield server


@pytest.fixture
def server(running: EmbeddingServer) -> EmbeddingServer:
    running.refusal, running.embeddings = None, Embeddings()
    running.requests.clear()
    return running


Make = Callable[..., BedrockEmbeddingCalls]


@pytest.fixture
def make(server: EmbeddingServer) -> Iterator[Make]:
    made: list[BedrockEmbeddingCalls] = []

    def calls(model: str = TITAN, **more: Any) -> BedrockEmbeddingCalls:
        made.append(BedrockEmbeddingCalls(model, **{"region": REGION, "endpoint_url": server.url} | more))
        return made[-1]

    yield calls
    for each in made:
        each.close()


def test_titan_gets_one_text_a_call(server: EmbeddingServer, make: Make) -> None:
    assert len(make().call(["a hotel"], input_type="document")[0]) == 1024
    assert server.requests == [{"inputText": "a hotel", "dimensions": 1024, "normalize": True}]


def test_the_first_titan_takes_nothing_but_a_text(server: EmbeddingServer, make: Make) -> None:
    assert len(make(TITAN_1).call(["a hotel"], input_type="question")[0]) == 1536
    assert server.requests == [{"inputText": "a hotel"}]


@pytest.mark.parametrize(
    ("model", "more"),
    [
        (COHERE, {"truncate": "END"}),
        (COHERE_4, {"truncate": "RIGHT", "output_dimension": 1024, "embedding_types": ["float"]}),
    ],
)
def test_cohere_is_told_questions_from_documents(
    server: EmbeddingServer, make: Make, model: str, more: dict[str, object]
) -> None:
    calls = make(model)
    assert [len(vector) for vector in calls.call(["a", "b"], input_type="document")] == [1024, 1024]
    calls.call(["c"], input_type="question")
    assert server.requests == [
        {"texts": ["a", "b"], "input_type": "search_document", **more},
        {"texts": ["c"], "input_type": "search_query", **more},
    ]


def test_nova_is_told_questions_from_documents(server: EmbeddingServer, make: Make) -> None:
    calls = make(NOVA)
    for input_type, purpose in (("document", "GENERIC_INDEX"), ("question", "TEXT_RETRIEVAL")):
        assert len(calls.call(["a"], input_type=input_type)[0]) == 1024  # type: ignore[arg-type]  # both are
        assert server.requests[-1]["singleEmbeddingParams"] == {
            "embeddingPurpose": purpose,
            "embeddingDimension": 1024,
            "text": {"truncationMode": "END", "value": "a"},
        }


def test_a_long_text_fits_into_the_characters_of_a_call(server: EmbeddingServer) -> None:
    embedding = load_bedrock_embedding(COHERE, region=REGION, endpoint_url=server.url)
    embedding.embed(["internationalization of it is that " * 900] * 100, input_type="document")
    assert [len(request["texts"]) for request in server.requests[1:]] in ([96, 4], [4, 96])
    assert embedding.name.startswith(f"bedrock/{COHERE}@1024-")
    embedding.close()


def test_translates_what_bedrock_says(server: EmbeddingServer, make: Make) -> None:
    calls = make()
    for refusal, error, says in REFUSALS:
        server.refusal = refusal
        with pytest.raises(error, match=says) as raised:
            calls.call(["a"], input_type="document")
        assert type(raised.value) is error
    assert len(server.requests) == len(REFUSALS), "what is tried again is not said here"


@pytest.mark.parametrize("fault", ["fail", "garbage"])
def test_half_an_answer_is_a_failure_of_the_model(server: EmbeddingServer, make: Make, fault: Any) -> None:
    server.embeddings.fault = fault
    with pytest.raises((ModelFailed, ModelUnavailable)):
        make().call(["a"], input_type="document")


@pytest.mark.parametrize("model", ["amazon.nova-lite-v1:0", "anthropic.claude-v2", "amazon.titan-embed-image-v1"])
def test_a_model_that_cannot_embed_texts_is_refused_without_asking(server: EmbeddingServer, model: str) -> None:
    with pytest.raises(UnknownModel, match="no embedding model of Bedrock that is known here"):
        load_bedrock_embedding(model, region=REGION, endpoint_url=server.url)
    assert not server.requests


def test_without_credentials_it_says_so_and_looks_again_next_time(make: Make, environment: pytest.MonkeyPatch) -> None:
    calls = make()
    environment.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(ModelUnavailable, match="give this process a role"):
        calls.call(["a"], input_type="question")
    environment.setenv("AWS_ACCESS_KEY_ID", "test")
    assert calls.call(["a"], input_type="question")


def test_without_a_region_it_names_the_setting(make: Make) -> None:
    with pytest.raises(ModelUnavailable, match="AWS_REGION"):
        make(region=None, endpoint_url=None).call(["a"], input_type="question")


def test_says_that_bedrock_cannot_be_reached(make: Make) -> None:
    with pytest.raises(ModelUnavailable, match=f"cannot be reached in {REGION}"):
        make(endpoint_url="http://127.0.0.1:9").call(["a"], input_type="question")
