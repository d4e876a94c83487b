"""A volume that is full: what a person is told, what goes on, that nothing confirmed is lost, and that room heals it.

The parts that keep and read documents are started alone. The volume is a small file system of its own, into which a
file is put that takes all the room that is left.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pipelines.errors import SetupFailed
from tests.compose.deployment import Deployment, Images, deployed
from tests.compose.docker import docker, run

SIZE = "300m"
PATIENCE_S = 120.0
PROGRAM = """
import io, json, os, sys
from pipelines.client import DocumentsClient
from pipelines.domain import Grant
from pipelines.errors import RaglineError
with DocumentsClient(os.environ["PIPELINES_URL"], key=os.environ["INTERNAL_API_KEY"]) as client:
    try:
        if sys.argv[1:]:
            name, text = sys.argv[1:]
            origin = f"upload://full/{name}"
            print(client.add(name, io.BytesIO(text.encode()), origin=origin, grant=Grant(everyone=True)).state)
        else:
            print(json.dumps({each.name: each.state for each in client.list()}))
    except RaglineError as error:
        print(f"refused: {error.message}")
"""
QUESTION = """
import json, os, sys
from urllib.error import HTTPError
from urllib.request import Request, urlopen
asked = {"question": sys.argv[1], "user": {"id": "a", "email": "a@example.org", "groups": []}}
headers = {"Authorization": f"Bearer {os.environ['INTERNAL_API_KEY']}", "Content-Type": "application/json"}
try:
    with urlopen(Request("http://127.0.0.1:8000/retrieve", json.dumps(asked).encode(), headers), timeout=60) as answer:
        print(*(source["source"]["name"] for source in json.load(answer)["sources"]), sep="\\n")
except HTTPError as error:
    print(f"refused: {json.load(error)['error']['message']}")
"""

pytestmark = pytest.mark.usefixtures("shared_stack_frozen")


@dataclass(frozen=True)
class Narrow:
    """The part of a stack that keeps documents, with one volume that can be filled."""

    stack: Deployment
    folder: Path

    def fill(self) -> None:
        """Take all the room that is left."""
        with (self.folder / "ballast").open("wb", buffering=0) as file:
            for size in (2**20, 2**12, 1):
                try:
                    while file.write(b"\0" * size) == size:
                        pass
                except OSError:
                    continue

    def make_room(self) -> None:
        (self.folder / "ballast").unlink()

    def add(self, name: str) -> str:
        """Put in a document that says what `name` costs; its state, or why it is refused, comes back."""
        return self._python(PROGRAM, f"{name}.md", f"# {name}\n\nOne {name} costs 12 euros.\n")

    def states(self) -> str:
        return self._python(PROGRAM)

    def found(self, name: str) -> list[str]:
        """The documents in which it is found what `name` costs, or why nothing is."""
        return self._python(QUESTION, f"What does one {name} cost?").splitlines()

    def _python(self, program: str, *arguments: str) -> str:
        container = self.stack.container("pipelines")
        return docker("exec", container.id, "python", "-W", "ignore", "-c", program, *arguments).strip()


@contextmanager
def narrow(volume: str, images: Images) -> Iterator[Narrow]:
    """That part of a stack, with one document in its index."""
    if os.geteuid() != 0:
        raise SetupFailed("A file system of its own for a volume takes root: run these tests as root.")
    with deployed("ragline-full", images=images, LLM_PROVIDER="extractive") as whole, _mounted(whole.folder) as folder:
        extra = whole.folder / "full.yml"
        bound = f"{{type: none, o: bind, device: {folder}}}"
        extra.write_text(f"volumes:\n  {volume}: {{driver_opts: {bound}}}\n")
        stack = replace(whole, files=(*whole.files, extra))
        try:
            stack.compose("up", "--detach", "pipelines", "pipelines-worker")
            stack.wait_healthy()
            parts = Narrow(stack, folder)
            assert parts.add("apple") in ("queued", "working", "ready")
            _within(lambda: "apple.md" in parts.found("apple"))
            yield parts
        finally:
            stack.down(volumes=True)


@contextmanager
def _mounted(parent: Path) -> Iterator[Path]:
    folder = parent / "volume"
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=1777", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        run("umount", "--lazy", str(folder))


def _within(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end
        time.sleep(1)


def test_a_full_object_store_refuses_uploads_and_answers_go_on(images: Images) -> None:
    with narrow("objects", images) as parts:
        parts.fill()

        assert "failed within" in (said := parts.add("pear"))
        assert said.startswith("refused:")
        assert "that its disk is not full" in said
        assert "apple.md" in parts.found("apple")
        assert "pear.md" not in parts.states()

        parts.make_room()
        assert parts.add("pear") == "queued"
        _within(lambda: "pear.md" in parts.found("pear"))
        assert "apple.md" in parts.found("apple")


def test_a_full_qdrant_lets_uploads_wait_and_answers_go_on(images: Images) -> None:
    with narrow("qdrant", images) as parts:
        parts.fill()

        assert parts.add("pear") == "queued"
        _within(lambda: "Qdrant's disk is full: make room on it." in parts.stack.logs("pipelines-worker"))
        assert "apple.md" in parts.found("apple")
        assert '"pear.md": "ready"' not in parts.states()

        parts.make_room()
        _within(lambda: "pear.md" in parts.found("pear"))
        assert "apple.md" in parts.found("apple")


def test_a_full_postgres_says_so_and_comes_back_by_itself_with_everything(images: Images) -> None:
    with narrow("postgres", images) as parts:
        parts.fill()
        # What it has set aside for its log is used up, as by some hours of work.
        switch = (
            'PGPASSWORD="$POSTGRES_PASSWORD" psql -h 127.0.0.1 -U ragline -d ragline -qtAc "SELECT pg_switch_wal()"'
        )
        docker("exec", parts.stack.container("postgres").id, "sh", "-c", f"{switch}; {switch}; true")

        _within(lambda: parts.add("pear").startswith("refused:"))
        assert "PostgreSQL" in parts.add("pear")
        assert "No space left on device" in parts.stack.logs("postgres")

        parts.make_room()
        parts.stack.wait_healthy("postgres", "pipelines", "pipelines-worker")
        _within(lambda: parts.add("pear") in ("queued", "working", "ready"))
        _within(lambda: "pear.md" in parts.found("pear"))
        assert "apple.md" in parts.found("apple")
