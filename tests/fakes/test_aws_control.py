"""Bedrock's control plane read by boto3's own client, and the server as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import boto3
import httpx
import pytest
from botocore import exceptions

from tests.fakes.aws_models import AwsModels, aws_models_in_a_thread, running_aws_models
from tests.fakes.aws_signature import KEY_ID, SECRET

if TYPE_CHECKING:
    from types_boto3_bedrock.client import BedrockClient

HAIKU = "anthropic.claude-haiku-4-5-20251001-v1:0"


@pytest.fixture(scope="module")
def server() -> Iterator[AwsModels]:
    with aws_models_in_a_thread() as running:
        yield running


@pytest.fixture(scope="module")
def client(server: AwsModels) -> Iterator[BedrockClient]:
    client = boto3.client(
        "bedrock",
        region_name="eu-central-1",
        endpoint_url=server.url,
        aws_access_key_id=KEY_ID,
        aws_secret_access_key=SECRET,
    )
    yield client
    client.close()


def test_lists_models_by_what_they_make(client: BedrockClient) -> None:
    listed = client.list_foundation_models(byOutputModality="EMBEDDING")["modelSummaries"]
    kinds = {model["modelId"]: model["inferenceTypesSupported"] for model in listed}
    assert kinds["amazon.titan-embed-text-v2:0"] == ["ON_DEMAND"]
    assert kinds["cohere.embed-v4:0"] == ["INFERENCE_PROFILE"]
    assert HAIKU not in kinds
    on_demand = client.list_foundation_models(byInferenceType="ON_DEMAND")["modelSummaries"]
    assert "cohere.embed-v4:0" not in {model["modelId"] for model in on_demand}


def test_lists_the_profiles_of_the_region(client: BedrockClient) -> None:
    listed = client.list_inference_profiles()["inferenceProfileSummaries"]
    assert {profile["inferenceProfileId"].split(".")[0] for profile in listed} == {"eu", "global"}
    profile = client.get_inference_profile(inferenceProfileIdentifier=f"eu.{HAIKU}")
    assert (profile["status"], profile["models"][0]["modelArn"].rpartition("/")[2]) == ("ACTIVE", HAIKU)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_inference_profile(inferenceProfileIdentifier=f"us.{HAIKU}")


def test_describes_a_model_and_whether_the_account_may_use_it(client: BedrockClient, server: AwsModels) -> None:
    assert client.get_foundation_model(modelIdentifier=HAIKU)["modelDetails"]["modelName"] == "Claude Haiku 4.5"
    assert client.get_foundation_model_availability(modelId=HAIKU)["entitlementAvailability"] == "AVAILABLE"
    server.chat.closed.add(HAIKU)
    assert client.get_foundation_model_availability(modelId=HAIKU)["entitlementAvailability"] == "NOT_AVAILABLE"
    with pytest.raises(exceptions.ClientError, match="Could not resolve the foundation model"):
        client.get_foundation_model(modelIdentifier="amazon.nothing-v1:0")


async def test_runs_in_a_tests_own_loop() -> None:
    async with running_aws_models() as server, httpx.AsyncClient(base_url=server.url) as http:
        refused = await http.get("/foundation-models")
        assert (refused.status_code, refused.json()) == (403, {"message": "Missing Authentication Token"})


def test_runs_as_a_process_that_says_where() -> None:
    command = [sys.executable, "-m", "tests.fakes.aws_models"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert httpx.get(f"{url}/mock/stats").json()["requests"] == 0
        process.terminate()
