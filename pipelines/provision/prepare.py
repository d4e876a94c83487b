"""What has to be there before any part starts: settings go in; databases, buckets and n8n's owner come out.

Run before each start of a stack in containers; where all is there it changes nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.errors import SetupFailed
from pipelines.provision.buckets import ensure_buckets
from pipelines.provision.databases import ServerUrl, ensure_databases
from pipelines.provision.n8n_owner import HASH_FILE, owner_hash
from pipelines.settings import StackSettings

PATIENCE_S = 30.0
READABLE = 0o444
"""n8n runs as another user, and shares a closed volume with us."""


def prepare(settings: StackSettings) -> Iterator[str]:
    """Make what is missing, and yield a line for each thing that was looked after.

    Raises:
        SetupFailed: a server refuses or does not answer, or the folder of `N8N_API_KEY_FILE` cannot be written.
        SourceUnavailable: the object store refuses or does not answer.
    """
    yield _databases(settings)
    yield from ensure_buckets(settings)
    folder = settings.n8n_api_key_file.parent
    with _writing(folder):
        owner_hash(settings.n8n_owner_password.get_secret_value(), folder / HASH_FILE, mode=READABLE)
    yield f"n8n: the owner's password is at {folder / HASH_FILE}, and its key has a place"


def _databases(settings: StackSettings) -> str:
    url = settings.database_url.get_secret_value()
    if not url:
        raise SetupFailed("DATABASE_URL is not set: it names the PostgreSQL server that keeps everything.")
    server = ServerUrl.parse(url)
    made = ensure_databases(server, patience_s=PATIENCE_S)
    return f"PostgreSQL on {server.host}: " + (f"made {', '.join(made)}" if made else "every database is there")


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """See that `folder` can be written, whether or not the block writes."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            yield
    except OSError as error:
        raise SetupFailed(
            f"{folder} cannot be written ({error.strerror}): give the folder of N8N_API_KEY_FILE to the user that "
            "this runs as, and see that its disk is not full."
        ) from error
