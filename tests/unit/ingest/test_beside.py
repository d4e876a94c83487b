"""Workers in two processes on one registry: each document is read by one of them, and none is lost with its worker."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fakes.served import served
from tests.unit.ingest.ingestion import Ingestion, running
from tests.unit.ingest.test_work import wait_until
from tests.unit.ingest.web import app_over

DOCUMENTS = 30


@contextmanager
def worker_beside(ingestion: Ingestion, registry_url: str, url: str) -> Iterator[subprocess.Popen[str]]:
    """A worker in another process that has begun to work."""
    folder: Path = ingestion.folder / "beside"
    folder.mkdir(exist_ok=True)
    module = "tests.unit.ingest.beside"
    command = [sys.executable, "-m", module, registry_url, url, str(ingestion.share), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "working\n"
            yield process
        finally:
            process.kill()


async def test_two_processes_share_the_documents_and_none_is_read_twice(
    ingestion: Ingestion, registry_url: str
) -> None:
    here: list[str] = []
    ingestion.source.reading = lambda entry: here.append(entry.key.name)
    for number in range(DOCUMENTS):
        ingestion.write(f"{number}.md", f"Document {number} is about hotels.")
    ingestion.sync()

    def work(url: str) -> list[str]:
        with worker_beside(ingestion, registry_url, url) as beside, running(ingestion.workers):
            out, _ = beside.communicate(timeout=60)
        return out.splitlines()

    async with served(app_over(ingestion)) as url:
        there = await asyncio.to_thread(work, url)
    assert here and there
    assert sorted(here + there) == sorted(f"{number}.md" for number in range(DOCUMENTS))
    assert ingestion.registry.counts() == {"ready": DOCUMENTS}
    assert ingestion.generations.live.index.count() == DOCUMENTS


async def test_what_a_killed_worker_was_at_is_done_by_another(ingestion: Ingestion, registry_url: str) -> None:
    ingestion.write("a.md", "Hotels cost 180.")
    ingestion.sync()

    def kill(url: str) -> None:
        with worker_beside(ingestion, registry_url, url) as beside:
            assert beside.stdout is not None
            assert beside.stdout.readline() == "a.md\n"
            beside.send_signal(signal.SIGSTOP)
            assert ingestion.work.next() is False, "it holds the document"
            beside.kill()
            beside.wait()
        wait_until(lambda: ingestion.work.next() or ingestion.record("a.md").state == "ready")

    async with served(app_over(ingestion)) as url:
        await asyncio.to_thread(kill, url)
    assert ingestion.found("hotels") == ["Hotels cost 180."]
    assert ingestion.generations.live.index.count() == 1
