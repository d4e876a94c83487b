"""The n8n of a deployment, as provisioning sees it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipelines.provision.aws_access import AwsAccess


@dataclass(frozen=True, slots=True)
class N8nTarget:
    """Where n8n is and what it must know."""

    url: str
    webhook_url: str
    """Where workflows are called: n8n, or its webhook processes in queue mode."""
    owner_email: str
    owner_password: str
    api_key_file: Path
    pipelines_url: str
    webhook_key: str
    internal_key: str
    form_password: str
    ollama_url: str
    aws: AwsAccess
