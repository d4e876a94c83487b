"""Generations on a server: the same moves as in a folder, and several processes that follow one another."""

from __future__ import annotations

import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator

import pytest
from pydantic import SecretStr
from qdrant_client import QdrantClient, models
from starlette.responses import Response

from pipelines.bootstrap_documents import open_generations
from pipelines.errors import SetupFailed, StoreUnavailable
from pipelines.providers.base import EmbeddingProvider
from pipelines.settings import Settings
from pipelines.stores import generations as module
from pipelines.stores.generation_server import ServerGenerations
from pipelines.stores.generations import Generations
from pipelines.stores.qdrant import QdrantIndex
from pipelines.stores.qdrant_points import connect
from tests.fakes.qdrant_server import QdrantServer, running_qdrant
from tests.fakes.word_embedding import WordEmbedding
from tests.unit.ingest.ingestion import quick_folder
from tests.unit.stores.test_generations import NEW, OLD, found, ids, load, put

Start = Callable[..., Generations]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantServer]:
    place = quick_folder(tmp_path_factory.mktemp("qdrant"))
    with place as folder, running_qdrant(folder / "qdrant") as running:
        yield running


@pytest.fixture
def client(server: QdrantServer) -> Iterator[QdrantClient]:
    opened = connect(server.url, "")
    yield opened
    opened.close()


@pytest.fixture
def prefix(client: QdrantClient) -> Iterator[str]:
    name = f"r{uuid.uuid4().hex}"
    yield name
    for each in client.get_collections().collections:
        client.delete_collection(each.name)


