"""Whether a stack may start with these settings: settings go in, nothing or one sentence comes out.

Beside what `Settings` refuses for every process: what only a stack in containers is given, and joins into addresses.
Connects to nothing.
"""

from __future__ import annotations

import re

from pydantic import SecretStr

from pipelines.errors import SetupFailed
from pipelines.provision.databases import ServerUrl
from pipelines.provision.n8n_owner import require_comparable
from pipelines.settings import PLACEHOLDER, StackSettings

WRITTEN = {"s3_secret_access_key": "OBJECT_STORE_SECRET_KEY"}
"""What is called otherwise in `.env`, from which the compose file gives it on."""
SHORTEST = 16
_IN_A_URL = re.compile(r"[A-Za-z0-9._~-]*")


def check_settings(settings: StackSettings) -> None:
    """Raise `SetupFailed` for a secret that is none, or that would break an address it is part of."""
    for name in StackSettings.model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr) and value.get_secret_value() == PLACEHOLDER:
            raise SetupFailed(f"{_written(name)} is a placeholder; `make env` writes .env with real ones.")
    for name in ("qdrant_api_key", "s3_secret_access_key"):
        secret = getattr(settings, name).get_secret_value()
        if secret and len(secret) < SHORTEST:
            raise SetupFailed(
                f"{_written(name)} is shorter than {SHORTEST} characters; `make env` writes .env with real ones."
            )
    require_comparable(settings.n8n_owner_password.get_secret_value())
    _check_database(settings)


def _check_database(settings: StackSettings) -> None:
    url, password = settings.database_url.get_secret_value(), settings.postgres_password.get_secret_value()
    if password in url and not _IN_A_URL.fullmatch(password):
        raise SetupFailed(
            "POSTGRES_PASSWORD may have letters, digits and -._~ only, because it is part of an address; "
            "one that PostgreSQL was made with is changed there too (ALTER ROLE ragline PASSWORD)."
        )
    if url:
        ServerUrl.parse(url)


def _written(name: str) -> str:
    return WRITTEN.get(name, name.upper())
