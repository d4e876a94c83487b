"""A worker as a process: that it shows it lives, and that it ends in one sentence where it cannot."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pipelines.errors import RaglineError
from pipelines.ingest.work import Work
from pipelines.provision.databases import ServerUrl
from pipelines.settings import Settings, inherited_environment
from pipelines.worker import work
from tests.fakes.in_a_thread import in_a_thread
from tests.models import ModelServer, running_model_server
from tests.unit.native.parts_for_tests import free_port

MakeSettings = Callable[..., Settings]
LONG_AGO_NS = 10**9


@pytest.fixture(scope="module")
def models() -> Iterator[ModelServer]:
    with in_a_thread(running_model_server) as server:
        yield server


@pytest.fixture
def make_settings(tmp_path: Path, registry_url: str, models: ModelServer) -> MakeSettings:
    def make(**given: Any) -> Settings:
        generated = {
            name: secrets.token_hex(16) for name, field in Settings.model_fields.items() if field.is_required()
        }
        place = {
            "default_access": "everyone",
            "state_dir": tmp_path / "state",
            "registry_url": registry_url,
            "ollama_base_url": models.url,
            "embedding_model": "ollama/mock-embed8",
            "pipelines_url": "http://127.0.0.1:1",
            "ingest_workers": 2,
        }
        return Settings(_env_file=None, **{**generated, **place, **given})

    return make


@pytest.fixture
def heartbeat(tmp_path: Path) -> Path:
    return tmp_path / "ragline-worker"


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def while_working(settings: Settings, heartbeat: Path, then: Callable[[], None]) -> None:
    """Work here, where signals arrive; once it has shown that it lives, do `then` beside it, and stop it."""

    def beside() -> None:
        try:
            assert comes(lambda: beat_of(heartbeat) > LONG_AGO_NS)
            then()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    signal.signal(signal.SIGTERM, lambda *_: None)  # until the worker has its own
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(beside)
        work(settings, heartbeat=heartbeat, beat_s=0.05)
        done.result()


def beat_of(heartbeat: Path) -> int:
    try:
        return heartbeat.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def comes(is_so: Callable[[], bool], within_s: float = 20) -> bool:
    deadline = time.monotonic() + within_s
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.02)
    return is_so()


def test_shows_that_it_lives_for_as_long_as_it_works(make_settings: MakeSettings, heartbeat: Path) -> None:
    heartbeat.touch()
    os.utime(heartbeat, ns=(LONG_AGO_NS, LONG_AGO_NS))  # of a worker before

    def later() -> None:
        first = beat_of(heartbeat)
        assert comes(lambda: beat_of(heartbeat) > first)

    while_working(make_settings(), heartbeat, later)


def test_is_silent_while_the_registry_is_away_and_goes_on_by_itself(
    make_settings: MakeSettings, heartbeat: Path, postgres_server: ServerUrl, registry_url: str
) -> None:
    name = ServerUrl.parse(registry_url).database

    def away() -> None:
        with psycopg.connect(postgres_server.of("postgres"), autocommit=True) as connection:
            allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
            connection.execute(allow.format(sql.Identifier(name), sql.SQL("false")))
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            time.sleep(0.3)
            last = beat_of(heartbeat)
            time.sleep(0.5)
            assert beat_of(heartbeat) == last
            connection.execute(allow.format(sql.Identifier(name), sql.SQL("true")))
            assert comes(lambda: beat_of(heartbeat) > last, within_s=40)

    while_working(make_settings(), heartbeat, away)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_ends_when_one_of_its_threads_has_died(
    make_settings: MakeSettings, heartbeat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = threading.Event()

    def next_document(_: Work) -> bool:
        if fails.is_set():
            raise ZeroDivisionError
        return False

    monkeypatch.setattr(Work, "next", next_document)
    monkeypatch.setattr("pipelines.ingest.work.POLL_S", 0.05)
    with pytest.raises(RaglineError, match="A thread of the worker has ended"):
        while_working(make_settings(), heartbeat, lambda: (fails.set(), time.sleep(1))[0])


@pytest.mark.parametrize("command", ["worker", "serve"])
@pytest.mark.parametrize(
    ("away", "says"),
    [
        ("REGISTRY_URL", "The registry's PostgreSQL cannot be used; check REGISTRY_URL"),
        ("QDRANT_URL", "Qdrant"),
        ("OLLAMA_BASE_URL", "Ollama"),
    ],
)
def test_what_is_away_at_the_start_ends_it_in_one_sentence(
    make_settings: MakeSettings, tmp_path: Path, command: str, away: str, says: str
) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    address = f"postgresql://ragline:x@{nowhere}/ragline" if away == "REGISTRY_URL" else f"http://{nowhere}"
    environment = {**make_settings().environment(), "PIPELINES_PORT": str(free_port()), away: address}
    ended = subprocess.run(
        [sys.executable, "-c", "from pipelines.cli import main; main()", command],
        env={**inherited_environment(), **environment, "TMPDIR": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("ragline: ")
    assert says in ended.stderr.splitlines()[-1]
