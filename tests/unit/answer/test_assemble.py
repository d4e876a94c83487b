"""From ranked passages to those of a prompt."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.answer.assemble import assemble, relevant
from pipelines.domain import Chunk, Document, Passage
from pipelines.stores.base import Place


def passage(
    text: str, ordinal: int = 0, *, document: str = "a", page: int | None = 1, relevance: float = 0.5
) -> Passage:
    chunk = Chunk(f"{document}{ordinal}", document, ordinal, text, document, (), page)
    return Passage(chunk, Document(document, document, f"{document}.md", "", "h", 1), 1.0, relevance)


def texts(
    passages: Sequence[Passage],
    *,
    limit: int = 6,
    distinct: Sequence[str] = (),
    beside: Sequence[Passage] = (),
) -> list[str]:
    def read(places: Sequence[Place]) -> list[Chunk]:
        wanted = {(place.document_id, place.ordinal) for place in places}
        return [each.chunk for each in beside if (each.chunk.document_id, each.chunk.ordinal) in wanted]

    found = assemble(passages, limit=limit, distinct=distinct, read=read)
    return [each.chunk.text for each in found]


def test_a_repetition_is_dropped_and_the_next_one_moves_up() -> None:
    found = [
        passage("the limit is 90 euros"),
        passage("The limit is 90 euros.", document="b"),
        passage("x", document="c"),
    ]
    assert texts(found, limit=2) == ["the limit is 90 euros", "x"]


def test_the_same_words_with_another_number_are_no_repetition() -> None:
    found = [passage("the limit is 90 euros"), passage("the limit is 80 euros", document="b")]
    assert len(texts(found)) == 2


def test_documents_that_the_question_names_may_say_the_same() -> None:
    found = [passage("risks remain"), passage("risks remain", document="b")]
    assert len(texts(found, distinct=["a", "b"])) == 2


def test_neighbours_become_one_passage_in_the_order_of_the_document() -> None:
    found = [passage("second", 2), passage("other", document="b"), passage("first", 1)]
    assert texts(found) == ["first\nsecond", "other"]


def test_a_sentence_repeated_behind_a_cut_is_said_once() -> None:
    assert texts([passage("One. Two three.", 1), passage("Two three. Four.", 2)]) == ["One. Two three. Four."]


def test_the_best_passages_are_widened_by_what_stands_beside_them() -> None:
    beside = [passage("before", 4), passage("behind", 6), passage("far", 8)]
    assert texts([passage("it", 5)], beside=beside) == ["before\nit\nbehind"]


def test_no_passage_reaches_over_a_page() -> None:
    assert texts([passage("it", 5)], beside=[passage("next page", 6, page=2)]) == ["it"]


def test_a_passage_of_little_relevance_stays_only_if_it_shares_a_word() -> None:
    found = [passage("error 4711 means a worn belt", relevance=0.1), passage("lunch", 9, relevance=0.1)]
    assert relevant(found, "What is 4711?") == found[:1]


def test_nothing_in_nothing_out() -> None:
    assert texts([]) == []
