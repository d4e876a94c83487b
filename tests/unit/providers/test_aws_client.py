"""Where the providers on AWS find their credentials and their region, with the real boto3."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web

from pipelines.domain import Message
from pipelines.errors import ModelUnavailable
from pipelines.providers.base import Finish, GenerateOptions
from pipelines.providers.bedrock import BedrockProvider
from tests.fakes.aws import REGION, clean_environment
from tests.fakes.aws_models import AwsModels, running_aws_models

FIVE = "mock.mock-ttft0-itl0-len5"


@pytest.fixture(autouse=True)
def environment() -> Iterator[pytest.MonkeyPatch]:
    with clean_environment() as environment:
        yield environment


@pytest.fixture
async def aws() -> AsyncIterator[AwsModels]:
    async with running_aws_models() as server:
        yield server


@dataclass(slots=True)
class TaskRole:
    """The endpoint at which a container on ECS gets the credentials of its role: a new key with every request."""

    aws: AwsModels
    lasts: timedelta
    handed_out: int = 0
    url: str = ""

    async def get(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != "role-token":
            return web.Response(status=403)
        self.handed_out += 1
        key = f"ASIAROLE{self.handed_out}"
        self.aws.keys.secrets = {key: "secret"}  # whoever signs with the key before is refused
        expires = (datetime.now(UTC) + self.lasts).strftime("%Y-%m-%dT%H:%M:%SZ")
        found = {"AccessKeyId": key, "SecretAccessKey": "secret", "Token": "session", "Expiration": expires}
        return web.json_response(found)


@asynccontextmanager
async def _task_role(aws: AwsModels, environment: pytest.MonkeyPatch, *, lasts: timedelta) -> AsyncIterator[TaskRole]:
    role = TaskRole(aws, lasts)
    app = web.Application()
    app.router.add_get("/credentials", role.get)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        environment.delenv(name)
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/credentials"
    environment.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
    environment.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "role-token")
    try:
        yield role
    finally:
        await runner.cleanup()


async def _ask(provider: BedrockProvider) -> Finish:
    deltas = [delta async for delta in provider.stream(FIVE, [Message("user", "Hello")], options=GenerateOptions())]
    assert isinstance(deltas[-1], Finish)
    return deltas[-1]


async def test_a_task_role_is_enough_and_asked_once_while_its_key_lasts(
    aws: AwsModels, environment: pytest.MonkeyPatch
) -> None:
    async with _task_role(aws, environment, lasts=timedelta(hours=6)) as role:
        provider = BedrockProvider(region=REGION, endpoint_url=aws.url)
        await provider.check(FIVE)
        await _ask(provider)
        assert role.handed_out == 1
        await provider.close()


async def test_a_key_that_is_about_to_expire_is_renewed(aws: AwsModels, environment: pytest.MonkeyPatch) -> None:
    async with _task_role(aws, environment, lasts=timedelta(minutes=1)) as role:
        provider = BedrockProvider(region=REGION, endpoint_url=aws.url)
        await _ask(provider)
        before = role.handed_out
        await _ask(provider)
        assert role.handed_out > before
        await provider.close()


async def test_without_credentials_it_says_so_and_looks_again_next_time(
    aws: AwsModels, environment: pytest.MonkeyPatch
) -> None:
    provider = BedrockProvider(region=REGION, endpoint_url=aws.url)
    environment.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(ModelUnavailable, match="give this process a role"):
        await _ask(provider)
    assert aws.stats.requests == 0
    environment.setenv("AWS_ACCESS_KEY_ID", "test")
    await _ask(provider)
    await provider.close()


async def test_expired_credentials_are_looked_up_again_after_they_were_renewed(
    aws: AwsModels, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        environment.delenv(name)
    file = tmp_path / "credentials"
    environment.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    key = "[default]\naws_access_key_id=test\naws_secret_access_key=test\naws_session_token="
    file.write_text(f"{key}expired\n")
    provider = BedrockProvider(region=REGION, endpoint_url=aws.url)
    with pytest.raises(ModelUnavailable, match="sign in again"):
        await _ask(provider)
    file.write_text(f"{key}renewed\n")
    await _ask(provider)
    await provider.close()


async def test_without_a_region_it_names_the_setting() -> None:
    provider = BedrockProvider()
    with pytest.raises(ModelUnavailable, match="AWS_REGION"):
        await _ask(provider)
    with pytest.raises(ModelUnavailable, match="AWS_REGION"):
        await provider.check()
    await provider.close()


async def test_a_server_that_stands_in_for_aws_needs_no_region(aws: AwsModels, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", aws.url)
    aws.keys.region = "us-east-1"
    provider = BedrockProvider()
    assert await provider.models() == ["us.amazon.nova-lite-v1:0"]
    await provider.check()
    await _ask(provider)
    await provider.close()


async def test_takes_the_region_of_the_machine(aws: AwsModels, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_DEFAULT_REGION", "ap-south-1")
    aws.keys.region = "ap-south-1"
    provider = BedrockProvider(endpoint_url=aws.url)
    assert await provider.models() == ["apac.amazon.nova-lite-v1:0"]
    await _ask(provider)
    await provider.close()


async def test_another_region_than_the_servers_is_called_that(aws: AwsModels) -> None:
    aws.keys.region = "us-east-1"
    provider = BedrockProvider(region=REGION, endpoint_url=aws.url)
    with pytest.raises(ModelUnavailable, match="set AWS_REGION"):
        await _ask(provider)
    await provider.close()
