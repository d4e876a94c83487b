"""Several `ragline serve` and `ragline worker` over one Qdrant, one PostgreSQL and one folder, to be killed at will."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from pipelines.settings import inherited_environment
from tests.scale.deployment import START_S, Deployment
from tests.scale.launcher import Life
from tests.unit.native.parts_for_tests import free_port

REPOSITORY = Path(__file__).parents[2]


class Launcher:
    """Starts `ragline` in processes of its own, without the seconds that its imports take."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._starting = threading.Lock()

    def start(self, life: Life) -> int:
        """Start it and return the id of its process."""
        assert self._process.stdin
        assert self._process.stdout
        with self._starting:
            self._process.stdin.write(life.line())
            self._process.stdin.flush()
            return int(self._process.stdout.readline())


@contextmanager
def launching() -> Iterator[Launcher]:
    """Run a launcher until the block ends."""
    command = [sys.executable, "-W", "error", "-m", "tests.scale.launcher"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Launcher(process)
        assert process.stdin
        process.stdin.close()


class Replica:
    """One process of a deployment. What it says is kept over all its lives."""

    def __init__(self, launcher: Launcher, deployment: Deployment, command: str, name: str) -> None:
        self.name = name
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = deployment.folder / f"{name}.log"
        environment = {**deployment.environment, "PIPELINES_PORT": str(self.port)}
        self._life = Life(command, str(deployment.folder), environment, str(self.log))
        self._launcher = launcher
        self._process = 0
        self._key = deployment.settings.internal_api_key.get_secret_value()

    def start(self) -> None:
        self._process = self._launcher.start(self._life)

    def kill(self) -> None:
        """As by `kill -9`."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """As by `docker stop`."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._lives():
            os.kill(self._process, number)
            until(lambda: not self._lives(), within_s=20, why=self.said)

    def _lives(self) -> bool:
        with suppress(ProcessLookupError):
            if self._process:
                os.kill(self._process, 0)
                return True
        return False

    def until_healthy(self) -> None:
        def is_healthy() -> bool:
            assert self._lives(), self.said()
            try:
                return httpx.get(f"{self.url}/health").is_success
            except httpx.TransportError:
                return False

        until(is_healthy, within_s=START_S, why=self.said)

    def call(self, method: str, path: str, *, timeout_s: float = 30, **kwargs: Any) -> Any:
        """What it answers; raises `httpx.HTTPError` for anything but success."""
        headers = {"X-Ragline-Key": self._key}
        response = httpx.request(method, f"{self.url}{path}", headers=headers, timeout=timeout_s, **kwargs)
        response.raise_for_status()
        return response.json() if response.content else None

    def add(self, name: str, text: str, *, users: Sequence[str] = (), everyone: bool = False, wait: float = 0) -> str:
        """Put in a document for these readers, or for nobody; return its id."""
        said: dict[str, Any] = {"user": list(users)} if users else {"nobody": "true"}
        if everyone:
            said = {"everyone": "true"}
        file = {"file": (name, text.encode(), "text/markdown")}
        return str(self.call("POST", "/documents", data=said, files=file, params={"wait": wait}, timeout_s=60)["id"])

    def found(self, question: str, user: str = "") -> list[str]:
        """The ids of the documents whose passages this reader gets, best first."""
        body = {"question": question, "user": {"id": user}, "limit": 50}
        return [passage["document_id"] for passage in self.call("POST", "/retrieve", json=body)["passages"]]

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.call("GET", "/index")
        return state

    def indexed(self) -> dict[str, dict[str, Any]]:
        """What the generation holds that this replica searches, by id."""
        found = self.call("GET", f"/index/{self.state()['live']}/documents")["documents"]
        return {each["document"]["id"]: each for each in found}

    def said(self) -> str:
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""


@contextmanager
def qdrant_process(folder: Path) -> Iterator[str]:
    """The stand-in for a Qdrant server as a process of its own; its URL."""
    port = free_port()
    command = [sys.executable, "-m", "tests.fakes.qdrant_server", "--port", str(port), "--folder", str(folder)]
    with (folder.parent / "qdrant.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=REPOSITORY, env=inherited_environment(), stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: _answers(f"{url}/readyz"), within_s=START_S)
        yield url
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def running(*replicas: Replica) -> Iterator[None]:
    """Start them at once, wait for those that serve, and stop them all at the end."""
    try:
        for replica in replicas:
            replica.start()
        for replica in replicas:
            if not replica.name.startswith("worker"):
                replica.until_healthy()
        yield
    finally:
        for replica in replicas:
            replica.kill()


def until(condition: Callable[[], bool], *, within_s: float, why: Callable[[], object] = lambda: "") -> float:
    """Return once it is so, with the seconds that took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s, why()
        time.sleep(0.05)
    return time.monotonic() - began


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False
