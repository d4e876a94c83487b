"""Settings with secrets that are easy to find again, and a way to ask the doctor beside the servers of a test."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.doctor.checks import CHECKS
from pipelines.doctor.finding import Finding
from pipelines.doctor.run import examine
from pipelines.settings import StackSettings
from tests.fakes.aws import clean_environment
from tests.unit.native.parts_for_tests import free_port

MakeSettings = Callable[..., StackSettings]
Ask = Callable[..., Awaitable[dict[str, Finding]]]

SECRETS = {
    name: f"canary-{name}-0123456789"
    for name in (
        *("gateway_api_key", "internal_api_key", "webhook_api_key", "identity_secret", "client_api_key"),
        *("open_webui_admin_password", "open_webui_secret_key", "n8n_owner_password", "upload_form_password"),
        *("n8n_encryption_key", "postgres_password", "openai_api_key", "qdrant_api_key", "s3_secret_access_key"),
    )
}


@pytest.fixture
def make_settings(tmp_path: Path) -> MakeSettings:
    """Settings of a stack that does not run, in a folder of their own, but for what is given."""

    def make(**given: Any) -> StackSettings:
        places = {f"{part}_port": free_port() for part in ("open_webui", "n8n", "pipelines", "postgres")}
        silent = {"ollama_base_url": f"http://127.0.0.1:{free_port()}"}
        basic = {"state_dir": tmp_path / "state", "default_access": "everyone", **places, **silent, **SECRETS}
        return StackSettings(_env_file=None, **{**basic, **given})

    return make


@pytest.fixture
def ask() -> Ask:
    """What the doctor finds about these groups, by part."""

    async def asked(settings: StackSettings, *groups: str) -> dict[str, Finding]:
        found = await asyncio.to_thread(examine, settings, CHECKS, groups=groups)
        return {finding.part: finding for finding in found}

    return asked


@pytest.fixture
def aws_environment() -> Iterator[pytest.MonkeyPatch]:
    """An AWS configuration with a key that means nothing, and nothing else of this machine."""
    with clean_environment() as environment:
        environment.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        yield environment
