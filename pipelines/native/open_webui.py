"""How Open WebUI 0.12 is started: its command, and every variable we set with the reason for it.

Its settings come from these variables at every start; what is changed in its administration page lasts until then.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from pipelines.answer.offer import DEFAULT_ID
from pipelines.provision.databases import OPEN_WEBUI_DATABASE, ServerUrl
from pipelines.settings import StackSettings

HEADERS = {
    "X-Ragline-Task": "{{TASK}}",
    "X-Ragline-Chat": "{{CHAT_ID}}",
    "X-Ragline-Message": "{{MESSAGE_ID}}",
    # the same when an answer is asked for again
    "X-Ragline-Turn": "{{USER_MESSAGE_ID}}",
    # ids, not names: a name may contain the comma that separates them
    "X-Ragline-Groups": "{{USER_GROUP_IDS}}",
}
"""What the gateway is told with each call; Open WebUI fills the templates in."""

UPLOAD_HEADERS = {"X-Ragline-File": "{{FILE_ID}}"}
"""What pipelines is told with each uploaded file."""

UPLOADS_AT_ONCE = 64
"""Each file that is being read holds one of Open WebUI's threads until it is ready."""

SUGGESTIONS = (
    ("Travel expenses", "What is paid for hotels and meals?", "What may a hotel cost, and what is paid for meals?"),
    ("Annual leave", "How many days, and until when?", "How many days of annual leave do I have, and do they expire?"),
    ("On-call duty", "How is it compensated?", "How is on-call duty compensated?"),
    ("Security incident", "Whom do I call?", "What do I do when I notice a security incident?"),
)
"""Title, subtitle and question of the suggestions on an empty chat; the sample documents answer them."""


def command(installed: Path, port: int) -> tuple[str, ...]:
    """The command that starts the Open WebUI installed in this environment.

    Not `open-webui serve`: it would wait for open browser tabs without limit when it is stopped.
    """
    return (
        str(installed / "bin/python"),
        *("-m", "uvicorn", "open_webui.main:app"),
        *("--host", "127.0.0.1", "--port", str(port), "--timeout-graceful-shutdown", "3"),
    )


def environment(settings: StackSettings, data: Path, server: ServerUrl) -> dict[str, str]:
    """Everything Open WebUI is told, by what it is for."""
    return {
        **_place(settings, data, server),
        **_accounts(settings),
        **_connection(settings),
        **_uploads(settings),
        **_models(),
        **_switches("true", ON),
        **_switches("false", OFF),
        **RETRIEVAL,
    }


ON = (
    "ENABLE_API_KEYS",
    "ENABLE_FORWARD_USER_INFO_HEADERS",
    "BYPASS_MODEL_ACCESS_CONTROL",
    "OFFLINE_MODE",
    # answers on a slim image's terms: no vector database, speech model or their packages are loaded into the process
    "USE_SLIM_DOCKER",
    # the package's own `serve` sets it: data and web pages are then looked for where pip put them
    "FROM_INIT_PY",
)

OFF = (
    *("ENABLE_PERSISTENT_CONFIG", "ENABLE_SIGNUP", "ENABLE_VERSION_UPDATE_CHECK", "ENABLE_COMMUNITY_SHARING"),
    *("ENABLE_OLLAMA_API", "ENABLE_DIRECT_CONNECTIONS", "ENABLE_EVALUATION_ARENA_MODELS"),
    *("ENABLE_WEB_SEARCH", "ENABLE_CODE_EXECUTION", "ENABLE_CODE_INTERPRETER", "ENABLE_TOOLS", "ENABLE_TOOL_SERVERS"),
    *("ENABLE_IMAGE_GENERATION", "ENABLE_IMAGE_EDIT", "ENABLE_AUTOCOMPLETE_GENERATION"),
    *("ENABLE_MEMORIES", "ENABLE_NOTES", "ENABLE_CALENDAR", "ENABLE_AUTOMATIONS", "ENABLE_CHANNELS"),
    *("ENABLE_RETRIEVAL_QUERY_GENERATION", "ENABLE_SEARCH_QUERY_GENERATION", "ENABLE_RAG_HYBRID_SEARCH"),
    "ENABLE_PUBLIC_ACTIVE_USERS_COUNT",
)

