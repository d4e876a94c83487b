"""Every check, in the order in which a question passes the parts: from the reader's browser down to the database."""

from __future__ import annotations

from pipelines.doctor.aws_access import look_at_identity
from pipelines.doctor.bedrock import look_at_bedrock
from pipelines.doctor.cache import look_at_cache
from pipelines.doctor.documents import look_at_queue, look_at_sources, look_at_uploads
from pipelines.doctor.finding import Check
from pipelines.doctor.index import look_at_folder, look_at_server
from pipelines.doctor.local_models import look_at_ollama, look_at_openai
from pipelines.doctor.n8n import look_at_answer, look_at_api_key, look_at_n8n, look_at_owner, look_at_webhook
from pipelines.doctor.open_webui import look_at_connection, look_at_open_webui
from pipelines.doctor.other_models import look_at_embedding, look_at_rerank, look_at_vision
from pipelines.doctor.postgres import is_own, look_at_postgres
from pipelines.doctor.prices import look_at_names, look_at_prices
from pipelines.doctor.sagemaker import look_at_sagemaker
from pipelines.doctor.stack import look_at_keys, look_at_pipelines, look_at_stack
from pipelines.settings import Settings

MODEL_S = 25.0
"""A model that is being loaded answers late."""


def _asks(provider: str) -> Check:
    looks = {
        "ollama": look_at_ollama,
        "openai": look_at_openai,
        "bedrock": look_at_bedrock,
        "sagemaker": look_at_sagemaker,
    }
    return Check(provider, looks[provider], lambda settings: provider in settings.model_providers(), limit_s=MODEL_S)


CHECKS = (
    Check("stack", look_at_stack),
    Check("open-webui", look_at_open_webui, needs=("stack",)),
    Check("open-webui models", look_at_connection, needs=("open-webui", "pipelines")),
    Check("pipelines", look_at_pipelines, needs=("stack",)),
    Check("pipelines key", look_at_keys, needs=("pipelines",)),
    Check("n8n", look_at_n8n, needs=("stack",)),
    Check("n8n owner", look_at_owner, needs=("n8n",)),
    Check("n8n api key", look_at_api_key, needs=("n8n",)),
    Check("n8n webhook", look_at_webhook, needs=("n8n",)),
    Check("n8n answer", look_at_answer, needs=("n8n webhook", "pipelines"), limit_s=MODEL_S),
    Check("qdrant", look_at_server, lambda settings: bool(settings.qdrant_url)),
    Check("qdrant", look_at_folder, lambda settings: not settings.qdrant_url),
    Check("embedding", look_at_embedding, limit_s=MODEL_S),
    Check("rerank", look_at_rerank, lambda settings: bool(settings.rerank_model), limit_s=MODEL_S),
    Check("models", look_at_names),
    *(_asks(provider) for provider in ("ollama", "openai", "bedrock", "sagemaker")),
    Check("prices", look_at_prices),
    Check("aws", look_at_identity, Settings.calls_aws),
    Check("cache", look_at_cache, lambda settings: bool(settings.cache_url.get_secret_value())),
    Check("sources", look_at_sources, lambda settings: bool(settings.sources())),
    Check("uploads", look_at_uploads),
    Check("queue", look_at_queue, lambda settings: bool(settings.document_queue_url)),
    Check("vision", look_at_vision, limit_s=MODEL_S),
    Check("postgres", look_at_postgres, is_own, needs=("stack",)),
    Check("postgres", look_at_postgres, lambda settings: not is_own(settings)),
)
"""No two of those that the same settings want have the same part."""
