"""Starts what ingestion is measured with: a database, the servers of models and of S3, and one process a scenario."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from psycopg.conninfo import conninfo_to_dict

from pipelines.provision.databases import ServerUrl
from tests.bench.child import run_child
from tests.bench.ingest_results import Plan
from tests.database import fresh_database
from tests.fakes.aws import AwsServer
from tests.models import ModelServer, running_model_server


@dataclass(slots=True)
class Bench:
    """Where one run keeps its things. `models` is the folder with the exported embedding model."""

    folder: Path
    models: Path
    server: ServerUrl
    results: dict[str, list[Any]] = field(default_factory=dict)
    count: int = 0

    def fresh(self, scenario: str, **more: Any) -> Plan:
        """A plan with an empty folder and an empty database."""
        self.count += 1
        state = self.folder / f"state-{self.count}"
        state.mkdir()
        return Plan(scenario, str(state), str(self.models), fresh_database(self.server), **more)

    def run(self, plan: Plan) -> Any:
        """What a process that does the plan reports."""
        result = run_child("tests.bench.ingest_child", asdict(plan), f"{plan.scenario} of {plan.source}")
        self.results.setdefault(plan.scenario, []).append({"source": plan.source, **result})
        return result

    def registry_writes(self, plan: Plan) -> int:
        """Rows written so far into the tables of a plan's registry, by processes that have ended."""
        name = conninfo_to_dict(plan.registry_url)["dbname"]
        # A connection tells the statistics what it did when it ends, which is a moment after its process.
        with psycopg.connect(self.server.of("postgres"), autocommit=True) as connection:
            while connection.execute("SELECT 1 FROM pg_stat_activity WHERE datname = %s", [name]).fetchone():
                time.sleep(0.05)
        with psycopg.connect(plan.registry_url, autocommit=True) as connection:
            # The tables of the product only: the server writes into its own catalogue when it likes.
            query = "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_user_tables"
            row = connection.execute(query).fetchone()
            return int(row[0]) if row else 0


@contextmanager
def model_server(parallel: int) -> Iterator[ModelServer]:
    """A model server with so many places, on a thread of this process."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()
    running = running_model_server(parallel=parallel)
    server = asyncio.run_coroutine_threadsafe(running.__aenter__(), loop).result()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(running.__aexit__(None, None, None), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def fill_bucket(aws: AwsServer, documents: Sequence[tuple[str, str, str]]) -> str:
    """The address of a new bucket that holds `documents`."""
    bucket = aws.new_bucket()
    for path, text, _ in documents:
        # Into the memory of the server, which runs in this process: over HTTP it takes longer than what is measured.
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(bucket, path, text.encode())
    return f"s3://{bucket}"


def fill_folder(folder: Path, documents: Sequence[tuple[str, str, str]]) -> str:
    """The address of a new folder that holds `documents`."""
    for path, text, _ in documents:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    return str(folder)
