"""Several replicas of pipelines and workers over the same stores: one truth, whoever is killed at whichever moment."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from pipelines.stores.ledger import Ledger
from pipelines.stores.postgres import open_database
from pipelines.stores.registry import Registry
from tests.contract.redis_server import running_redis
from tests.fakes.n8n import N8n, answer, chunk, stream
from tests.scale.deployment import Deployment, make_deployment
from tests.scale.replicas import Launcher, Replica, launching, qdrant_process, running, until
from tests.unit.ingest.ingestion import quick_folder

READERS = ("anna", "ben", "carla")
KILLS = 12
LIVES = 5
"""How often pipelines is killed and started while workers publish."""


@pytest.fixture
def deployment(tmp_path: Path, registry_url: str) -> Iterator[Deployment]:
    """Settings of replicas that leave the reading to workers, as in docker-compose.yml."""
    (tmp_path / "share").mkdir()
    with quick_folder(tmp_path) as quick, qdrant_process(quick / "qdrant") as url:
        yield make_deployment(
            tmp_path,
            registry_url,
            qdrant_url=url,
            document_sources=str(tmp_path / "share"),
            ingest_here=False,
            ingest_workers=1,
            embedding_threads=1,
        )


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    with launching() as started:
        yield started


@pytest.fixture
def make(launcher: Launcher, deployment: Deployment) -> Callable[[str], Replica]:
    """Makes a replica, or a worker where the name says so."""
    return lambda name: Replica(launcher, deployment, "worker" if name.startswith("worker") else "serve", name)


def collections(deployment: Deployment) -> list[str]:
    found = httpx.get(f"{deployment.settings.qdrant_url}/collections").json()["result"]["collections"]
    return sorted(each["name"].removeprefix("ragline-") for each in found)


def test_three_that_start_at_once_on_empty_stores_have_one_index_and_one_truth(
    deployment: Deployment, make: Callable[[str], Replica]
) -> None:
    one, two, three = (make(name) for name in ("one", "two", "three"))
    worker = make("worker")
    with running(one, two, three, worker), ThreadPoolExecutor(3) as threads:
        assert collections(deployment) == ["g1", "g1-documents", "generations"]
        document = one.add("hotel.md", "# Hotels\n\nHotels cost 180.", users=["anna"], wait=30)
        for replica in (one, two, three):
            assert replica.found("What do hotels cost?", "anna") == [document]
            assert replica.found("What do hotels cost?", "ben") == []

        two.call("PUT", f"/documents/{document}/access", json={"users": ["ben"]})
        assert [replica.found("hotels", "anna") for replica in (three, one, two)] == [[]] * 3
        assert [replica.found("hotels", "ben") for replica in (three, one, two)] == [[document]] * 3

        for number in range(12):
            (deployment.folder / "share" / f"{number}.md").write_text(f"# Lantern {number}\n\nLantern {number} is lit.")
        looks = [threads.submit(each.call, "POST", "/documents/sync") for each in (one, two)]
        assert sum(look.result()["sources"][0]["added"] for look in looks) == 12
        until(lambda: len(one.indexed()) == 13, within_s=30, why=worker.said)

        rebuilds = [threads.submit(each.call, "POST", "/index/rebuild") for each in (one, two, three)]
        assert {rebuild.result()["building"] for rebuild in rebuilds} == {"g2"}
        three.call("PUT", f"/documents/{document}/access", json={"users": ["carla"]})
        took = until(lambda: two.state()["live"] == "g2", within_s=40, why=worker.said)
        assert [replica.state()["live"] for replica in (one, two, three)] == ["g2"] * 3
        print(f"14 documents were rebuilt after {took:.1f} s")
        assert [len(replica.indexed()) for replica in (one, two, three)] == [13] * 3
        for replica in (one, two, three):
            assert (replica.found("hotels", "ben"), replica.found("hotels", "carla")) == ([], [document])
        assert collections(deployment) == ["g1", "g1-documents", "g2", "g2-documents", "generations"]

        three.call("DELETE", f"/documents/{document}")
        for replica in (one, two, three):
            assert document not in replica.found("hotels", "carla")
        one.call("POST", "/index/rollback")
        assert {replica.state()["live"] for replica in (one, two, three)} == {"g1"}
        assert all(document not in replica.found("hotels", "carla") for replica in (one, two, three))
    assert "was put right" not in "".join(replica.log.read_text() for replica in (one, two, three))


def test_pipelines_that_starts_while_workers_publish_leaves_alone_what_is_theirs(
    deployment: Deployment, make: Callable[[str], Replica], registry: Registry
) -> None:
    api, one, other = make("api"), make("worker-one"), make("worker-other")
    origins = {f"{number}.md" for number in range(80)}
    for name in origins:
        (deployment.folder / "share" / name).write_text(f"# Lantern {name}\n\n" + f"Lantern {name} is lit. " * 40)
    with running(api, one, other):
        assert api.call("POST", "/documents/sync")["sources"][0]["added"] == len(origins)
        lives = 0
        while registry.unfinished() and lives < LIVES:
            api.kill()
            api.start()
            api.until_healthy()
            lives += 1
        until(lambda: not registry.unfinished(), within_s=60, why=one.said)
        assert lives >= 2, "the workers were done too soon to say anything"
        assert {each["document"]["origin"].rpartition("/")[2] for each in api.indexed().values()} == origins
        assert registry.counts() == {"ready": len(origins)}
    assert "was put right" not in api.log.read_text()
    print(f"pipelines was killed and started {lives} times")


async def test_a_turn_may_run_over_three_replicas_and_is_counted_once(
    deployment: Deployment, launcher: Launcher, registry_url: str, tmp_path: Path
) -> None:
    """The gateway is one replica, retrieval another and the model router a third, as n8n's calls happen to land."""
    replicas: list[Replica] = []

    async def workflow(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        found = await asyncio.to_thread(replicas[1].call, "POST", "/retrieve", json={**body, "execution_id": "77"})
        messages = [{"role": "system", "content": found["system"]}, {"role": "user", "content": found["prompt"]}]
        asked = {**body["ask"], "messages": messages}
        said = await asyncio.to_thread(replicas[2].call, "POST", "/llm/v1/chat/completions", json=asked)
        text = said["choices"][0]["message"]["content"]
        return await stream(request, chunk("item", json.dumps(found), "Send citations"), answer(text))

    (tmp_path / "n8n-key").write_text("n8n-key")
    with running_redis() as shared:
        async with N8n(workflow) as n8n:
            told = {
                "N8N_URL": n8n.url,
                "WORKFLOW_URL": n8n.url,
                "N8N_API_KEY_FILE": str(tmp_path / "n8n-key"),
                "CACHE_URL": shared.url,
                "CLIENT_API_KEY": "client-" * 4,
                "INGEST_HERE": "true",
            }
            with_n8n = replace(deployment, environment={**deployment.environment, **told})
            replicas += [Replica(launcher, with_n8n, "serve", name) for name in ("gateway", "retrieval", "router")]
            with running(*replicas):
                document = await asyncio.to_thread(
                    replicas[2].add, "hotel.md", "# Hotels\n\nA hotel costs 180 EUR a night.", everyone=True, wait=30
                )

                def ask() -> dict[str, Any]:
                    question = [{"role": "user", "content": "What does a hotel cost a night?"}]
                    answered = httpx.post(
                        f"{replicas[0].url}/v1/chat/completions",
                        headers={"Authorization": f"Bearer {told['CLIENT_API_KEY']}"},
                        json={"model": "company-documents", "messages": question},
                        timeout=60,
                    )
                    assert answered.is_success, (answered.text, [replica.said() for replica in replicas])
                    body: dict[str, Any] = answered.json()
                    return body

                first = await asyncio.to_thread(ask)
                assert "180 EUR a night" in first["choices"][0]["message"]["content"], first
                assert first["usage"]["total_tokens"] > 0, "the gateway knows what the router of another has measured"
                await asyncio.to_thread(
                    replicas[1].call, "PUT", f"/documents/{document}/access", json={"users": ["anna"]}
                )
                closed = await asyncio.to_thread(ask)
                assert "180" not in closed["choices"][0]["message"]["content"]
                for replica in replicas:
                    replica.stop()
    ledger = Ledger(registry_url)
    sums = ledger.sums("day", dt.date(2000, 1, 1))
    ledger.close()
    assert sum(tally.calls for _, tally in sums) == 2


# --- kills ---


@dataclass
class World:
    """What was said of each document, and who may read it at most: more than one set where nobody knows what held."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    may_read: dict[str, set[str]] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    sure: dict[str, frozenset[str] | None] = field(default_factory=dict)
    """The readers of each document after a call that was answered; None where it was removed."""

    def begins(self, document: str, readers: set[str]) -> None:
        """From now on these may read it, beside those who could."""
        with self.lock:
            self.may_read.setdefault(document, set()).update(readers)
            self.versions[document] = self.versions.get(document, 0) + 1
            self.sure.pop(document, None)

    def holds(self, document: str, readers: set[str] | None) -> None:
        """It was answered: from now on these may read it and nobody else."""
        with self.lock:
            self.may_read[document] = set(readers or ())
            self.versions[document] += 1
            self.sure[document] = None if readers is None else frozenset(readers)

    def closed_to(self, reader: str) -> dict[str, int]:
        with self.lock:
            return {id_: self.versions[id_] for id_, readers in self.may_read.items() if reader not in readers}


class Storm:
    """People who add, close, open and take out documents through any replica, and readers after what is closed."""

    def __init__(self, replicas: list[Replica], rng: random.Random) -> None:
        self.world = World()
        self.replicas = replicas
        self.over = threading.Event()
        self.done = self.broken = self.asked = 0
        self.leaks: list[str] = []
        self._rng = rng
        self._number = 0

    def change(self) -> None:
        """One change after the other, each of a document that no other is under way for."""
        rng = random.Random(self._rng.random())
        while not self.over.is_set():
            replica = rng.choice(self.replicas)
            known = sorted(id_ for id_, readers in self.world.sure.items() if readers is not None)
            try:
                self._change(replica, rng, known)
                self.done += 1
            except httpx.HTTPError:
                self.broken += 1
                time.sleep(0.05)

    def _change(self, replica: Replica, rng: random.Random, known: list[str]) -> None:
        kind = rng.random()
        readers = set(rng.sample(READERS, rng.randint(0, 2)))
        if kind < 0.45 or len(known) < 3:
            self._number += 1
            text = f"# Lantern {self._number}\n\nLantern {self._number} is lit at {rng.randint(1, 12)}."
            document = replica.add(f"{self._number}.md", text, users=sorted(readers))
            # Its id is known only now; nobody asked for it before.
            self.world.begins(document, readers)
            self.world.holds(document, readers)
            return
        document = rng.choice(known)
        if kind < 0.85:
            self.world.begins(document, readers)
            replica.call("PUT", f"/documents/{document}/access", json={"users": sorted(readers)})
            self.world.holds(document, readers)
        else:
            self.world.begins(document, set())
            replica.call("DELETE", f"/documents/{document}")
            self.world.holds(document, None)

    def read(self) -> None:
        """Ask as one reader after the other, and note whoever gets what was closed to him before he asked."""
        rng = random.Random(self._rng.random())
        while not self.over.is_set():
            reader, replica = rng.choice(READERS), rng.choice(self.replicas)
            before = self.world.closed_to(reader)
            try:
                found = set(replica.found("Which lantern is lit?", reader))
            except httpx.HTTPError:
                time.sleep(0.05)
                continue
            after = self.world.closed_to(reader)
            self.asked += 1
            self.leaks += [
                f"{reader} got {id_} of {replica.name}"
                for id_ in found & before.keys()
                if after.get(id_) == before[id_]
            ]


def test_whoever_is_killed_index_and_registry_agree_and_nobody_reads_what_is_closed_to_him(
    make: Callable[[str], Replica], registry_url: str
) -> None:
    rng = random.Random("replicas")
    apis = [make("one"), make("two")]
    workers = [make("worker-one"), make("worker-two")]
    storm = Storm(apis, rng)
    with running(*apis, *workers):
        threads = [threading.Thread(target=storm.change), *(threading.Thread(target=storm.read) for _ in range(2))]
        for thread in threads:
            thread.start()
        _kill_at_random(rng, apis, workers)
        storm.over.set()
        for thread in threads:
            thread.join()
        for each in (*apis, *workers):
            each.kill()
            each.start()
        for api in apis:
            api.until_healthy()
        registry = Registry(open_database(registry_url, connections=2))
        until(lambda: not registry.unfinished() and not registry.access_due(1), within_s=40, why=workers[0].said)
        _assert_alike(apis, registry, storm.world)
        registry.close()
    assert storm.leaks == []
    print(f"{KILLS} kills, {storm.done} changes, {storm.broken} broken off, {storm.asked} questions, no leak")
    assert storm.done > 30
    assert storm.asked > 50


def _kill_at_random(rng: random.Random, apis: list[Replica], workers: list[Replica]) -> None:
    """Kill one after the other, and start it again while the rest goes on; one that serves is always there."""
    for _ in range(KILLS):
        time.sleep(rng.uniform(0.1, 1.2))
        killed = rng.choice([*apis, *workers])
        killed.kill()
        time.sleep(rng.uniform(0, 0.3))
        killed.start()
        if killed in apis:
            killed.until_healthy()


def _assert_alike(apis: list[Replica], registry: Registry, world: World) -> None:
    """Every replica shows the registry's documents with the registry's readers, whole, and what was answered holds."""
    records = {record.id: record for record in registry.list(limit=10_000)}
    assert {record.state for record in records.values()} == {"ready"}
    for api in apis:
        indexed = api.indexed()
        assert indexed.keys() == records.keys()
        for id_, each in indexed.items():
            assert each["document"]["content_hash"] == records[id_].content_hash
            assert set(each["document"]["access"]) == set(records[id_].access)
            assert each["chunks"] == records[id_].chunks
        for reader in READERS:
            readable = {id_ for id_, record in records.items() if f"user:{reader}" in record.access}
            assert set(api.found("Which lantern is lit?", reader)) <= readable
    for id_, readers in world.sure.items():
        assert (id_ in records) == (readers is not None), "an answered change was lost"
        if readers is not None:
            assert set(records[id_].access) == {f"user:{reader}" for reader in readers}
