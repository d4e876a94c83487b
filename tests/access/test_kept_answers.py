"""Kept answers over the whole path: gateway, workflow, retrieval, index and router; then by chance over all scopes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.answer.cache.answer_cache import AnswerCache
from pipelines.answer.cache.cache_key import normalised
from pipelines.answer.cache.kept_answers import KeptAnswers
from pipelines.answer.generate.model_calls import InProcessModelCalls
from pipelines.answer.generate.model_request import ModelRequest
from pipelines.answer.generate.router import ModelRouter, Patience, ServedProvider
from pipelines.answer.prompt import render_prompt
from pipelines.answer.retrievals import Retrievals, Retrieved, basis_of
from pipelines.cost import PriceList
from pipelines.domain import (
    EVERYONE,
    Citation,
    Document,
    Filters,
    Grant,
    Message,
    Question,
    User,
    group_scope,
    user_scope,
)
from pipelines.ingest.isolate import Isolation
from pipelines.providers.base import ChatDelta, ChatProvider, Finish, GenerateOptions, TextDelta
from pipelines.stores.cache import MemoryCache
from pipelines.stores.catalog import Catalog
from pipelines.stores.generations import Generation
from pipelines.stores.registry import Registry
from tests.access.deployment import Deployment, deployed
from tests.access.plants import GROUPS, A
from tests.access.read_paths import as_reader
from tests.fakes.word_embedding import WordEmbedding
from tests.unit.ingest.ingestion import NOBODY, Ingestion, quick_folder

ANNA, AMIR, BEN = User("anna", (A,)), User("amir", (A,)), User("ben", (GROUPS["Group B"],))
OPEN, GROUP_A = Grant(everyone=True), Grant(groups=("Group A",))
LEAVE = "# Leave\n\nEvery employee has {days} days of leave a year.\n"
QUESTION = "How many days of leave does every employee have?"


@pytest.fixture
async def own(registry: Registry, isolation: Isolation, tmp_path: Path) -> AsyncIterator[Deployment]:
    """A deployment of one's own, to change."""
    with quick_folder(tmp_path) as folder:
        ingestion = Ingestion(folder, registry, isolation)
        ingestion.rules = NOBODY
        await ingestion.library.set_groups(GROUPS)
        async with deployed(ingestion, tmp_path) as deployment:
            yield deployment
        ingestion.close()


async def put(own: Deployment, days: int = 28, name: str = "leave.md", grant: Grant = OPEN) -> str:
    return (await own.ingestion.upload(name, LEAVE.format(days=days).encode(), grant=grant)).id


async def ask(own: Deployment, user: User = ANNA, question: str = QUESTION, turn: str = "") -> str:
    body = {
        "model": "company-documents:kept",
        "messages": [{"role": "user", "content": question}],
        "stream": True,
    }
    response = await own.http.post(
        "/v1/chat/completions", json=body, headers=as_reader(user) | {"x-ragline-turn": turn}
    )
    assert response.status_code == 200, response.text
    return response.text


def is_cached(text: str) -> bool:
    told = '"cached":true' in text
    assert told == ("the answer is the one given then" in text), "the status line and the usage say the same"
    return told


async def test_a_reader_who_asks_again_is_told_that_the_answer_is_a_kept_one(own: Deployment) -> None:
    await put(own)
    first, again = await ask(own), await ask(own)
    assert [is_cached(first), is_cached(again)] == [False, True]
    assert "28 days" in again
    assert '"cost_usd":0.0' in again
    assert again.rstrip().endswith("data: [DONE]")


async def test_colleagues_who_may_read_the_same_share_it_and_others_do_not(own: Deployment) -> None:
    await put(own)
    await ask(own, ANNA)
    assert is_cached(await ask(own, AMIR))
    assert not is_cached(await ask(own, BEN)), "another group, though he finds the very same passages"
    await put(own, 3, "of-amir.md", Grant(users=(AMIR.id,)))
    await ask(own, ANNA)
    assert not is_cached(await ask(own, AMIR)), "he may read more than his colleague now"


async def test_a_changed_document_calls_the_model_at_once(own: Deployment) -> None:
    await put(own, 28)
    assert "28 days" in await ask(own)
    await put(own, 30)
    now = await ask(own)
    assert not is_cached(now)
    assert "30 days" in now
    assert "28 days" not in now


async def test_a_removed_document_calls_the_model_at_once_and_is_no_longer_quoted(own: Deployment) -> None:
    removed = await put(own, 28, "old-leave.md")
    await put(own, 30, "travel-and-leave.md", GROUP_A)
    assert "28 days" in await ask(own)
    await own.ingestion.library.remove(removed)
    now = await ask(own)
    assert not is_cached(now)
    assert "28 days" not in now


async def test_a_change_of_access_calls_the_model_at_once(own: Deployment) -> None:
    document = await put(own, 28)
    assert "28 days" in await ask(own, BEN)
    await own.ingestion.library.set_grant(document, GROUP_A)
    closed = await ask(own, BEN)
    assert not is_cached(closed)
    assert "28 days" not in closed
    assert not is_cached(await ask(own, ANNA))
    await own.ingestion.library.set_grant(document, OPEN)
    assert "28 days" in await ask(own, BEN)


async def test_a_document_that_does_not_come_up_counts_too(own: Deployment) -> None:
    await put(own)
    await ask(own)
    await own.ingestion.upload("zebra.md", b"# Zebras\n\nThey have stripes.\n", grant=OPEN)
    assert not is_cached(await ask(own))