@pytest.fixture
def start(server: QdrantServer, prefix: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts another process with the index; it goes on until the end of the test."""
    monkeypatch.setattr(module, "FOLLOW_S", 0.05)
    opened: list[Generations] = []

    def open_another(embedding: EmbeddingProvider = OLD, recipe: str = "cut 1") -> Generations:
        store = ServerGenerations(server.url, "", prefix=prefix)
        opened.append(Generations(store, embedding=embedding, recipe=recipe, load=load))
        return opened[-1]

    yield open_another
    for each in opened:
        each.close()


def collections(client: QdrantClient) -> list[str]:
    names = [each.name.split("-", 1)[1] for each in client.get_collections().collections]
    return sorted(name for name in names if name.startswith("g") and name[1].isdigit())


def soon(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_a_replica_that_starts_finds_what_is_live(start: Start) -> None:
    put(start().live, "hotel old")
    replica = start(NEW, "cut 2")
    assert (ids(replica), found(replica.live), replica.outdated) == (("g1", "", ""), ["hotel old"], True)


def test_replicas_follow_what_one_of_them_builds_switches_to_and_rolls_back(start: Start, client: QdrantClient) -> None:
    one, two = start(), start()
    put(one.live, "hotel old")
    building = one.begin(NEW, "cut 2")
    put(building, "hotel new")
    assert soon(lambda: ids(two) == ("g1", "g2", ""))
    assert [generation.embedding for generation in two.written()] == [OLD, NEW]
    one.switch()
    assert soon(lambda: ids(two) == ("g2", "", "g1"))
    assert found(two.live) == ["hotel new"]
    two.roll_back()
    assert soon(lambda: ids(one) == ("g1", "", "g2"))
    assert found(one.live) == ["hotel old"]
    one.begin(OLD, "cut 3")
    one.switch()
    assert soon(lambda: ids(two) == ("g3", "", "g1"))
    assert collections(client) == ["g1", "g1-documents", "g3", "g3-documents"]


def test_of_two_moves_at_once_one_is_refused(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FOLLOW_S", 60)
    one, two = start(), start()
    one.begin(NEW, "cut 2")
    with pytest.raises(StoreUnavailable, match="by another process just now"):
        two.begin(OLD, "cut 3")
    assert ids(one) == ("g1", "g2", "")


def test_replicas_that_start_at_once_have_one_index(start: Start, client: QdrantClient) -> None:
    started: list[Generations] = []
    threads = [threading.Thread(target=lambda: started.append(start())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    put(started[0].live, "hotel")
    assert [found(each.live) for each in started] == [["hotel"]] * 4
    assert collections(client) == ["g1", "g1-documents"]


def test_what_was_left_over_is_deleted_and_what_is_just_being_made_is_not(
    start: Start, client: QdrantClient, prefix: str
) -> None:
    one = start()
    one.begin(OLD, "cut 2")
    one.switch()
    one.begin(OLD, "cut 3")
    one.switch()
    for generation in ("g1", "g4"):
        QdrantIndex(client, f"{prefix}-{generation}", OLD)
    start()
    assert collections(client) == ["g2", "g2-documents", "g3", "g3-documents", "g4", "g4-documents"]


def test_a_replica_that_cannot_open_what_is_not_searched_leaves_it_to_the_others(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    one = start()
    one.begin(WordEmbedding("gone"), "cut 2")
    two = start()
    assert (ids(one), ids(two)) == (("g1", "g2", ""), ("g1", "", ""))
    assert "built with gone" in caplog.text


def test_a_live_index_whose_model_is_gone_is_refused(start: Start) -> None:
    start(WordEmbedding("gone"))
    with pytest.raises(SetupFailed, match="built with gone"):
        start()


def test_a_damaged_record_is_refused_with_what_to_do(start: Start, client: QdrantClient, prefix: str) -> None:
    start()
    client.set_payload(f"{prefix}-generations", {"pointer": {"live": None}}, points=models.Filter())
    with pytest.raises(SetupFailed, match="damaged: delete it, and all is indexed anew"):
        start()


def test_a_server_that_is_too_old_is_refused(server: QdrantServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fakes.qdrant_server.VERSION", "1.18.3")
    with pytest.raises(SetupFailed, match=r"Qdrant is 1\.18\.3, which is too old: use 1\.19 or newer"):
        ServerGenerations(server.url, "")


def settings_of(server: QdrantServer) -> Settings:
    return Settings.model_construct(qdrant_url=server.url, qdrant_api_key=SecretStr(""))


@pytest.mark.usefixtures("prefix")
def test_the_index_is_on_the_server_where_the_settings_name_one(server: QdrantServer, client: QdrantClient) -> None:
    opened = open_generations(settings_of(server), OLD)
    put(opened.live, "hotel")
    assert client.collection_exists("ragline-g1")
    assert found(opened.live) == ["hotel"]
    opened.close()


def test_without_the_client_of_qdrant_its_setting_is_refused_with_what_to_do(
    server: QdrantServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "pipelines.stores.generation_server")
    monkeypatch.setitem(sys.modules, "qdrant_client", None)
    with pytest.raises(SetupFailed, match=r"install ragline\[qdrant\]"):
        open_generations(settings_of(server), OLD)


def test_whoever_writes_knows_at_once_what_another_process_is_building(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FOLLOW_S", 60)
    one, two = start(), start()
    one.begin(NEW, "cut 2")
    assert [[each.id for each in generations] for generations in (two.written(), two.kept())] == [["g1", "g2"]] * 2
    one.switch()
    assert [[each.id for each in generations] for generations in (two.written(), two.kept())] == [["g2"], ["g2", "g1"]]
    assert two.named() == {"g1", "g2"}


def test_a_process_that_cannot_open_what_is_being_built_writes_nothing(start: Start) -> None:
    one, two = start(), start()
    put(one.live, "hotel")
    one.begin(WordEmbedding("gone"), "cut 2")
    for look in (two.written, two.kept):
        with pytest.raises(StoreUnavailable, match=r"leaves that to others\. It cannot open g2"):
            look()
    one.switch()
    with pytest.raises(StoreUnavailable, match="leaves that to others"):
        two.kept()
    assert found(two.live) == ["hotel"], "its readers go on"


def test_what_is_kept_is_not_guessed_while_the_server_does_not_answer(server: QdrantServer, start: Start) -> None:
    one = start()
    server.intercept = lambda _method, path: Response(status_code=503) if path.endswith("/points") else None
    try:
        with pytest.raises(StoreUnavailable, match="503"):
            one.kept()
    finally:
        server.intercept = None
