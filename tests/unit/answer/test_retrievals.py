"""What a prompt rests on, and who is told apart by it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipelines.answer.retrievals import Basis, Retrievals, Retrieved, basis_of
from pipelines.domain import EVERYONE, Document, Filters, Question, User, group_scope, user_scope
from pipelines.stores.cache import MemoryCache
from pipelines.stores.catalog import Catalog
from pipelines.stores.generations import Generation
from tests.fakes.word_embedding import WordEmbedding

OPEN = Document("d1", "Leave", "upload://leave.md", "text/markdown", "hash-1", 10, (EVERYONE,))
OF_ANNA = replace(OPEN, id="d2", access=(user_scope("anna"),))
ANNA, AMIR = User("anna", ("a", "b")), User("amir", ("b", "a"))


def basis(
    user: User = ANNA,
    documents: tuple[Document, ...] = (OPEN,),
    filters: Filters | None = None,
    text: str = "How much leave?",
    generation: str = "g1",
    recipe: str = "chunks-1",
    model: str = "words",
) -> Basis:
    catalog = Catalog(documents)
    live = Generation(generation, catalog, WordEmbedding(model, 8), recipe)  # type: ignore[arg-type]  # not looked at
    return basis_of(Question(text, user, filters=filters or Filters()), live, catalog)


def test_members_of_the_same_groups_have_one_access_while_no_document_names_either() -> None:
    assert basis(ANNA) == basis(AMIR)
    assert basis(ANNA, (OPEN, OF_ANNA)).access != basis(AMIR, (OPEN, OF_ANNA)).access
    assert basis(AMIR, (OPEN, OF_ANNA)).access == basis(AMIR).access


@pytest.mark.parametrize("other", [User("anna"), User("anna", ("a",)), User("anna", ("a", "b", "c")), User("")])
def test_other_groups_are_another_access_even_where_they_open_nothing(other: User) -> None:
    assert basis(other).access != basis(ANNA).access


def test_a_group_that_is_named_as_a_person_is_nobody_else() -> None:
    documents = (OPEN, replace(OPEN, id="d3", access=(group_scope("user:anna"),)))
    assert basis(User("anna"), documents).access != basis(User("", ("user:anna",)), documents).access


@pytest.mark.parametrize(
    "filters", [Filters(documents=("d1",)), Filters(groups=("d1",)), Filters(documents=("d1", "d2"))]
)
def test_filters_are_part_of_the_access(filters: Filters) -> None:
    assert basis(filters=filters).access != basis().access
    turned = Filters(tuple(reversed(filters.documents)) * 2, filters.groups)
    assert basis(filters=turned) == basis(filters=filters)


def test_every_change_of_the_corpus_or_its_index_is_another_corpus() -> None:
    others = [
        basis(documents=()),
        basis(documents=(replace(OPEN, content_hash="hash-2"),)),
        basis(documents=(replace(OPEN, access=(group_scope("a"),)),)),
        basis(documents=(OPEN, OF_ANNA)),
        basis(generation="g2"),
        basis(recipe="chunks-2"),
        basis(model="other words"),
    ]
    corpora = {basis().corpus, *(other.corpus for other in others)}
    assert len(corpora) == len(others) + 1


def test_the_words_of_the_question_are_not_part_of_it() -> None:
    assert basis(text="Another?") == basis()


async def test_what_was_retrieved_is_found_by_its_turn_alone() -> None:
    retrievals = Retrievals(MemoryCache(10_000))
    retrieved = Retrieved(basis(), 1234)
    await retrievals.put("r1", retrieved)
    await retrievals.put("", retrieved)
    assert await retrievals.get("r1") == retrieved
    assert await retrievals.get("r2") is None
    assert await retrievals.get("") is None
