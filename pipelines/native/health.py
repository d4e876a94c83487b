"""Whether a part can do its work: parts go in; it returns when all are healthy, or raises at once when one died."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import psycopg
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from pipelines.errors import SetupFailed
from pipelines.native.parts import Part
from pipelines.native.supervisor import Supervisor

POLL_S = 0.25
PROBE_TIMEOUT_S = 5
LOG_LINES = 12
ENDED = frozenset({"BACKOFF", "EXITED", "FATAL", "STOPPED", "UNKNOWN"})


def healthy(part: Part) -> bool:
    """Ask the part itself, once."""
    if part.health_url.startswith("postgresql://"):
        return _postgres_answers(part.health_url)
    try:
        response = httpx.get(part.health_url, timeout=PROBE_TIMEOUT_S, trust_env=False)
    except httpx.TransportError:
        return False
    # n8n answers 200 with a page of text to everything while it migrates its database
    return response.is_success and "json" in response.headers.get("content-type", "")


def await_healthy(
    parts: Sequence[Part], supervisor: Supervisor, log: Callable[[str], Path], on_healthy: Callable[[Part], None]
) -> None:
    """Wait until all of `parts`, which have been started, are healthy; report each as it becomes so.

    Raises:
        SetupFailed: one ended while starting, or did not become healthy in its time; carries the end of its log.
    """
    waiting = list(parts)

    def anybody_waiting() -> bool:
        for part in tuple(waiting):
            if healthy(part):
                waiting.remove(part)
                on_healthy(part)
            elif supervisor.state(part.name).name in ENDED:
                raise SetupFailed(f"{part.name} stopped while it was starting.\n{_log_end(log(part.name))}")
        return bool(waiting)

    limit_s = max(part.start_timeout_s for part in parts)
    try:
        Retrying(
            wait=wait_fixed(POLL_S), stop=stop_after_delay(limit_s), retry=retry_if_result(lambda more: bool(more))
        )(anybody_waiting)
    except RetryError as error:
        late = waiting[0].name
        raise SetupFailed(f"{late} was not ready after {limit_s:.0f} seconds.\n{_log_end(log(late))}") from error


def _postgres_answers(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=PROBE_TIMEOUT_S) as connection:
            return connection.execute("SELECT 1").fetchone() is not None
    except psycopg.OperationalError as error:
        # it answers; whoever connects next says what is wrong with the password
        return "password authentication failed" in str(error)


def _log_end(path: Path) -> str:
    if not path.exists():
        return f"It wrote no log ({path})."
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-LOG_LINES:]
    return "\n".join([f"The end of {path}:", *(f"  {line}" for line in lines)])
