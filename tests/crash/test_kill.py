"""kill -9 at seeded instants of every stage, over a folder and over S3: what is left is always right."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from pipelines.domain import EVERYONE
from pipelines.provision.databases import ServerUrl
from pipelines.stores.base import SearchRequest
from pipelines.stores.generations import Generations
from pipelines.stores.postgres import open_database
from pipelines.stores.qdrant_edge import QdrantEdgeIndex
from pipelines.stores.qdrant_edge_points import is_equal, published
from pipelines.stores.registry import Registry
from tests.crash.child import EMBEDDING, Plan, open_generations
from tests.crash.instants import STAGES
from tests.database import fresh_database
from tests.fakes.aws import AwsServer

KILLS_A_STAGE = 5
"""For each source: five stages, five kills and two sources are fifty."""
CHANGES = 4
"""Documents that are new, changed or gone before each life of the process."""
REACHED = {"fetch": 18, "read": 6, "embed": 12, "stage": 16, "publish": 24}
"""Instants of a stage that `CHANGES` documents pass, about."""

Write = Callable[[str, bytes | None], None]


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_a_process_killed_at_any_instant_leaves_nothing_half_and_loses_nothing(
    kind: str, tmp_path: Path, postgres_server: ServerUrl, aws: AwsServer
) -> None:
    write, address = a_folder(tmp_path / "share") if kind == "folder" else a_bucket(aws)
    endpoint = "" if kind == "folder" else aws.url
    state = tmp_path / "state"
    state.mkdir()
    url = fresh_database(postgres_server)
    rng = random.Random(f"kill {kind}")
    world: dict[str, bytes] = {}
    kills = [stage for stage in STAGES for _ in range(KILLS_A_STAGE)]
    rng.shuffle(kills)
    with lives() as live:
        for stage in kills:
            number = 2 * rng.randint(1, REACHED[stage])
            ended = 0
            while ended == 0:
                # A life that ended before the instant came: the next is killed earlier.
                number = max(number // 2, 1)
                change(world, write, rng)
                ended = live(Plan(str(state), url, address, endpoint, stage, number))
            assert ended == -signal.SIGKILL
            look(state, url, where=f"killed at instant {number} of {stage}")
        assert live(Plan(str(state), url, address, endpoint)) == 0
    look(state, url, where="at the end", world=world)


def change(world: dict[str, bytes], write: Write, rng: random.Random) -> None:
    """Make one new document, change others, and take one out."""
    names = sorted(world)
    for name in [f"{rng.getrandbits(40):x}.md", *rng.sample(names, min(len(names), CHANGES - 1))]:
        world[name] = a_document(rng)
        write(name, world[name])
    if len(names) > 2 * CHANGES:
        gone = rng.choice(names)
        del world[gone]
        write(gone, None)


def a_document(rng: random.Random) -> bytes:
    words = [f"word{rng.getrandbits(12)}" for _ in range(rng.choice((30, 400, 9000)))]
    paragraphs = [" ".join(words[start : start + 60]) + "." for start in range(0, len(words), 60)]
    return f"# Title {rng.getrandbits(30):x}\n\n{chr(10).join(paragraphs)}\n".encode()


def look(state: Path, url: str, *, where: str, world: Mapping[str, bytes] | None = None) -> None:
    """Open what the killed process left, as the next one will, and check all that has to hold at any time."""
    registry = Registry(open_database(url, connections=2))
    generations = open_generations(state)
    try:
        index = cast(QdrantEdgeIndex, generations.live.index)
        found = {each.document.id: each for each in index.documents()}
        for document_id, each in found.items():
            assert_whole(index, document_id, each.document.content_hash, each.chunks, where)
        assert index.count() == sum(each.chunks for each in found.values()), where
        for record in registry.list(state="ready", limit=10_000):
            assert record.id in found, f"{where}: a confirmed document is not there"
            assert found[record.id].document.content_hash == record.content_hash, where
        if world is not None:
            assert_is(world, generations, registry)
    finally:
        generations.close()
        registry.close()


def assert_whole(index: QdrantEdgeIndex, document_id: str, revision: str, chunks: int, where: str) -> None:
    visible = published(hidden=None, only=is_equal("document_id", document_id))
    payloads = [record.payload or {} for page in index._pages(visible, ["ordinal", "revision"]) for record in page]
    assert {payload["revision"] for payload in payloads} == {revision}, where
    assert sorted(payload["ordinal"] for payload in payloads) == list(range(chunks)), where


def assert_is(world: Mapping[str, bytes], generations: Generations, registry: Registry) -> None:
    """Exactly the documents of `world` are there, each found by its own words."""
    records = {record.name: record for record in registry.list(limit=10_000)}
    assert {name: record.content_hash for name, record in records.items()} == {
        name: hashlib.sha256(data).hexdigest() for name, data in world.items()
    }
    assert {record.state for record in records.values()} == {"ready"}
    for name, data in world.items():
        title = data.decode().partition("\n")[0].removeprefix("# ")
        vector = EMBEDDING.embed([title], input_type="question")[0]
        passages = generations.live.index.search(SearchRequest(title, vector, [EVERYONE], limit=50))
        assert name in [passage.document.name for passage in passages]


@contextmanager
def lives() -> Iterator[Callable[[Plan], int]]:
    """A function that lets a process live by a plan and returns how it ended."""
    command = [sys.executable, "-W", "error", "-m", "tests.crash.child"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        stdin, stdout = process.stdin, process.stdout

        def live(plan: Plan) -> int:
            stdin.write(plan.line())
            stdin.flush()
            return int(stdout.readline())

        yield live
        stdin.close()


def a_folder(share: Path) -> tuple[Write, str]:
    share.mkdir()

    def write(name: str, data: bytes | None) -> None:
        if data is None:
            (share / name).unlink()
        else:
            (share / name).write_bytes(data)

    return write, str(share)


def a_bucket(aws: AwsServer) -> tuple[Write, str]:
    bucket = aws.new_bucket()

    def write(name: str, data: bytes | None) -> None:
        if data is None:
            aws.s3.delete_object(Bucket=bucket, Key=f"share/{name}")
        else:
            aws.s3.put_object(Bucket=bucket, Key=f"share/{name}", Body=data)

    return write, f"s3://{bucket}/share"
