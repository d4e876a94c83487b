"""The document index: its settings go in; whether the server answers or the folder can be used comes out."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from pipelines.doctor.finding import Finding, failed, ok, warning
from pipelines.doctor.stack import ask_health, pipelines_part
from pipelines.errors import SetupFailed
from pipelines.settings import Settings
from pipelines.stores.generation_records import POINTER, read_pointer
from pipelines.stores.qdrant_edge_folder import ShardFolders


def look_at_server(settings: Settings) -> Iterator[Finding]:
    """Whether the Qdrant server answers, takes the key and is new enough."""
    try:
        from pipelines.stores.qdrant_points import connect, require_version, translated
    except ModuleNotFoundError:
        yield failed("qdrant", "QDRANT_URL needs the client of Qdrant", "`pip install 'ragline[qdrant]'`")
        return
    client = connect(settings.qdrant_url, settings.qdrant_api_key.get_secret_value())
    try:
        require_version(client)
        with translated():
            # What says the version is open to everyone; this asks for the key.
            collections = client.get_collections().collections
            version = client.info().version
    finally:
        client.close()
    yield ok("qdrant", f"{settings.qdrant_url} is Qdrant {version} with {len(collections)} collections")


def look_at_folder(settings: Settings) -> Iterator[Finding]:
    """Whether the folder of the embedded index can be used, and nobody but pipelines has it open."""
    folder = settings.state_dir / "data" / "qdrant"
    if not folder.exists():
        yield warning("qdrant", f"{folder} is not there: nothing has been indexed yet", "starting the stack makes it")
        return
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield failed("qdrant", f"this user may not read and write {folder}", f"`chown -R $(id -un) {folder}`")
        return
    pointer = read_pointer(folder)
    if pointer is None:
        yield warning("qdrant", f"{folder} holds no index yet", "starting the stack makes it")
        return
    live = folder / pointer.live.id
    if not live.is_dir():
        raise SetupFailed(f"{folder / POINTER} names {live.name}, which is missing: delete {folder}, and start again.")
    if is_open(ShardFolders(live).current) and isinstance(ask_health(pipelines_part(settings)), Finding):
        yield failed(
            "qdrant",
            f"another process than pipelines has {live} open",
            "stop that process: `fuser -v` with the path names it",
        )
        return
    yield ok("qdrant", f"{live} was built with {pointer.live.embedding}")


def is_open(shard: Path) -> bool:
    """Whether a process has the shard open: the engine locks the folder of its log (qdrant-edge-py 0.9.0)."""
    try:
        descriptor = os.open(shard / "wal", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
