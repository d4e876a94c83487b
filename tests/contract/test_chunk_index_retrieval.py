"""What every chunk index offers to retrieval beside its search: neighbours, the catalog, filters, weights; and that
both adapters find the same passages."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from pipelines.domain import EVERYONE, Chunk, DocumentFacts, Filters, Passage, group_scope
from pipelines.stores.base import ChunkIndex, Place, SearchRequest, Weights
from tests.contract.chunk_indexes import Open, a_document, a_request, chunks_of, put, stage

GROUP = group_scope("people")


def ordinals(chunks: Sequence[Chunk]) -> list[int]:
    return sorted(chunk.ordinal for chunk in chunks)


def names(index: ChunkIndex, *scopes: str) -> list[str]:
    return sorted(document.name for document in index.catalog().readable(scopes or (EVERYONE,)))


def titles(passages: Sequence[Passage]) -> list[str]:
    return [passage.chunk.title for passage in passages]


def test_reads_the_chunks_at_some_places_unchanged(index: ChunkIndex) -> None:
    document = a_document()
    chunks = put(index, document, *(f"part {n}" for n in range(6)))
    put(index, a_document("other.md"), "one", "two", "three")
    places = [Place(document.id, ordinal) for ordinal in (1, 3, 99, -1)] + [Place("no such id", 0)]
    assert sorted(index.read(places, [EVERYONE]), key=lambda chunk: chunk.ordinal) == [chunks[1], chunks[3]]


def test_reads_places_of_several_documents_apart(index: ChunkIndex) -> None:
    a, b = a_document("a.md"), a_document("b.md")
    put(index, a, "a0", "a1")
    put(index, b, "b0", "b1")
    read = index.read([Place(a.id, 0), Place(b.id, 1)], [EVERYONE])
    assert sorted(chunk.text for chunk in read) == ["a0", "b1"]


def test_neighbours_are_read_by_those_only_who_may_read_the_document(index: ChunkIndex) -> None:
    document = a_document(access=[GROUP])
    put(index, document, "one", "two")
    places = [Place(document.id, 0), Place(document.id, 1)]
    assert ordinals(index.read(places, [EVERYONE, "user:bela"])) == []
    assert ordinals(index.read(places, [])) == []
    assert ordinals(index.read(places, [EVERYONE, GROUP])) == [0, 1]
    index.set_access(document.id, ["user:bela"])
    assert ordinals(index.read(places, [EVERYONE, GROUP])) == []
    assert ordinals(index.read(places, ["user:bela"])) == [0, 1]


def test_neighbours_are_of_the_published_revision(index: ChunkIndex) -> None:
    put(index, a_document(), "one", "two", "three")
    revised = a_document(revision="r2")
    stage(index, revised, chunks_of(revised, "other one"))
    (chunk,) = index.read([Place(revised.id, 0)], [EVERYONE])
    assert chunk.text == "one"
    put(index, revised, "other one")
    places = [Place(revised.id, ordinal) for ordinal in range(3)]
    assert [chunk.text for chunk in index.read(places, [EVERYONE])] == ["other one"]
    index.remove(revised.id)
    assert index.read(places, [EVERYONE]) == []
    assert index.read([], [EVERYONE]) == []


def test_the_catalog_follows_every_change_at_once(index: ChunkIndex) -> None:
    assert names(index) == []
    stage(index, a_document("a.md"), chunks_of(a_document("a.md"), "one"))
    assert names(index) == []
    put(index, a_document("a.md"), "one")
    put(index, a_document("b.md", access=[GROUP]), "two")
    assert (names(index), names(index, EVERYONE, GROUP)) == (["a.md"], ["a.md", "b.md"])
    index.set_access(a_document("b.md").id, [EVERYONE])
    index.remove(a_document("a.md").id)
    assert names(index) == ["b.md"]
    put(index, a_document("b.md", access=[GROUP], revision="r2"), "two")
    assert (names(index), names(index, GROUP)) == ([], ["b.md"])


def test_the_catalog_knows_the_facts_of_documents_after_reopening(open_index: Open) -> None:
    facts = DocumentFacts(("Contoso",), ("Form 10-Q",), ("2023", "2023-Q3"), "2023-09-30")
    document = replace(a_document(), facts=facts)
    index = open_index()
    put(index, document, "one")
    index.close()
    index = open_index()
    assert index.catalog().readable([EVERYONE]) == [document]
    index.close()


def three_documents(index: ChunkIndex) -> None:
    for name, access in (("open", [EVERYONE]), ("shared", [EVERYONE, GROUP]), ("closed", ["group:board"])):
        put(index, a_document(f"{name}.md", access=access), "hotels cost 180 euros", "trains")


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(), {"open", "shared"}),
        (Filters(documents=(a_document("open.md").id,)), {"open"}),
        (Filters(documents=(a_document("closed.md").id,)), set()),
        (Filters(documents=("no such id",)), set()),
        (Filters(groups=("people",)), {"shared"}),
        (Filters(groups=("board",)), set()),
        (Filters(groups=("board", "people", "nobody's")), {"shared"}),
        (Filters(documents=(a_document("open.md").id,), groups=("people",)), set()),
        (Filters(documents=(a_document("closed.md").id,), groups=("board",)), set()),
    ],
)
def test_a_filter_narrows_and_never_widens(index: ChunkIndex, filters: Filters, expected: set[str]) -> None:
    three_documents(index)
    request = replace(a_request("hotels", EVERYONE, GROUP, limit=50), filters=filters)
    assert set(titles(index.search(request))) == expected


def test_preferred_documents_rise_and_the_others_stay(index: ChunkIndex) -> None:
    for number in range(8):
        put(index, a_document(f"{number}.md"), f"hotels cost {number}0 euros in Berlin", "trains")
    request = a_request("what do hotels cost in Berlin", limit=50)
    last = titles(index.search(request))[-1]
    risen = index.search(replace(request, preferred=(a_document(f"{last}.md").id,)))
    assert titles(risen)[0] == last
    assert set(titles(risen)) == {str(number) for number in range(8)}


def test_what_is_preferred_and_closed_stays_closed(index: ChunkIndex) -> None:
    three_documents(index)
    request = replace(a_request("hotels", limit=50), preferred=(a_document("closed.md").id, "no such id"))
    assert set(titles(index.search(request))) == {"open", "shared"}


def test_a_ranking_of_weight_0_is_left_out(index: ChunkIndex) -> None:
    put(index, a_document("a.md"), "zanzibar", "hotels", "trains")
    request = a_request("zanzibar", limit=50)
    words_alone = index.search(replace(request, weights=Weights(dense=0)))
    assert [passage.chunk.text for passage in words_alone] == ["zanzibar"]
    assert len(index.search(replace(request, weights=Weights(bm25=0)))) == 3
    preferring = replace(request, preferred=(a_document("a.md").id,))
    alone = replace(preferring, weights=Weights(dense=0, bm25=0, preferred_dense=0))
    assert [passage.chunk.text for passage in index.search(alone)] == ["zanzibar"]


@pytest.mark.parametrize("preferred", [(), (a_document().id,)])
def test_nothing_is_found_where_all_weights_are_0(index: ChunkIndex, preferred: tuple[str, ...]) -> None:
    put(index, a_document(), "hotels")
    assert index.search(replace(a_request("hotels"), weights=Weights(0, 0, 0, 0), preferred=preferred)) == []


WORDS = [
    "hotel",
    "train",
    "lunch",
    "euro",
    "berlin",
    "limit",
    "receipt",
    "invoice",
    "manager",
    "travel",
    "Zürich",
    "東京",
]
WORDS += [f"word{number}" for number in range(60)]
QUESTIONS = [
    *("hotel in Berlin", "lunch limit", "who approves the travel receipt", "invoice", "Zürich train", "東京 hotel"),
    *("", "?!", "the of and", "unheard of words", "euro " * 300, "approvals of managers travelling by trains"),
]


def fill(index: ChunkIndex) -> list[str]:
    """Documents of many sizes in which no two chunks are of one length, so that no two are equally good."""
    ids, chance, lengths = [], random.Random(4), iter(range(8, 100))
    for number in range(12):
        texts = [" ".join(chance.choices(WORDS, k=next(lengths))) for _ in range(1 + number % 5)]
        access = [EVERYONE] if number % 3 else [GROUP]
        document = a_document(f"doc {number}.md", access=access)
        put(index, document, *texts)
        ids.append(document.id)
    return ids


def shown(passages: Sequence[Passage]) -> list[tuple[float, str, float]]:
    """What readers see of an order: score, chunk and relevance. Equal scores are in no order."""
    rows = [(round(passage.score, 5), passage.chunk.id, passage.relevance) for passage in passages]
    return sorted(rows, key=lambda row: (-row[0], row[1]))


def test_both_adapters_find_the_same_passages_in_the_same_order(open_edge: Open, open_server: Open) -> None:
    edge, server = open_edge(), open_server()
    ids = fill(edge)
    fill(server)
    put(edge, a_document("doc 3.md", revision="r2"), "hotel revised", "train revised")
    put(server, a_document("doc 3.md", revision="r2"), "hotel revised", "train revised")

    def both(request: SearchRequest) -> int:
        expected, got = shown(edge.search(request)), shown(server.search(request))
        assert [row[1] for row in got] == [row[1] for row in expected]
        assert [row[0] for row in got] == pytest.approx([row[0] for row in expected], abs=1e-4)
        assert [row[2] for row in got] == pytest.approx([row[2] for row in expected], abs=1e-3)
        return len(got)

    found = 0
    for question in QUESTIONS:
        request = a_request(question, EVERYONE, limit=100)
        found += both(request)
        found += both(replace(request, scopes=(EVERYONE, GROUP), weights=Weights(dense=1.4, bm25=0.6)))
        found += both(replace(request, preferred=ids[:2], filters=Filters(documents=tuple(ids[:6]))))
        found += both(replace(request, preferred=ids, focus="hotel", weights=Weights(1, 1, 0.5, 2)))
    assert found > 500
    edge.close()
    server.close()
