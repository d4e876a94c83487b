"""What the workflows sign in with: the deployment's keys go in, n8n's credentials by name, type and data come out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.provision.n8n_target import N8nTarget

WEBHOOK_CREDENTIAL = "Ragline webhook key"
INTERNAL_CREDENTIAL = "Ragline internal key"
ROUTER_CREDENTIAL = "Ragline model router"
FORM_CREDENTIAL = "Ragline upload form"
OLLAMA_CREDENTIAL = "Ragline Ollama"
AWS_CREDENTIAL = "Ragline AWS"
FORM_USER = "documents"


def wanted_credentials(target: N8nTarget) -> Mapping[str, tuple[str, dict[str, Any]]]:
    """Every credential by its name, as its type and data.

    All of them, also those of a provider that is not set up: n8n's Model Selector evaluates every model it chooses
    from (n8n 2.40).
    """
    return {
        WEBHOOK_CREDENTIAL: ("httpHeaderAuth", {"name": "X-Ragline-Key", "value": target.webhook_key}),
        INTERNAL_CREDENTIAL: ("httpHeaderAuth", {"name": "X-Ragline-Key", "value": target.internal_key}),
        ROUTER_CREDENTIAL: (
            "openAiApi",
            {"apiKey": target.internal_key, "url": f"{target.pipelines_url}/llm/v1", "header": False},
        ),
        FORM_CREDENTIAL: ("httpBasicAuth", {"user": FORM_USER, "password": target.form_password}),
        OLLAMA_CREDENTIAL: ("ollamaApi", {"baseUrl": target.ollama_url, "apiKey": ""}),
        AWS_CREDENTIAL: ("aws", _aws(target)),
    }


def _aws(target: N8nTarget) -> dict[str, Any]:
    data: dict[str, Any] = {
        "region": target.aws.region,
        "accessKeyId": target.aws.access_key_id,
        "secretAccessKey": target.aws.secret_access_key,
        "temporaryCredentials": False,
        "customEndpoints": bool(target.aws.endpoint),
    }
    if target.aws.endpoint:
        data["bedrockRuntimeEndpoint"] = target.aws.endpoint
    return data
