"""How Open WebUI 0.12 is started on this machine: its command, and the variables that depend on the place.

What it is told everywhere, with the reasons, stands in `compose/open-webui.env`.
"""

from __future__ import annotations

from pathlib import Path

from pipelines.native.layout import Layout
from pipelines.native.part_variables import part_variables
from pipelines.provision.databases import OPEN_WEBUI_DATABASE, ServerUrl
from pipelines.settings import StackSettings


def command(installed: Path, port: int) -> tuple[str, ...]:
    """The command that starts the Open WebUI installed in this environment.

    Not `open-webui serve`: it would wait for open browser tabs without limit when it is stopped.
    """
    return (
        str(installed / "bin/python"),
        *("-m", "uvicorn", "open_webui.main:app"),
        *("--host", "127.0.0.1", "--port", str(port), "--timeout-graceful-shutdown", "3"),
    )


def environment(settings: StackSettings, layout: Layout, server: ServerUrl) -> dict[str, str]:
    """Everything Open WebUI is told: what it is told everywhere, and what depends on the place."""
    return {
        **part_variables(layout.variables("open-webui")),
        **_place(settings, layout, server),
        **_accounts(settings),
        **_connection(settings),
        **_uploads(settings),
    }


def _place(settings: StackSettings, layout: Layout, server: ServerUrl) -> dict[str, str]:
    port = settings.open_webui_port
    origins = dict.fromkeys((settings.open_webui_url, f"http://127.0.0.1:{port}", f"http://localhost:{port}"))
    return {
        "DATA_DIR": str(layout.data("open-webui")),
        # the package's own `serve` sets it: data and web pages are then looked for where pip put them
        "FROM_INIT_PY": "true",
        "DATABASE_URL": server.of(OPEN_WEBUI_DATABASE),
        "WEBUI_URL": settings.open_webui_url,
        "CORS_ALLOW_ORIGIN": ";".join(origins),
        "WEBUI_SECRET_KEY": settings.open_webui_secret_key.get_secret_value(),
    }


def _accounts(settings: StackSettings) -> dict[str, str]:
    return {
        "WEBUI_ADMIN_EMAIL": settings.open_webui_admin_email,
        "WEBUI_ADMIN_PASSWORD": settings.open_webui_admin_password.get_secret_value(),
    }


def _connection(settings: StackSettings) -> dict[str, str]:
    return {
        "OPENAI_API_BASE_URLS": f"{settings.pipelines_url}/v1",
        "OPENAI_API_KEYS": settings.gateway_api_key.get_secret_value(),
        "FORWARD_USER_INFO_HEADER_JWT_SECRET": settings.identity_secret.get_secret_value(),
    }


def _uploads(settings: StackSettings) -> dict[str, str]:
    return {
        "EXTERNAL_DOCUMENT_LOADER_URL": f"{settings.pipelines_url}/open-webui",
        "EXTERNAL_DOCUMENT_LOADER_API_KEY": settings.gateway_api_key.get_secret_value(),
        "RAG_FILE_MAX_SIZE": str(settings.max_document_mb),
    }
