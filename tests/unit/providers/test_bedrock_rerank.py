"""How Bedrock is asked to rerank, and what its errors mean, with the real boto3."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest
from botocore import exceptions as aws

from pipelines.errors import Busy, ModelFailed, ModelUnavailable, RaglineError, UnknownModel
from pipelines.providers.bedrock_rerank import BedrockRerank
from tests.fakes import bedrock
from tests.fakes.aws import clean_environment
from tests.fakes.bedrock import REGION, Refusal
from tests.fakes.bedrock_rerank import MODELS, RerankServer, running_rerank

MODEL = MODELS[1]
ARN = f"arn:aws:bedrock:{REGION}::foundation-model/{MODEL}"
REFUSALS: list[tuple[Refusal, type[RaglineError], str]] = [
    (bedrock.THROTTLED, Busy, "busy"),
    (Refusal(400, "ServiceQuotaExceededException", "Your account has too many requests."), Busy, "too many"),
    (bedrock.EXPIRED, ModelUnavailable, "sign in again"),
    (bedrock.UNKNOWN_MODEL, UnknownModel, f"cannot rerank passages with {MODEL}"),
    (Refusal(400, "ValidationException", "The model ARN you provided is not valid."), UnknownModel, MODEL),
    (Refusal(404, "ResourceNotFoundException", "Could not resolve the foundation model."), UnknownModel, MODEL),
    (Refusal(400, "ValidationException", "Document 3 is malformed."), ModelFailed, "malformed"),
    (Refusal(424, "DependencyFailedException", "Bedrock did not answer."), ModelFailed, "did not answer"),
    (Refusal(502, "BadGatewayException", "Bad gateway."), ModelFailed, "Bad gateway"),
    (Refusal(500, "InternalServerException", "Try again."), ModelFailed, "Try again"),
]


@pytest.fixture(autouse=True)
def environment() -> Iterator[pytest.MonkeyPatch]:
    with clean_environment() as environment:
        yield environment


@pytest.fixture
async def server() -> AsyncIterator[RerankServer]:
    async with running_rerank() as running:
        yield running


async def _rank(
    url: str, texts: Sequence[str] = ("a hotel",), *, model: str = MODEL, region: str | None = REGION
) -> Sequence[float]:
    rerank = BedrockRerank(model, region=region, endpoint_url=url, timeout_s=10)
    try:
        return await asyncio.to_thread(rerank.rank, "hotel costs", texts, timeout_s=10)
    finally:
        rerank.close()


async def test_sends_the_question_and_the_texts_in_a_signed_request(server: RerankServer) -> None:
    assert await _rank(server.url, ["trains", "a hotel", "what hotel costs"]) == [0.0, 0.5, 1.0]
    [request] = server.requests
    assert request["queries"] == [{"type": "TEXT", "textQuery": {"text": "hotel costs"}}]
    assert request["sources"][1] == {
        "type": "INLINE",
        "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": "a hotel"}},
    }
    assert request["rerankingConfiguration"] == {
        "type": "BEDROCK_RERANKING_MODEL",
        "bedrockRerankingConfiguration": {"numberOfResults": 3, "modelConfiguration": {"modelArn": ARN}},
    }


async def test_a_model_may_be_named_by_its_arn(server: RerankServer) -> None:
    assert await _rank(server.url, model=ARN) == [0.5]


async def test_reads_all_pages_of_an_answer(server: RerankServer) -> None:
    server.page = 2
    assert await _rank(server.url, ["hotel", "x", "hotel costs", "y", "z"]) == [0.5, 0.0, 1.0, 0.0, 0.0]
    assert len(server.requests) == 3


async def test_asks_in_parts_of_as_many_texts_as_bedrock_takes(server: RerankServer) -> None:
    texts = [f"hotel {number}" for number in range(1500)] + ["hotel costs"]
    scores = await _rank(server.url, texts)
    assert (len(scores), scores[-1]) == (1501, 1.0)
    assert [len(request["sources"]) for request in server.requests] == [1000, 501]


async def test_empty_texts_are_not_sent_and_long_ones_are_cut(server: RerankServer) -> None:
    assert await _rank(server.url, ["", "hotel " * 10_000, " "]) == [0.0, 0.5, 0.0]
    [source] = server.requests[0]["sources"]
    assert len(source["inlineDocumentSource"]["textDocument"]["text"]) == 32_000


async def test_translates_what_bedrock_says(server: RerankServer) -> None:
    rerank = BedrockRerank(MODEL, region=REGION, endpoint_url=server.url, timeout_s=10)
    for refusal, error, says in REFUSALS:
        server.refusal = refusal
        with pytest.raises(error, match=says) as raised:
            await asyncio.to_thread(rerank.rank, "hotel", ["a hotel"], timeout_s=10)
        assert type(raised.value) is error
        assert isinstance(raised.value.__cause__, aws.ClientError)
    assert len(server.requests) == len(REFUSALS), "there is no time for a second try"
    rerank.close()


async def test_a_denied_call_names_the_permissions_that_are_missing(server: RerankServer) -> None:
    server.refusal = bedrock.DENIED
    with pytest.raises(ModelUnavailable, match=f"allow bedrock:Rerank, and bedrock:InvokeModel on {ARN}, "):
        await _rank(server.url)


async def test_a_model_that_cannot_rerank_is_named(server: RerankServer) -> None:
    with pytest.raises(UnknownModel, match=r"amazon\.nova-lite-v1:0"):
        await _rank(server.url, model="amazon.nova-lite-v1:0")


@pytest.mark.parametrize(
    "results",
    [
        [],
        [{"index": 1, "relevanceScore": 0.5}],
        [{"index": 0}],
        [{"index": 0, "relevanceScore": None}],
        [{"index": 0, "relevanceScore": "NaN"}],
    ],
    ids=["none", "of another text", "no score", "null", "not a number"],
)
async def test_half_an_answer_is_not_taken_for_one(server: RerankServer, results: list[dict[str, object]]) -> None:
    server.results = results
    with pytest.raises(ModelFailed, match=MODEL):
        await _rank(server.url)


async def test_without_credentials_it_says_so_and_looks_again_next_time(
    server: RerankServer, environment: pytest.MonkeyPatch
) -> None:
    rerank = BedrockRerank(MODEL, region=REGION, endpoint_url=server.url, timeout_s=10)
    environment.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(ModelUnavailable, match="give this process a role"):
        await asyncio.to_thread(rerank.rank, "hotel", ["a hotel"], timeout_s=10)
    assert not server.requests
    environment.setenv("AWS_ACCESS_KEY_ID", "test")
    assert await asyncio.to_thread(rerank.rank, "hotel", ["a hotel"], timeout_s=10) == [1.0]
    rerank.close()


async def test_without_a_region_it_names_the_setting(server: RerankServer) -> None:
    with pytest.raises(ModelUnavailable, match="AWS_REGION"):
        await _rank(server.url, region=None)


async def test_says_that_bedrock_cannot_be_reached() -> None:
    with pytest.raises(ModelUnavailable, match=f"cannot be reached in {REGION}"):
        await _rank("http://127.0.0.1:9")
