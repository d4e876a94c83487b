"""What the doctor says of Bedrock and SageMaker, asked with boto3 over AWS's wire."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pipelines.doctor.bedrock import invoke_permission
from tests.fakes.aws_models import AwsModels, running_aws_models
from tests.fakes.aws_wire import ACCOUNT, Refusal
from tests.unit.doctor.conftest import Ask, MakeSettings

REGION = "eu-central-1"
MODEL = "eu.amazon.nova-lite-v1:0"


@pytest.fixture
async def server(aws_environment: pytest.MonkeyPatch) -> AsyncIterator[AwsModels]:
    async with running_aws_models(region=REGION) as running:
        for service in ("BEDROCK", "BEDROCK_RUNTIME", "SAGEMAKER", "SAGEMAKER_RUNTIME"):
            aws_environment.setenv(f"AWS_ENDPOINT_URL_{service}", running.url)
        yield running


def _statement(todo: str) -> dict[str, Any]:
    first, _, pasted = todo.partition("\n")
    assert first.startswith("add this statement to the policy of ")
    statement: dict[str, Any] = json.loads(pasted)
    return statement


async def test_each_model_of_bedrock_is_asked_for_one_token(
    server: AwsModels, make_settings: MakeSettings, ask: Ask
) -> None:
    settings = make_settings(
        llm_provider="bedrock", aws_region=REGION, llm_fallback="bedrock/eu.amazon.nova-micro-v1:0,extractive/quotes"
    )
    found = await ask(settings, "bedrock")
    assert {part: finding.state for part, finding in found.items()} == {
        f"bedrock {MODEL}": "ok",
        "bedrock eu.amazon.nova-micro-v1:0": "ok",
    }
    assert server.stats.requests == 2
    assert server.stats.last_request is not None
    assert server.stats.last_request["inferenceConfig"]["maxTokens"] == 1


async def test_a_missing_permission_comes_as_a_statement_ready_to_paste(
    server: AwsModels, make_settings: MakeSettings, ask: Ask
) -> None:
    server.chat.denied.add("amazon.nova-lite-v1:0")
    found = (await ask(make_settings(llm_provider="bedrock", llm_model=MODEL, aws_region=REGION), "bedrock"))[
        f"bedrock {MODEL}"
    ]
    assert found.state == "failed"
    assert "assumed-role/ragline/task" in found.todo
    assert _statement(found.todo) == {
        "Sid": "RaglineModel",
        "Effect": "Allow",
        "Action": ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"],
        "Resource": [
            f"arn:aws:bedrock:{REGION}:{ACCOUNT}:inference-profile/{MODEL}",
            "arn:aws:bedrock:*::foundation-model/amazon.nova-lite-v1:0",
        ],
    }


async def test_a_model_that_the_account_was_not_given(server: AwsModels, make_settings: MakeSettings, ask: Ask) -> None:
    server.chat.closed.add("amazon.nova-lite-v1:0")
    found = (await ask(make_settings(llm_provider="bedrock", llm_model=MODEL, aws_region=REGION), "bedrock"))[
        f"bedrock {MODEL}"
    ]
    assert (found.state, found.todo) == (
        "failed",
        f"enable the model in Bedrock's console in {REGION}, under Model access",
    )


@pytest.mark.parametrize(
    ("model", "todo"),
    [
        ("us.amazon.nova-lite-v1:0", f"name {MODEL}, or set AWS_REGION to one of us"),
        ("amazon.nova-lite-v1:0", f"name its inference profile instead: {MODEL}"),
        ("no.such-model", f"`ragline models --all` lists what there is in {REGION}"),
    ],
)
async def test_a_model_that_cannot_be_asked_in_the_region(
    server: AwsModels, make_settings: MakeSettings, ask: Ask, model: str, todo: str
) -> None:
    settings = make_settings(llm_provider="bedrock", llm_model=model, aws_region=REGION)
    found = (await ask(settings, "bedrock"))[f"bedrock {model}"]
    assert (found.state, found.todo) == ("failed", todo)


async def test_expired_credentials(
    server: AwsModels, aws_environment: pytest.MonkeyPatch, make_settings: MakeSettings, ask: Ask
) -> None:
    aws_environment.setenv("AWS_SESSION_TOKEN", "expired")
    settings = make_settings(llm_provider="bedrock", llm_model=MODEL, aws_region=REGION)
    found = (await ask(settings, "bedrock"))[f"bedrock {MODEL}"]
    assert (found.state, found.todo) == ("failed", "the session has expired: `aws sso login`, or renew the key")


@pytest.mark.parametrize(
    ("refusal", "todo"),
    [
        (Refusal(403, "InvalidSignatureException", "Signature expired: 1 is now earlier than 2"), "timedatectl"),
        (Refusal(403, "UnrecognizedClientException", "The security token is invalid"), "renew the key"),
    ],
)
async def test_a_wrong_clock_and_a_wrong_key(
    server: AwsModels, make_settings: MakeSettings, ask: Ask, refusal: Refusal, todo: str
) -> None:
    server.gate.refusal = refusal
    settings = make_settings(llm_provider="bedrock", llm_model=MODEL, aws_region=REGION)
    found = (await ask(settings, "bedrock"))[f"bedrock {MODEL}"]
    assert found.state == "failed"
    assert todo in found.todo


async def test_no_credentials_and_an_unknown_profile(
    server: AwsModels, aws_environment: pytest.MonkeyPatch, make_settings: MakeSettings, ask: Ask
) -> None:
    settings = make_settings(llm_provider="bedrock", llm_model=MODEL, aws_region=REGION)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        aws_environment.delenv(name)
    found = (await ask(settings, "bedrock"))[f"bedrock {MODEL}"]
    assert "give this process a role, or set AWS_PROFILE" in found.todo
    aws_environment.setenv("AWS_PROFILE", "no-such")
    (found,) = (await ask(settings, "bedrock")).values()
    assert found.state == "failed"
    assert "AWS_PROFILE" in found.todo


async def test_a_failure_that_nothing_is_known_of_still_says_what_to_do(
    server: AwsModels, make_settings: MakeSettings, ask: Ask
) -> None:
    model = "mock-ttft0-itl0-len9-err-invalid"
    settings = make_settings(llm_provider="bedrock", llm_model=model, aws_region=REGION)
    found = (await ask(settings, "bedrock"))[f"bedrock {model}"]
    assert (found.state, "choose another model" in found.todo) == ("failed", True)


async def test_throttling_is_a_warning(server: AwsModels, make_settings: MakeSettings, ask: Ask) -> None:
    server.gate.refusal = Refusal(429, "ThrottlingException", "Too many requests")
    settings = make_settings(llm_provider="bedrock", llm_model=MODEL, aws_region=REGION)
    assert (await ask(settings, "bedrock"))[f"bedrock {MODEL}"].state == "warning"


def test_a_guardrail_is_part_of_what_is_needed() -> None:
    needed = invoke_permission("amazon.nova-lite-v1:0", "us-east-1", ACCOUNT, guardrail="abc123:2")
    assert needed.actions[-1] == "bedrock:ApplyGuardrail"
    assert needed.resources[-1] == f"arn:aws:bedrock:us-east-1:{ACCOUNT}:guardrail/abc123"


async def test_an_endpoint_in_service(server: AwsModels, make_settings: MakeSettings, ask: Ask) -> None:
    settings = make_settings(llm_provider="sagemaker", sagemaker_endpoint="ragline-llm", aws_region=REGION)
    assert (await ask(settings, "sagemaker"))["sagemaker ragline-llm"].state == "ok"


@pytest.mark.parametrize(
    ("status", "seen", "todo"),
    [
        ("Creating", "is being created", "wait"),
        ("Failed", "did not pass the ping health check", "CloudWatch"),
        ("", "there is no endpoint of this name in eu-central-1", "check SAGEMAKER_ENDPOINT and AWS_REGION"),
    ],
)
async def test_an_endpoint_that_is_not_in_service(
    server: AwsModels, make_settings: MakeSettings, ask: Ask, status: str, seen: str, todo: str
) -> None:
    if status:
        server.endpoints.status["llm"] = status
    settings = make_settings(llm_provider="sagemaker", sagemaker_endpoint="llm", aws_region=REGION)
    found = (await ask(settings, "sagemaker"))["sagemaker llm"]
    assert found.state == "failed"
    assert seen in found.seen
    assert todo in found.todo


async def test_an_endpoint_that_may_not_be_asked(server: AwsModels, make_settings: MakeSettings, ask: Ask) -> None:
    server.endpoints.denied.add("ragline-llm")
    settings = make_settings(llm_provider="sagemaker", sagemaker_endpoint="ragline-llm", aws_region=REGION)
    found = (await ask(settings, "sagemaker"))["sagemaker ragline-llm"]
    assert found.state == "failed"
    statement = _statement(found.todo)
    assert "sagemaker:InvokeEndpointWithResponseStream" in statement["Action"]
    assert statement["Resource"] == [f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/ragline-llm"]