RETRIEVAL = {
    # Our pipelines retrieve. `openai` keeps sentence-transformers and torch out of the process (it is then never
    # called, so it needs no address that works).
    "BYPASS_EMBEDDING_AND_RETRIEVAL": "true",
    "RAG_EMBEDDING_ENGINE": "openai",
    "RAG_OPENAI_API_BASE_URL": "http://127.0.0.1:9/v1",
    "RAG_OPENAI_API_KEY": "unused",
    "HF_HUB_OFFLINE": "1",
}


def _place(settings: StackSettings, data: Path, server: ServerUrl) -> dict[str, str]:
    port = settings.open_webui_port
    origins = dict.fromkeys((settings.open_webui_url, f"http://127.0.0.1:{port}", f"http://localhost:{port}"))
    return {
        "DATA_DIR": str(data),
        "DATABASE_URL": server.of(OPEN_WEBUI_DATABASE),
        "WEBUI_URL": settings.open_webui_url,
        "CORS_ALLOW_ORIGIN": ";".join(origins),
        "WEBUI_SECRET_KEY": settings.open_webui_secret_key.get_secret_value(),
    }


def _accounts(settings: StackSettings) -> dict[str, str]:
    return {
        "WEBUI_ADMIN_EMAIL": settings.open_webui_admin_email,
        "WEBUI_ADMIN_PASSWORD": settings.open_webui_admin_password.get_secret_value(),
        "WEBUI_ADMIN_NAME": "Administrator",
        "DEFAULT_USER_ROLE": "user",
    }


def _connection(settings: StackSettings) -> dict[str, str]:
    connection = {"enable": True, "connection_type": "external", "auth_type": "bearer", "headers": HEADERS}
    return {
        "OPENAI_API_BASE_URLS": f"{settings.pipelines_url}/v1",
        "OPENAI_API_KEYS": settings.gateway_api_key.get_secret_value(),
        "OPENAI_API_CONFIGS": json.dumps({"0": connection}),
        # the reader's identity is signed: plain headers could be forged by whoever reaches the gateway
        "FORWARD_USER_INFO_HEADER_JWT_SECRET": settings.identity_secret.get_secret_value(),
    }


def _uploads(settings: StackSettings) -> dict[str, str]:
    return {
        # every file that is uploaded goes to pipelines, whatever its format
        "CONTENT_EXTRACTION_ENGINE": "external",
        "EXTERNAL_DOCUMENT_LOADER_URL": f"{settings.pipelines_url}/open-webui",
        "EXTERNAL_DOCUMENT_LOADER_API_KEY": settings.gateway_api_key.get_secret_value(),
        "EXTERNAL_DOCUMENT_LOADER_HEADERS": json.dumps(UPLOAD_HEADERS),
        # audio too, which is refused with a reason there; empty would mean all audio is transcribed here
        "AUDIO_STT_SUPPORTED_CONTENT_TYPES": "application/x-never",
        "RAG_FILE_MAX_SIZE": str(settings.max_document_mb),
        "THREAD_POOL_SIZE": str(UPLOADS_AT_ONCE),
    }


def _models() -> dict[str, str]:
    capabilities = {
        **dict.fromkeys(("citations", "usage", "status_updates", "file_upload"), True),
        # its own retrieval and tools would change the question before our gateway sees it
        **dict.fromkeys(("file_context", "builtin_tools", "vision", "web_search"), False),
        **dict.fromkeys(("image_generation", "code_interpreter", "terminal"), False),
    }
    suggestions = [{"title": [title, subtitle], "content": question} for title, subtitle, question in SUGGESTIONS]
    return {
        "DEFAULT_MODELS": DEFAULT_ID,
        "DEFAULT_MODEL_METADATA": json.dumps({"capabilities": capabilities}),
        "DEFAULT_PROMPT_SUGGESTIONS": json.dumps(suggestions),
    }


def _switches(value: str, names: Iterable[str]) -> dict[str, str]:
    return dict.fromkeys(names, value)
