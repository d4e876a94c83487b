"""A worker in a process of its own: `python -m tests.unit.ingest.beside <registry> <pipelines> <share> <folder>`.

It works until nothing waits and prints, on one line each, the documents that it read.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipelines.ingest.isolate import Isolation
from pipelines.ingest.run import IngestPath
from pipelines.ingest.work import Work
from pipelines.stores.postgres import open_database
from pipelines.stores.registry import Registry
from pipelines.stores.served_index import ServedGenerations
from pipelines.stores.uploads import UploadFolder
from tests.fakes.word_embedding import WordEmbedding
from tests.unit.ingest.ingestion import RECIPE, WatchedFolder
from tests.unit.ingest.web import KEY


def main(registry_url: str, pipelines_url: str, share: str, folder: str) -> None:
    registry = Registry(open_database(registry_url, connections=4))
    generations = ServedGenerations(pipelines_url, key=KEY, embedding=WordEmbedding(), recipe=RECIPE)
    source = WatchedFolder(Path(share))
    source.reading = lambda entry: print(entry.key, flush=True)
    isolation = Isolation(workers=1, memory_mb=1024, timeout_s=60)
    with ThreadPoolExecutor(1) as threads:
        path = IngestPath(isolation, None, threads, 1, Path(folder), 10**6)
        work = Work(registry, generations, path, UploadFolder(Path(folder) / "uploads"), lambda _: source)
        print("working", flush=True)
        while registry.unfinished():
            work.next()
        path.close()
    generations.close()
    registry.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
