"""Sets up n8n and Open WebUI, both already running: settings go in, two working neighbours come out.

The same code runs natively, in compose and on ECS, at every start; where nothing has changed it changes nothing.
"""

from __future__ import annotations

import hmac
import json
import logging
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from pipelines.answer.offer import DEFAULT_ID
from pipelines.client import DocumentsClient
from pipelines.errors import RaglineError, SetupFailed
from pipelines.provision.aws_access import AwsAccess, static_aws_access
from pipelines.provision.n8n import provision_n8n, try_workflow
from pipelines.provision.n8n_target import N8nTarget
from pipelines.provision.n8n_workflows import Outcome
from pipelines.provision.open_webui import OpenWebUI, provision_open_webui
from pipelines.settings import StackSettings

COMPARING_S = 60.0
"""What takes longer goes on without anybody who waits for it."""

logger = logging.getLogger(__name__)

NATIVE_WORKFLOW = "answer-question-native-models"
"""The webhook path of the workflow whose model nodes are n8n's own."""


def provision(settings: StackSettings) -> dict[str, Outcome]:
    """Bring both to the state this version ships and return what was done with each workflow.

    Raises:
        SetupFailed: one of them refused or does not answer; says what to do.
    """
    workflows = _workflows(settings)
    target = n8n_target(settings)
    if target.aws.lacking:
        logger.warning(target.aws.lacking)
    outcomes = provision_n8n(target, workflows, needed=settings.workflow_path)
    try_workflow(target, settings.workflow_path)
    with open_webui_admin(settings) as open_webui:
        provision_open_webui(open_webui, DEFAULT_ID)
    return outcomes


def compare_sources(settings: StackSettings) -> Iterator[str]:
    """Have pipelines look at its sources once, and yield what it found at each, or why it did not look.

    Later looks are n8n's; this one is so that the first documents need not wait for it.
    """
    if not settings.sources():
        return
    try:
        with DocumentsClient(settings.pipelines_url, key=settings.internal_api_key.get_secret_value()) as documents:
            for report in documents.sync([], timeout_s=COMPARING_S):
                found = f"{report.added} new, {report.changed} changed, {report.removed} gone documents"
                yield f"{report.source}: {report.problem or found}"
    except RaglineError as error:
        yield f"The sources were not compared; the next look at them is n8n's: {error.message}"


def fingerprint(settings: StackSettings) -> str:
    """A digest of what `provision` puts into n8n: another one means that it has to be done again.

    It is keyed, so that it can be kept beside the stack without telling anything of the secrets in it.
    """
    digest = hmac.new(settings.n8n_encryption_key.get_secret_value().encode(), digestmod="sha256")
    target = n8n_target(settings)
    digest.update(json.dumps([asdict(target), settings.workflow_path], default=str, sort_keys=True).encode())
    for path in _workflows(settings):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def n8n_target(settings: StackSettings) -> N8nTarget:
    """Where n8n is and what it must know."""
    return N8nTarget(
        url=settings.n8n_url.rstrip("/"),
        webhook_url=settings.workflow_url.rstrip("/"),
        owner_email=settings.n8n_owner_email,
        owner_password=settings.n8n_owner_password.get_secret_value(),
        api_key_file=settings.n8n_api_key_file,
        pipelines_url=settings.pipelines_url,
        webhook_key=settings.webhook_api_key.get_secret_value(),
        internal_key=settings.internal_api_key.get_secret_value(),
        form_password=settings.upload_form_password.get_secret_value(),
        ollama_url=settings.ollama_base_url,
        aws=_aws(settings),
    )


def open_webui_admin(settings: StackSettings) -> OpenWebUI:
    """Open WebUI's administrator, not yet signed in."""
    return OpenWebUI(
        settings.open_webui_url,
        email=settings.open_webui_admin_email,
        password=settings.open_webui_admin_password.get_secret_value(),
    )


def _workflows(settings: StackSettings) -> list[Path]:
    workflows = sorted(path for path in settings.workflows_dir.glob("*.json") if not path.name.startswith("package"))
    if not workflows:
        raise SetupFailed(f"There are no workflows in {settings.workflows_dir}; set WORKFLOWS_DIR.")
    return workflows


def _aws(settings: StackSettings) -> AwsAccess:
    # A key is copied into n8n only where n8n calls Bedrock itself: people who edit workflows can use it there.
    if settings.workflow_path == NATIVE_WORKFLOW and "bedrock" in settings.model_providers():
        return static_aws_access(settings.aws_region)
    return AwsAccess()
