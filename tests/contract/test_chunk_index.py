"""What every chunk index does with the documents it is given, run over every adapter."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from pipelines.domain import EVERYONE, User, group_scope, user_scope
from pipelines.errors import RaglineError, SetupFailed, StoreUnavailable
from pipelines.stores import qdrant_edge, qdrant_points
from pipelines.stores.base import ChunkIndex
from tests.contract.chunk_indexes import Open, a_document, a_request, chunks_of, found, publish, put, stage
from tests.fakes.word_embedding import WordEmbedding


def test_finds_the_chunk_that_answers_first(index: ChunkIndex) -> None:
    put(index, a_document(), "hotels in Berlin cost 180 euros", "trains are first class", "lunch is at noon")
    assert found(index, "what do hotels in Berlin cost")[0] == "hotels in Berlin cost 180 euros"


def test_a_passage_carries_its_chunk_and_document_unchanged(index: ChunkIndex) -> None:
    document = a_document()
    chunks = put(index, document, "hotels cost 180 euros", pages=1)
    (passage,) = index.search(a_request("hotels"))
    assert passage.chunk == chunks[0]
    assert passage.document == document


def test_relevance_is_the_similarity_between_0_and_1_and_scores_fall(index: ChunkIndex) -> None:
    put(index, a_document(), "hotels cost 180 euros", "hotels and trains", "lunch")
    passages = index.search(a_request("policy › Rules › Money\nhotels cost 180 euros"))
    assert passages[0].relevance == pytest.approx(1.0, abs=1e-3)
    assert all(0 <= passage.relevance <= 1 for passage in passages)
    assert [passage.score for passage in passages] == sorted((passage.score for passage in passages), reverse=True)


def test_finds_a_rare_word_in_the_title_or_the_section(index: ChunkIndex) -> None:
    put(index, a_document("zanzibar.md"), "the limit is 90")
    put(index, a_document("lisbon.md"), "the limit is 80")
    assert found(index, "zanzibar")[0] == "the limit is 90"


def test_returns_no_more_than_the_limit(index: ChunkIndex) -> None:
    put(index, a_document(), *(f"hotel number {number}" for number in range(20)))
    assert len(index.search(a_request("hotel", limit=3))) == 3


@pytest.mark.parametrize(
    "question", ["", "?!…", "the of and", "東京の出張費", "'; DROP TABLE documents; --", "x " * 5000]
)
def test_any_question_is_searched_without_an_error(index: ChunkIndex, question: str) -> None:
    put(index, a_document(), "hotels cost 180 euros")
    assert len(index.search(a_request(question))) <= 1


def test_an_empty_index_finds_nothing(index: ChunkIndex) -> None:
    assert index.search(a_request("hotels")) == []
    assert (index.documents(), index.count()) == ([], 0)


ANNA = User("anna", groups=("people",))
BELA = User("bela")
NOBODY = User("")


@pytest.mark.parametrize(
    ("access", "readers"),
    [
        ([EVERYONE], {"anna", "bela", ""}),
        ([group_scope("people")], {"anna"}),
        ([user_scope("bela")], {"bela"}),
        ([user_scope("bela"), group_scope("people")], {"anna", "bela"}),
        ([group_scope("finance")], set()),
        ([user_scope("people")], set()),
        ([], set()),
    ],
)
def test_only_those_with_a_scope_of_the_document_find_it(
    index: ChunkIndex, access: list[str], readers: set[str]
) -> None:
    put(index, a_document(access=access), "copper lanterns over slack water")
    for user in (ANNA, BELA, NOBODY):
        assert bool(found(index, "copper lanterns", *user.scopes())) == (user.id in readers)


def test_closed_documents_do_not_push_open_ones_out_of_the_candidates(index: ChunkIndex) -> None:
    put(index, a_document("closed.md", access=["group:x"]), *(f"copper lanterns copper {n}" for n in range(200)))
    put(index, a_document("open.md"), "one of the lanterns is lit")
    assert found(index, "copper lanterns") == ["one of the lanterns is lit"]


def test_no_scope_at_all_reads_nothing(index: ChunkIndex) -> None:
    put(index, a_document(), "hotels")
    assert index.search(replace(a_request("hotels"), scopes=())) == []


def test_a_change_of_access_takes_effect_with_the_next_search(index: ChunkIndex) -> None:
    put(index, a_document(), "hotels", "hotels too")
    index.set_access(a_document().id, ["group:people"])
    assert found(index, "hotels") == []
    assert set(found(index, "hotels", "group:people")) == {"hotels", "hotels too"}
    assert [entry.document.access for entry in index.documents()] == [("group:people",)]


def test_a_change_of_access_leaves_other_documents_and_what_is_staged(index: ChunkIndex) -> None:
    put(index, a_document("other.md"), "hotels elsewhere")
    put(index, a_document(access=["group:x"]), "hotels")
    stage(index, a_document(revision="r2"), chunks_of(a_document(revision="r2"), "hotels r2"))
    index.set_access(a_document().id, [EVERYONE])
    assert set(found(index, "hotels")) == {"hotels elsewhere", "hotels"}
    index.set_access("no such id", [EVERYONE])
    assert index.count() == 2


def test_what_is_staged_is_seen_by_nobody(index: ChunkIndex) -> None:
    stage(index, a_document(), chunks_of(a_document(), "hotels", "trains"))
    assert found(index, "hotels", *ANNA.scopes(), "staged:", "") == []
    assert (index.documents(), index.count()) == ([], 0)


def test_an_earlier_revision_is_found_whole_until_the_next_is_published(index: ChunkIndex) -> None:
    put(index, a_document(), "hotels r1", "trains r1")
    revised = a_document(revision="r2")
    for chunk in chunks_of(revised, "hotels r2", "trains r2", "lunch r2"):
        stage(index, revised, [chunk])
        assert set(found(index, "hotels trains lunch")) == {"hotels r1", "trains r1"}
        assert (index.count(), len(index.documents())) == (2, 1)
    publish(index, revised, 3)
    assert set(found(index, "hotels trains lunch")) == {"hotels r2", "trains r2", "lunch r2"}


def test_staging_the_published_revision_again_never_hides_it(index: ChunkIndex) -> None:
    chunks = put(index, a_document(), "hotels", "trains")
    stage(index, a_document(), chunks)
    assert set(found(index, "hotels trains")) == {"hotels", "trains"}
    publish(index, a_document(), 2)
    assert set(found(index, "hotels trains")) == {"hotels", "trains"}
    assert index.count() == 2


def test_a_batch_that_is_staged_twice_counts_once(index: ChunkIndex) -> None:
    chunks = chunks_of(a_document(), "hotels", "trains")
    stage(index, a_document(), chunks[:1])
    stage(index, a_document(), chunks)
    publish(index, a_document(), 2)
    assert index.count() == 2


def test_discard_forgets_what_is_staged_and_keeps_what_is_published(index: ChunkIndex) -> None:
    put(index, a_document(), "hotels")
    revised = a_document(revision="r2")
    stage(index, revised, chunks_of(revised, "hotels r2", "left over"))
    index.discard(revised.id)
    index.discard("no such id")
    stage(index, revised, chunks_of(revised, "hotels r2"))
    publish(index, revised, 1)
    assert found(index, "hotels left over") == ["hotels r2"]


def test_staging_another_revision_replaces_the_one_that_was_staged(index: ChunkIndex) -> None:
    stage(index, a_document(), chunks_of(a_document(), "hotels r1", "trains r1"))
    put(index, a_document(revision="r2"), "hotels r2")
    assert found(index, "hotels") == ["hotels r2"]
    assert index.count() == 1


@pytest.mark.parametrize("staged", [0, 1, 3])
def test_a_document_that_is_not_staged_whole_is_not_published(index: ChunkIndex, staged: int) -> None:
    put(index, a_document(), "hotels r1")
    revised = a_document(revision="r2")
    stage(index, revised, chunks_of(revised, "hotels r2", "trains r2", "lunch r2")[:staged])
    with pytest.raises(StoreUnavailable, match="staged instead of 2"):
        publish(index, revised, 2)
    assert found(index, "hotels") == ["hotels r1"]


def test_only_the_staged_revision_is_published(index: ChunkIndex) -> None:
    stage(index, a_document(), chunks_of(a_document(), "hotels"))
    with pytest.raises(StoreUnavailable):
        publish(index, a_document(revision="r2"), 1)
    assert index.documents() == []


def test_publishing_gives_the_readers_it_names_not_those_at_staging(index: ChunkIndex) -> None:
    chunks = chunks_of(a_document(), "hotels")
    stage(index, a_document(access=[EVERYONE]), chunks)
    publish(index, a_document(access=["group:people"]), 1)
    assert found(index, "hotels") == []
    assert found(index, "hotels", "group:people") == ["hotels"]


def test_remove_takes_what_is_staged_too(index: ChunkIndex) -> None:
    put(index, a_document(), "hotels")
    revised = a_document(revision="r2")
    stage(index, revised, chunks_of(revised, "hotels r2"))
    assert index.remove(revised.id) is True
    with pytest.raises(StoreUnavailable):
        publish(index, revised, 1)
    stage(index, revised, chunks_of(revised, "hotels r2"))
    assert index.remove(revised.id) is False
    assert (index.documents(), index.count()) == ([], 0)


def test_publishing_replaces_the_document_and_leaves_the_others(index: ChunkIndex) -> None:
    put(index, a_document("other.md"), "hotels elsewhere")
    put(index, a_document(revision="r1"), "hotels cost 100", "trains", "lunch")
    put(index, a_document(revision="r2"), "hotels cost 200")
    assert set(found(index, "hotels trains lunch")) == {"hotels cost 200", "hotels elsewhere"}
    assert index.count() == 2


def test_publishing_replaces_chunks_cut_otherwise_from_the_same_bytes(index: ChunkIndex) -> None:
    put(index, a_document(), "hotels cost 100 and trains", "lunch")
    put(index, a_document(), "hotels cost 100", "and trains", "lunch")
    assert index.count() == 3


def test_publishing_the_same_again_changes_nothing(index: ChunkIndex) -> None:
    first = put(index, a_document(), "hotels", "trains")
    assert put(index, a_document(), "hotels", "trains") == first
    assert index.count() == 2
    assert len(index.documents()) == 1


def test_remove_takes_out_one_document_and_says_whether_it_was_there(index: ChunkIndex) -> None:
    put(index, a_document("a.md"), "hotels", "trains")
    put(index, a_document("b.md"), "hotels")
    assert index.remove(a_document("a.md").id) is True
    assert index.remove(a_document("a.md").id) is False
    assert index.remove("no such id") is False
    assert [entry.document.title for entry in index.documents()] == ["b"]
    assert index.count() == 1


def test_lists_documents_by_title_with_what_is_known_of_them(index: ChunkIndex) -> None:
    put(index, a_document("b.md", access=["group:x"]), "one", "two", pages=2)
    put(index, a_document("A.md"), "three")
    listed = index.documents()
    assert [entry.document for entry in listed] == [a_document("A.md"), a_document("b.md", access=["group:x"])]
    assert [(entry.chunks, entry.pages) for entry in listed] == [(1, None), (2, 2)]
    assert all(entry.indexed_at for entry in listed)


def test_lists_more_documents_than_fit_one_page_of_results(open_index: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    for adapter in (qdrant_edge, qdrant_points):
        monkeypatch.setattr(adapter, "PAGE", 10)
    index = open_index()
    for number in range(25):
        put(index, a_document(f"{number}.md"), "one")
    index.close()
    index = open_index()
    assert len({entry.document.id for entry in index.documents()}) == 25
    assert index.count() == 25
    index.close()


def test_a_search_never_sees_half_a_replacement(index: ChunkIndex) -> None:
    """While one thread publishes revision after revision, every search of the others sees exactly one of them."""
    revisions = 25
    seen: list[set[str]] = []
    done = threading.Event()

    def search() -> None:
        while not done.wait(0.001):
            passages = index.search(a_request("hotel", limit=50))
            seen.append({passage.document.content_hash for passage in passages})
            assert len(passages) == 10

    put(index, a_document(revision="r0"), *(f"hotel {n} r0" for n in range(10)))
    searchers = [threading.Thread(target=search) for _ in range(3)]
    for searcher in searchers:
        searcher.start()
    for revision in range(1, revisions):
        put(index, a_document(revision=f"r{revision}"), *(f"hotel {n} r{revision}" for n in range(10)))
    done.set()
    for searcher in searchers:
        searcher.join()
    assert seen
    assert all(len(revisions_seen) == 1 for revisions_seen in seen)


def test_a_vector_of_another_length_is_a_store_error(index: ChunkIndex) -> None:
    request = replace(a_request("hotels"), vector=WordEmbedding(dimensions=8).embed(["x"], input_type="question")[0])
    with pytest.raises(StoreUnavailable):
        index.search(request)


def test_documents_are_taken_in_by_several_threads_at_once(index: ChunkIndex) -> None:
    def work(thread: int) -> None:
        for revision in range(5):
            document = a_document(f"{thread}.md", revision=f"r{revision}")
            put(index, document, *(f"hotel {n} r{revision}" for n in range(thread + 1)))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted((entry.document.content_hash, entry.chunks) for entry in index.documents()) == [
        ("r4", chunks) for chunks in (1, 2, 3, 4)
    ]
    assert index.count() == 10


def test_what_was_staged_is_gone_after_reopening(open_index: Open) -> None:
    opened = open_index()
    put(opened, a_document(), "hotels r1")
    revised = a_document(revision="r2")
    stage(opened, revised, chunks_of(revised, "hotels r2", "left over"))
    opened.close()
    reopened = open_index()
    assert found(reopened, "hotels left over") == ["hotels r1"]
    put(reopened, revised, "hotels r2")
    assert found(reopened, "hotels left over") == ["hotels r2"]
    reopened.close()


def test_what_was_published_is_there_after_reopening(open_index: Open) -> None:
    opened = open_index()
    put(opened, a_document(), "hotels", "trains")
    opened.close()
    reopened = open_index()
    assert set(found(reopened, "hotels trains")) == {"hotels", "trains"}
    reopened.close()


def test_a_closed_index_says_so(open_index: Open) -> None:
    opened = open_index()
    opened.close()
    with pytest.raises(RaglineError) as raised:
        opened.count()
    assert not isinstance(raised.value, SetupFailed)
