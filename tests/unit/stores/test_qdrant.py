"""What only the index on a server has: several processes, changes cut off at any call, and a server that fails.

A second `QdrantIndex` over the same collection is another process: they share nothing but the server.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest
from qdrant_client import QdrantClient, models
from starlette.responses import Response

from pipelines.domain import EVERYONE
from pipelines.errors import RaglineError, SetupFailed, StoreUnavailable
from pipelines.stores import qdrant_changes, qdrant_listing
from pipelines.stores.base import ChunkIndex, Place
from pipelines.stores.qdrant import QdrantIndex
from pipelines.stores.qdrant_points import connect
from tests.contract.chunk_indexes import EMBEDDING, a_document, a_request, chunks_of, publish, put, stage
from tests.fakes.qdrant_server import QdrantServer, running_qdrant
from tests.fakes.word_embedding import WordEmbedding
from tests.unit.ingest.ingestion import quick_folder

Another = Callable[[], QdrantIndex]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QdrantServer]:
    place = quick_folder(tmp_path_factory.mktemp("qdrant"))
    with place as folder, running_qdrant(folder / "qdrant", step=2) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: QdrantServer) -> Iterator[QdrantClient]:
    opened = connect(server.url, "")
    yield opened
    opened.close()


@pytest.fixture
def collection(server: QdrantServer, client: QdrantClient) -> Iterator[str]:
    name = f"index-{uuid.uuid4()}"
    yield name
    server.intercept = None
    for each in (name, f"{name}-documents"):
        client.delete_collection(each)


@pytest.fixture
def another(client: QdrantClient, collection: str) -> Another:
    """Another process with the index."""
    return lambda: QdrantIndex(client, collection, EMBEDDING)


def found(index: ChunkIndex, *scopes: str) -> list[str]:
    """The revision of each chunk that is found, beside its readers."""
    passages = index.search(a_request("hotel", *(scopes or (EVERYONE, "user:a")), limit=100))
    return sorted(f"{passage.document.content_hash} {','.join(passage.document.access)}" for passage in passages)


def texts(revision: str, count: int) -> list[str]:
    return [f"hotel {number} {revision}" for number in range(count)]


class Cut:
    """The wire, until it is cut: from the nth writing call on, which arrives or does not."""

    def __init__(self, calls: int, *, arrives: bool) -> None:
        self.left, self._arrives = calls, arrives

    def __call__(self, method: str, path: str) -> Response | None:
        writes = method == "PUT" or path.endswith(("/payload", "/delete"))
        if self.left <= 0:
            return Response(status_code=503)
        if writes:
            self.left -= 1
            if self.left == 0 and not self._arrives:
                return Response(status_code=503)
        return None


CHANGES: dict[str, tuple[Callable[[QdrantIndex], object], list[str]]] = {
    "publish": (lambda index: publish(index, a_document(revision="r2"), 7), [f"r2 {EVERYONE}"] * 7),
    "narrow access": (lambda index: index.set_access(a_document().id, ["user:a"]), ["r1 user:a"] * 5),
    "other access": (lambda index: index.set_access(a_document().id, ["user:a", "user:b"]), ["r1 user:a,user:b"] * 5),
    "remove": (lambda index: index.remove(a_document().id), []),
}


@pytest.mark.parametrize("arrives", [False, True])
@pytest.mark.parametrize("kind", sorted(CHANGES))
def test_a_change_cut_off_at_any_call_leaves_the_old_or_the_new_state_whole(
    server: QdrantServer, client: QdrantClient, monkeypatch: pytest.MonkeyPatch, kind: str, arrives: bool
) -> None:
    make, after = CHANGES[kind]
    before = [f"r1 {EVERYONE}"] * 5
    states = []
    for calls in range(1, 8):
        name = f"cut-{uuid.uuid4()}"
        killed = QdrantIndex(client, name, EMBEDDING)
        put(killed, a_document("other.md", access=["user:z"]), "hotel")
        put(killed, a_document(), *texts("r1", 5))
        stage(killed, a_document(revision="r2"), chunks_of(a_document(revision="r2"), *texts("r2", 7)))
        server.intercept = cut = Cut(calls, arrives=arrives)
        try:
            make(killed)
        except StoreUnavailable:
            cut.left = 0
        server.intercept = None
        reader = QdrantIndex(client, name, EMBEDDING)
        state = found(reader)
        assert state in (before, after)
        assert (reader.count(), len(reader.documents())) == (len(state) + 1, 1 + bool(state))
        states.append(state == after)
        # A minute later, another process finishes it, the same way.
        monkeypatch.setattr(qdrant_changes, "ABANDONED_S", -1)
        finished = found(QdrantIndex(client, name, EMBEDDING))
        monkeypatch.undo()
        assert finished == after or (finished == before and not states[-1])
        assert opened_points(client, name) == len(finished) + 1
        assert changes_left(client, name) == 0
        for each in (name, f"{name}-documents"):
            client.delete_collection(each)
    assert states[0] is False
    assert states[-1] is True
    assert states == sorted(states)


def opened_points(client: QdrantClient, collection: str) -> int:
    """Points that the filter of some reader finds, whether they count or not."""
    staged = models.FieldCondition(key="access", match=models.MatchValue(value="staged"))
    return client.count(collection, models.Filter(must_not=[staged])).count


def changes_left(client: QdrantClient, collection: str) -> int:
    change = models.FieldCondition(key="kind", match=models.MatchValue(value="change"))
    return client.count(f"{collection}-documents", models.Filter(must=[change])).count


def test_the_next_change_of_a_document_finishes_the_one_that_was_cut_off(
    server: QdrantServer, client: QdrantClient, collection: str, another: Another
) -> None:
    killed = another()
    put(killed, a_document(), *texts("r1", 5))
    stage(killed, a_document(revision="r2"), chunks_of(a_document(revision="r2"), *texts("r2", 7)))
    server.intercept = Cut(3, arrives=True)
    with pytest.raises(StoreUnavailable):
        publish(killed, a_document(revision="r2"), 7)
    server.intercept = None
    index = another()
    put(index, a_document(revision="r3"), *texts("r3", 3))
    assert found(index) == [f"r3 {EVERYONE}"] * 3
    assert (opened_points(client, collection), changes_left(client, collection)) == (3, 0)


def test_what_one_process_changes_is_found_by_the_others_with_their_next_search(another: Another) -> None:
    one, two = another(), another()
    put(one, a_document(), *texts("r1", 5))
    assert found(two) == [f"r1 {EVERYONE}"] * 5
    put(two, a_document(revision="r2"), *texts("r2", 3))
    assert found(one) == [f"r2 {EVERYONE}"] * 3
    one.set_access(a_document().id, ["user:a"])
    assert (found(two, EVERYONE), len(found(two, "user:a"))) == ([], 3)
    assert two.read([Place(a_document().id, 0)], [EVERYONE]) == []
    assert two.remove(a_document().id)
    assert found(one) == []


def test_the_catalog_learns_of_other_processes_with_the_next_look(
    another: Another, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = another(), another()
    put(one, a_document("a.md"), "hotel")
    put(one, a_document("b.md"), "hotel")
    one.remove(a_document("b.md").id)
    assert two.catalog().readable([EVERYONE]) == []
    monkeypatch.setattr(two._listing, "_looked_at", two._listing._looked_at - qdrant_listing.LOOK_S)
    assert [document.name for document in two.catalog().readable([EVERYONE])] == ["a.md"]
    one.set_access(a_document("a.md").id, ["user:a"])
    one.remove(a_document("a.md").id)
    assert two.documents() == []
    assert two.catalog().readable([EVERYONE, "user:a"]) == []


def test_a_catalog_that_was_not_looked_at_for_long_is_read_anew(
    another: Another, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = another(), another()
    put(one, a_document(), "hotel")
    assert len(two.documents()) == 1
    one.remove(a_document().id)
    one._heads.forget_removed(2**50)
    assert len(two.documents()) == 1
    monkeypatch.setattr(two._listing, "_looked_at", two._listing._looked_at - qdrant_listing.WHOLE_S)
    assert two.documents() == []


def test_stagings_of_others_are_left_until_nothing_was_added_for_an_hour(
    another: Another, client: QdrantClient, collection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = another()
    a, b = a_document("a.md"), a_document("b.md")
    stage(one, a, chunks_of(a, "one", "two", "three")[:2])
    stage(one, b, chunks_of(b, "one"))
    old = models.Filter(must=[models.FieldCondition(key="ordinal", match=models.MatchValue(value=0))])
    client.set_payload(collection, {"staged_at": 1}, points=old)
    another()
    assert client.count(collection).count == 2
    stage(one, a, chunks_of(a, "one", "two", "three")[2:])
    publish(one, a, 3)
    with pytest.raises(StoreUnavailable, match="0 chunks"):
        publish(one, b, 1)


def test_two_processes_that_publish_one_document_at_once_leave_one_whole_revision(another: Another) -> None:
    one, two = another(), another()
    for index, revision, count in ((one, "r1", 4), (two, "r2", 6)):
        stage(index, a_document(revision=revision), chunks_of(a_document(revision=revision), *texts(revision, count)))
    publish(one, a_document(revision="r1"), 4)
    publish(two, a_document(revision="r2"), 6)
    assert found(one) == found(two) == [f"r2 {EVERYONE}"] * 6
    assert one.count() == 6


@pytest.mark.parametrize("other", [WordEmbedding(name="another"), WordEmbedding(dimensions=32)])
def test_an_index_of_another_embedding_is_refused_with_what_to_do(
    client: QdrantClient, collection: str, another: Another, other: WordEmbedding
) -> None:
    another()
    with pytest.raises(SetupFailed, match=r"was built with words.*set EMBEDDING_MODEL back"):
        QdrantIndex(client, collection, other)


def test_a_collection_of_another_size_is_refused(client: QdrantClient, collection: str) -> None:
    client.create_collection(collection, {"dense": models.VectorParams(size=8, distance=models.Distance.COSINE)})
    with pytest.raises(SetupFailed, match="holds vectors of 8 dimensions, and words makes 64"):
        QdrantIndex(client, collection, EMBEDDING)


def refusals() -> Sequence[tuple[Response, str]]:
    return [
        (Response("Invalid API key", 403), "check QDRANT_API_KEY"),
        (Response('{"status": {"error": "out of memory"}}', 500), "refuses with 500.*out of memory"),
        (
            Response('{"status": {"error": "Service internal error: No space left on device: WAL"}}', 500),
            "Qdrant's disk is full: make room",
        ),
        (Response("<html>", 200), "does not answer"),
        (Response('{"status": {"error": "limit"}}', 429, {"Retry-After": "7"}), "asked too often"),
    ]


@pytest.mark.parametrize(("answer", "sentence"), refusals())
def test_an_answer_that_is_none_is_a_store_error_with_what_to_do(
    server: QdrantServer, another: Another, answer: Response, sentence: str
) -> None:
    index = another()
    put(index, a_document(), "hotel")
    server.intercept = lambda _method, _path: answer
    calls: list[Callable[[], object]] = [
        lambda: index.search(a_request("hotel")),
        lambda: index.read([Place(a_document().id, 0)], [EVERYONE]),
        lambda: index.documents(),
        lambda: index.set_access(a_document().id, []),
        lambda: stage(index, a_document("b.md"), chunks_of(a_document("b.md"), "one")),
    ]
    for call in calls:
        with pytest.raises(StoreUnavailable, match=sentence) as raised:
            call()
        assert raised.value.retry_after == (7 if answer.status_code == 429 else None)


def test_a_server_that_is_not_there_is_named() -> None:
    client = connect("http://127.0.0.1:9", "")
    with pytest.raises(RaglineError, match=r"does not answer \(ConnectError\).*QDRANT_URL"):
        QdrantIndex(client, "index", EMBEDDING)
    client.close()
    with pytest.raises(SetupFailed, match="QDRANT_URL is no address"):
        connect("ftp://qdrant", "")


def test_the_key_is_sent_and_what_is_kept_is_there_after_a_restart(tmp_path_factory: pytest.TempPathFactory) -> None:
    with quick_folder(tmp_path_factory.mktemp("qdrant")) as folder:
        for restart in range(2):
            with running_qdrant(folder / "qdrant", api_key="a secret") as server:
                client = connect(server.url, "a secret")
                index = QdrantIndex(client, "index", EMBEDDING)
                if not restart:
                    put(index, a_document(), *texts("r1", 3))
                assert found(index) == [f"r1 {EVERYONE}"] * 3
                client.close()
                other = connect(server.url, "another")
                with pytest.raises(StoreUnavailable, match="refuses the key: check QDRANT_API_KEY"):
                    QdrantIndex(other, "index", EMBEDDING)
                other.close()


def test_a_revision_is_not_mixed_with_points_that_a_killed_process_has_opened(
    server: QdrantServer, another: Another
) -> None:
    killed, reader = another(), another()
    put(killed, a_document(), *texts("r1", 5))
    stage(killed, a_document(revision="r2"), chunks_of(a_document(revision="r2"), *texts("r2", 7)))
    server.intercept = Cut(2, arrives=True)
    with pytest.raises(StoreUnavailable):
        publish(killed, a_document(revision="r2"), 7)
    server.intercept = None
    best = reader.search(replace(a_request("hotel 0 r2"), limit=3))
    assert [passage.document.content_hash for passage in best] == ["r1"] * 3
    assert {chunk.text for chunk in reader.read([Place(a_document().id, 1)], [EVERYONE])} == {"hotel 1 r1"}


# --- a server of several nodes ---


def test_how_many_shards_and_replicas_there_are_is_the_servers_to_say(
    server: QdrantServer, another: Another, collection: str
) -> None:
    another()
    for name in (collection, f"{collection}-documents"):
        body = server.body_of(name)
        for said in ("shard_number", "replication_factor", "write_consistency_factor"):
            assert body.get(said) is None


def test_heads_are_written_in_one_order_on_all_replicas(
    client: QdrantClient, another: Another, collection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    orderings: list[tuple[str, object]] = []
    for name in ("upsert", "delete", "set_payload"):
        call = getattr(client, name)

        def noting(collection: str, *args: object, call: Callable[..., object] = call, **kwargs: object) -> object:
            orderings.append((collection, kwargs["ordering"]))
            return call(collection, *args, **kwargs)

        monkeypatch.setattr(client, name, noting)
    index = another()
    put(index, a_document(), "hotel")
    index.set_access(a_document().id, ["user:a"])
    index.remove(a_document().id)
    assert {ordering for name, ordering in orderings if name.endswith("-documents")} == {models.WriteOrdering.MEDIUM}
    assert {ordering for name, ordering in orderings if name == collection} == {None}


def test_a_node_that_has_not_heard_of_a_new_collection_yet_is_waited_for(
    server: QdrantServer, another: Another, collection: str
) -> None:
    deaf = [5]

    def hears_later(method: str, path: str) -> Response | None:
        if method == "GET" and path == f"/collections/{collection}" and deaf[0]:
            deaf[0] -= 1
            return Response(status_code=404)
        return None

    server.intercept = hears_later
    put(another(), a_document(), "hotel")
    assert deaf == [0]


def test_a_collection_that_another_process_makes_first_is_taken_whatever_the_server_says_of_it(
    server: QdrantServer, another: Another, collection: str
) -> None:
    first = another()
    put(first, a_document(), "hotel")

    def not_seen_yet(method: str, path: str) -> Response | None:
        if path == f"/collections/{collection}/exists" and asked.pop(0):
            return Response(b'{"result": {"exists": false}, "status": "ok", "time": 0}')
        return Response(status_code=400) if (method, path) == ("PUT", f"/collections/{collection}") else None

    asked = [True, False]
    server.intercept = not_seen_yet
    assert len(found(another())) == 1
    assert asked == []
