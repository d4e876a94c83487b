"""A process that ingests and may be killed at any instant: `python -m tests.crash.child`, one plan a line on stdin.

Each plan is run in a fork of this process, which has everything imported: what is killed is a process of its own.
"""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from pipelines.domain import Grant
from pipelines.ingest import run, work
from pipelines.ingest.access import AccessRules
from pipelines.ingest.isolate import Isolation
from pipelines.ingest.reconcile import reconcile
from pipelines.ingest.run import IngestPath
from pipelines.ingest.sync import sync_source
from pipelines.ingest.work import Work
from pipelines.stores import qdrant_edge
from pipelines.stores.base import DocumentSource
from pipelines.stores.generations import Generations
from pipelines.stores.postgres import open_database
from pipelines.stores.registry import Registry
from pipelines.stores.s3 import s3_client
from pipelines.stores.sources import open_source, open_uploads
from tests.crash.instants import Instants
from tests.fakes.aws import REGION
from tests.fakes.word_embedding import WordEmbedding

EMBEDDING = WordEmbedding()
RECIPE = "words chunks-1"
ACCESS = AccessRules(Grant(everyone=True))


@dataclass(frozen=True, slots=True)
class Plan:
    """What one life of the process does: bring the index in line with a source; die at one instant of a stage.

    A `stage` of "" lives to the end.
    """

    folder: str
    registry_url: str
    source: str
    s3_endpoint: str = ""
    stage: str = ""
    number: int = 0

    def line(self) -> str:
        return json.dumps(asdict(self)) + "\n"


def open_generations(folder: Path) -> Generations:
    return Generations(folder / "qdrant", embedding=EMBEDDING, recipe=RECIPE, load=lambda _: EMBEDDING)


def source_of(plan: Plan) -> DocumentSource:
    return open_source(plan.source, s3=partial(s3_client, plan.s3_endpoint or None, REGION), tags=False)


def live(plan: Plan) -> None:
    """Do what `plan` says, with one worker in this thread."""
    folder = Path(plan.folder)
    spool = folder / "spool"
    spool.mkdir(exist_ok=True)
    registry = Registry(open_database(plan.registry_url, connections=6))
    generations = open_generations(folder)
    isolation = Isolation(workers=1, memory_mb=512, timeout_s=60)
    source = source_of(plan)
    with ThreadPoolExecutor(1) as threads:
        path = IngestPath(isolation, None, threads, 1, spool, 10**7)
        uploads = open_uploads(str(folder / "uploads"), s3=partial(s3_client))
        job = Work(registry, generations, path, uploads, lambda _: source)
        if plan.stage:
            instrument(Instants(plan.stage, plan.number), source)
        reconcile(generations, registry)
        sync_source(source, registry, ACCESS, may_empty=True)
        while registry.unfinished():
            if not job.next():
                time.sleep(0.05)
    isolation.close()
    generations.close()
    registry.close()


def instrument(instants: Instants, source: DocumentSource) -> None:
    """Have the process pass an instant before and after everything that leaves a trace."""
    instants.inside("fetch", run, "fetch_document")
    instants.around("fetch", type(source), "find")
    instants.around("read", run.IngestPath, "_read")
    instants.each("embed", run, "embed_chunks")
    instants.around("stage", qdrant_edge.QdrantEdgeIndex, "discard")
    instants.around("stage", qdrant_edge.QdrantEdgeIndex, "stage")
    instants.around("publish", qdrant_edge.QdrantEdgeIndex, "publish")
    instants.around("publish", work, "publish_document")
    instants.around("publish", work, "remove_document")
    instants.inside("publish", Registry, "locked")


def main() -> None:
    for line in sys.stdin:
        plan = Plan(**json.loads(line))
        child = os.fork()
        if child == 0:
            live(plan)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