async def test_an_answer_asked_for_again_in_its_turn_is_made_anew(own: Deployment) -> None:
    await put(own)
    assert not is_cached(await ask(own, turn="m1"))
    assert not is_cached(await ask(own, turn="m1")), "regenerate"
    assert is_cached(await ask(own, turn="m2")), "typed once more"
    assert is_cached(await ask(own, AMIR, turn="m1")), "of another person"
    assert not is_cached(await ask(own, turn="m2"))


# --- by chance --------------------------------------------------------------------------------------------------------

USERS = ("anna", "ben", "everyone", "group:a", "user:anna", "")
GROUP_IDS = ("a", "b", "anna", "everyone")
SCOPES = (EVERYONE, *(user_scope(user) for user in USERS if user), *(group_scope(group) for group in GROUP_IDS))
QUESTIONS = ("How much leave?", "how much leave", "How much pay?", "[1]")
readers = st.builds(User, st.sampled_from(USERS), st.sets(st.sampled_from(GROUP_IDS), max_size=3).map(tuple))
narrowings = st.builds(
    Filters,
    documents=st.sets(st.sampled_from(("d0", "d1")), max_size=2).map(tuple),
    groups=st.sets(st.sampled_from(("a", "b")), max_size=1).map(tuple),
)
grants = st.sets(st.sampled_from(SCOPES), min_size=1, max_size=3).map(tuple)


@dataclass(frozen=True, slots=True)
class Asked:
    """One reader's question; `fresh` where another answer is wanted."""

    user: User
    text: str
    filters: Filters
    fresh: bool


@dataclass(frozen=True, slots=True)
class Changed:
    """A document that is opened to others, or removed (`access` is empty)."""

    document: int
    access: tuple[str, ...]


steps = st.lists(
    st.one_of(
        st.builds(Asked, readers, st.sampled_from(QUESTIONS), narrowings, st.integers(0, 9).map(lambda dice: not dice)),
        st.builds(Changed, st.integers(0, 2), st.one_of(grants, st.just(()))),
    ),
    min_size=2,
    max_size=25,
)


class Numbering(ChatProvider):
    """Says another number to each call, so that an answer tells which call it came from."""

    name = "numbering"

    def __init__(self) -> None:
        self.calls = 0

    async def stream(
        self, model: str, messages: Sequence[Message], *, options: GenerateOptions
    ) -> AsyncGenerator[ChatDelta, None]:
        self.calls += 1
        yield TextDelta(f"Answer {self.calls} [1].")
        yield Finish()

    async def check(self, model: str = "") -> None:
        return

    async def models(self) -> Sequence[str]:
        return ["one"]


@given(documents=st.lists(grants, min_size=3, max_size=3), script=steps)
@settings(max_examples=200, deadline=None)
def test_nobody_gets_the_answer_of_who_may_read_something_else(
    documents: list[tuple[str, ...]], script: list[Asked | Changed]
) -> None:
    """The worst case: all find the same passages whatever they may read, so that only scopes and corpus differ."""
    asyncio.run(_play(documents, script))


async def _play(documents: list[tuple[str, ...]], script: list[Asked | Changed]) -> None:
    provider = Numbering()
    router = ModelRouter(
        [ServedProvider(provider, 4, "one")],
        default="numbering",
        queue=1,
        patience=Patience(5, 5),
        calls=InProcessModelCalls(),
        prices=PriceList([]),
    )
    cache = MemoryCache(10**6)
    retrievals = Retrievals(cache)
    answers = AnswerCache(router, retrievals, KeptAnswers(cache, 60))
    catalog = Catalog(_document(number, access) for number, access in enumerate(documents))
    index = _OfCatalog(catalog)
    standing: dict[str, object] = {}
    given_out: Counter[str] = Counter()
    for number, step in enumerate(script):
        if isinstance(step, Changed):
            _change(catalog, step)
            continue
        question = Question(step.text, step.user, filters=step.filters)
        basis = basis_of(question, index.live, catalog)
        prompt = render_prompt(question, [Citation(1, "d0", 1, "Leave p.1", ("28 days",), (0.9,))])
        messages = (Message("system", prompt.system), Message("user", prompt.text))
        await retrievals.put(str(number), Retrieved(basis, 1))
        text = (
            await answers.complete(ModelRequest("default", messages, request_id=str(number), fresh=step.fresh))
        ).text
        told = standing.setdefault(text, _standing(step, catalog))
        assert told == _standing(step, catalog)
        assert not (step.fresh and given_out[text])
        given_out[text] += 1
    await router.close()


def _standing(asked: Asked, catalog: Catalog) -> object:
    """All that must be the same for two readers to get one answer, told apart from how the product tells it."""
    readable = sorted((each.id, each.content_hash) for each in catalog.readable(asked.user.scopes()))
    everything = sorted((each.id, each.content_hash, tuple(sorted(each.access))) for each in catalog.snapshot()[1])
    narrowed = (frozenset(asked.filters.documents), frozenset(asked.filters.groups))
    return (frozenset(asked.user.groups), readable, everything, narrowed, normalised(asked.text))


def _document(number: int, access: tuple[str, ...]) -> Document:
    return Document(f"d{number}", "Leave", f"upload://{number}.md", "text/markdown", f"hash-{number}", 1, access)


def _change(catalog: Catalog, change: Changed) -> None:
    document = _document(change.document, change.access)
    if not change.access:
        catalog.remove(document.id)
    elif change.document == 2:
        catalog.put(replace(document, content_hash=f"hash-of-{len(change.access)}"))
    else:
        catalog.set_access(document.id, change.access)


class _OfCatalog:
    """A live generation, of which only what it is called is looked at here."""

    def __init__(self, catalog: Catalog) -> None:
        self.live = Generation("g1", catalog, WordEmbedding("words", 8), "chunks-1")  # type: ignore[arg-type]
