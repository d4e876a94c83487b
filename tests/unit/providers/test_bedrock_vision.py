"""How Bedrock is asked for the text of a page, and what its errors mean, with the real boto3."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from random import Random

import httpx
import pytest
from botocore import exceptions as aws
from PIL import Image

from pipelines.errors import Busy, DeadlineExceeded, ModelFailed, ModelUnavailable, RaglineError, UnknownModel
from pipelines.providers.bedrock_vision import MAX_IMAGE_BYTES, BedrockVision
from pipelines.providers.page_prompt import MAX_TOKENS, PROMPT
from tests.fakes import bedrock
from tests.fakes.aws import clean_environment
from tests.fakes.bedrock import REGION, BedrockServer, Refusal, running_bedrock
from tests.models.pages import page_png

MODEL = "amazon.nova-lite-v1:0"
REFUSALS: list[tuple[Refusal, type[RaglineError], str]] = [
    (bedrock.THROTTLED, Busy, "busy"),
    (Refusal(503, "ServiceUnavailableException", "Bedrock is unable to process your request."), Busy, "busy"),
    (Refusal(429, "ModelNotReadyException", "Model is not ready."), Busy, "not ready"),
    (bedrock.EXPIRED, ModelUnavailable, "sign in again"),
    (
        Refusal(403, "UnrecognizedClientException", "The security token is invalid."),
        ModelUnavailable,
        "renew the key",
    ),
    (bedrock.UNKNOWN_MODEL, UnknownModel, MODEL),
    (Refusal(404, "ResourceNotFoundException", "Could not resolve the foundation model."), UnknownModel, MODEL),
    (
        Refusal(400, "ValidationException", "Invocation with on-demand throughput isn't supported. Use a profile."),
        UnknownModel,
        "Use a profile",
    ),
    (Refusal(400, "ValidationException", "The model returned: image is too small."), ModelFailed, "too small"),
    (bedrock.MODEL_TIMEOUT, DeadlineExceeded, "too long"),
    (bedrock.MODEL_ERROR, ModelFailed, "unexpected error"),
    (Refusal(500, "InternalServerException", "Try again."), ModelFailed, "Try again"),
]


@pytest.fixture(autouse=True)
def environment() -> Iterator[pytest.MonkeyPatch]:
    with clean_environment() as environment:
        yield environment


@pytest.fixture
async def server() -> AsyncIterator[BedrockServer]:
    async with running_bedrock() as running:
        yield running


async def _read(
    url: str, image: bytes = b"any", *, model: str = MODEL, region: str | None = REGION, timeout_s: float = 10
) -> str:
    vision = BedrockVision(model, region=region, endpoint_url=url, timeout_s=timeout_s)
    try:
        return await asyncio.to_thread(vision.read_page, image)
    finally:
        vision.close()


async def test_sends_the_page_and_the_prompt_in_a_signed_request(server: BedrockServer) -> None:
    image = page_png("# Scope")
    assert await _read(server.url, image) == "# Scope"
    assert server.last_model == MODEL
    request = server.last_request or {}
    assert request["inferenceConfig"] == {"temperature": 0, "maxTokens": MAX_TOKENS}
    picture, prompt = request["messages"][0]["content"]
    assert picture["image"]["format"] == "png"
    assert b64decode(picture["image"]["source"]["bytes"]) == image
    assert prompt == {"text": PROMPT}


async def test_a_page_beyond_the_limit_of_an_image_goes_as_jpeg(server: BedrockServer) -> None:
    noise, png = Image.frombytes("L", (2000, 2000), Random(7).randbytes(4_000_000)), BytesIO()
    noise.save(png, "PNG")
    assert len(png.getvalue()) > MAX_IMAGE_BYTES
    await _read(server.url, png.getvalue())
    sent = (server.last_request or {})["messages"][0]["content"][0]["image"]
    data = b64decode(sent["source"]["bytes"])
    assert sent["format"] == "jpeg"
    assert len(data) <= MAX_IMAGE_BYTES
    with Image.open(BytesIO(data)) as smaller:
        assert (smaller.format, smaller.size) == ("JPEG", (2000, 2000))


async def test_translates_what_bedrock_says(server: BedrockServer) -> None:
    vision = BedrockVision(MODEL, region=REGION, endpoint_url=server.url, timeout_s=10)
    for refusal, error, says in REFUSALS:
        server.refusal = refusal
        with pytest.raises(error, match=says) as raised:
            await asyncio.to_thread(vision.read_page, b"any")
        assert type(raised.value) is error
        assert isinstance(raised.value.__cause__, aws.ClientError)
    assert server.requests == len(REFUSALS), "how often a page is tried is not the client's to say"
    vision.close()


async def test_passes_on_when_to_come_back(server: BedrockServer) -> None:
    server.refusal = Refusal(429, "ThrottlingException", "Slow down.", {"Retry-After": "9"})
    with pytest.raises(Busy) as raised:
        await _read(server.url)
    assert raised.value.retry_after == 9


@pytest.mark.parametrize(
    ("model", "resources"),
    [
        (MODEL, [f"arn:aws:bedrock:{REGION}::foundation-model/{MODEL}"]),
        (
            "eu.anthropic.claude-haiku-4-5-20251001-v1:0",
            [
                f"arn:aws:bedrock:{REGION}:*:inference-profile/eu.anthropic.claude-haiku-4-5-20251001-v1:0",
                "arn:aws:bedrock:*::foundation-model/anthropic.claude-haiku-4-5-20251001-v1:0",
            ],
        ),
        (
            "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/abc",
            ["arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/abc"],
        ),
    ],
)
async def test_a_denied_call_names_the_permission_that_is_missing(
    server: BedrockServer, model: str, resources: list[str]
) -> None:
    server.refusal = bedrock.DENIED
    with pytest.raises(ModelUnavailable) as raised:
        await _read(server.url, model=model)
    assert f"allow bedrock:InvokeModel on {' and '.join(resources)}, " in raised.value.message


async def test_without_credentials_it_says_so_and_looks_again_with_the_next_page(
    server: BedrockServer, environment: pytest.MonkeyPatch
) -> None:
    vision = BedrockVision(MODEL, region=REGION, endpoint_url=server.url, timeout_s=10)
    environment.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(ModelUnavailable, match="give this process a role"):
        await asyncio.to_thread(vision.read_page, b"any")
    assert server.requests == 0
    environment.setenv("AWS_ACCESS_KEY_ID", "test")
    assert await asyncio.to_thread(vision.read_page, page_png("Scope")) == "Scope"
    vision.close()


async def test_without_a_region_it_names_the_setting(server: BedrockServer) -> None:
    with pytest.raises(ModelUnavailable, match="AWS_REGION"):
        await _read(server.url, region=None)


async def test_takes_the_region_of_the_machine(server: BedrockServer, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server.refusal = bedrock.DENIED
    with pytest.raises(ModelUnavailable, match="arn:aws:bedrock:us-east-1::"):
        await _read(server.url, region=None)


async def test_a_page_that_takes_too_long_is_let_go(server: BedrockServer) -> None:
    server.page_s = 5
    with pytest.raises(DeadlineExceeded, match=r"took more than 0\.2 s"):
        await _read(server.url, timeout_s=0.2)


async def test_says_that_bedrock_cannot_be_reached() -> None:
    with pytest.raises(ModelUnavailable, match=f"cannot be reached in {REGION}"):
        await _read("http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("stop_reason", "says"), [("max_tokens", "did not come to the end"), ("guardrail_intervened", "withheld")]
)
async def test_an_answer_that_is_not_a_whole_page_is_not_taken_for_one(
    server: BedrockServer, stop_reason: str, says: str
) -> None:
    server.stop_reason = stop_reason
    with pytest.raises(ModelFailed, match=says):
        await _read(server.url)


async def test_an_answer_without_text_is_an_empty_page(server: BedrockServer) -> None:
    server.answer = lambda _: ""
    assert await _read(server.url) == ""


async def test_the_endpoint_of_the_tests_refuses_what_is_not_signed_for_bedrock(server: BedrockServer) -> None:
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
        path = f"/model/{MODEL}/converse"
        assert (await http.post(path, json={})).headers["x-amzn-errortype"].startswith("MissingAuthenticationToken")
        signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=k/20260101/eu-central-1/s3/aws4_request"}
        assert (await http.post(path, json={}, headers=signed)).status_code == 403
