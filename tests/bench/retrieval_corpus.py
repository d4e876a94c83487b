"""Makes what retrieval is measured with: a number of chunks in, documents with chunks, vectors and readers out.

The text is English sentences put together from the handbook's pairs of words, with words of a made vocabulary that is
used as unevenly as a language is (Zipf): BM25 meets frequent and rare words. The sentences of a topic lie near each
other, and a document keeps to its topic. A chunk's vector is the mean of its sentences' real vectors with some noise:
embedding half a million chunks would take two hours. Nothing is random: the same arguments give the same corpus.
"""

from __future__ import annotations

import hashlib
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import accumulate
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipelines.domain import (
    EVERYONE,
    Chunk,
    Document,
    DocumentFacts,
    IndexedDocument,
    Question,
    User,
    group_scope,
    user_scope,
)
from pipelines.providers.base import EmbeddingProvider
from tests.bench.make_pdfs import Words

CHUNKS_EACH = 50
"""Chunks of one document."""
SENTENCES, TOPICS, OF_TOPIC = 6_000, 100, 120
CHUNK_SENTENCES, ON_TOPIC = 10, 7
RARE_WORDS = 6
"""Drawn from the whole vocabulary for each chunk: names, terms and numbers that few chunks share."""
VOCABULARY = 60_000
NOISE = 0.35
"""Length of the noise beside a vector of length one."""

GROUPS, USERS, GROUPS_EACH = 50, 500, 3
FOR_EVERYONE, FOR_A_GROUP = 0.2, 0.7
"""The first fifth of the documents is open to everyone, the next half to one group each, the rest to one user each:
a reader with three groups may read 23 % of them."""

KINDS = ("Quarterly Report", "Annual Report", "Policy", "Contract", "Data Sheet", "Minutes", "Manual", "Offer")
ONSETS, VOWELS, CODAS = (
    ["b", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "z", "br", "st", "tr"],
    ["a", "e", "i", "o", "u", "ea", "ou"],
    ["l", "n", "r", "s", "t", "x"],
)
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://ragline.invalid/bench")


@dataclass(frozen=True, slots=True)
class MadeDocument:
    """One document of the corpus, ready to be staged; `vectors` has the shape (chunks, dimensions)."""

    indexed: IndexedDocument
    chunks: list[Chunk]
    vectors: npt.NDArray[np.float32]


class Language:
    """The sentences that all documents and questions are made of."""

    def __init__(self) -> None:
        self._words = _vocabulary(random.Random("vocabulary"), VOCABULARY)
        self._uneven = list(accumulate(1 / (rank + 50) for rank in range(VOCABULARY)))
        self.sentences = self._make_sentences()

    def questions(self, first: int, wanted: int) -> list[Question]:
        """Questions from the `first`-th on, each another one, by readers who hold a few groups; a third name a document
        of the smallest corpus by its title."""
        return [self._question(number) for number in range(first, first + wanted)]

    def rare(self, rng: random.Random, wanted: int) -> list[str]:
        """Words of the vocabulary, most of them seldom."""
        return rng.choices(self._words, cum_weights=self._uneven, k=wanted)

    def _question(self, number: int) -> Question:
        rng = random.Random(f"question {number}")
        words = rng.choice(self.sentences).split()
        start = rng.randrange(max(len(words) - 8, 1))
        about = " ".join([*words[start : start + rng.randint(4, 8)], *self.rare(rng, 1)]).rstrip(".,;:")
        named = f" in the {_facts(rng.randrange(200))[0]}" if rng.random() < 1 / 3 else ""
        form = rng.choice(("What is said about {}{}?", "How is it with {}{}?", "Where do I find {}{}?", "{}{}"))
        return Question(text=form.format(about, named), user=reader(number))

    def _make_sentences(self) -> list[str]:
        words, rng = Words("retrieval"), random.Random("sentences")
        made: dict[str, None] = {}
        while len(made) < SENTENCES:
            sentence = words.sentence().split()
            for place in rng.sample(range(len(sentence)), len(sentence) // 10):
                sentence[place] = self.rare(rng, 1)[0]
            made[" ".join(sentence)] = None
        return list(made)


class Corpus:
    """Documents of one language; embedding its sentences is done once and kept in `folder`."""

    def __init__(self, language: Language, embedding: EmbeddingProvider, folder: Path) -> None:
        self._language = language
        self._vectors = _embedded(language.sentences, embedding, folder)
        self._topics = _topics(self._vectors)

    def documents(self, chunks: int) -> Iterator[MadeDocument]:
        """Documents of `CHUNKS_EACH` chunks until there are `chunks`; those of a smaller corpus come first."""
        for number, start in enumerate(range(0, chunks, CHUNKS_EACH)):
            yield self._document(number, min(CHUNKS_EACH, chunks - start))

    def _document(self, number: int, size: int) -> MadeDocument:
        rng = random.Random(f"document {number}")
        title, facts = _facts(number)
        document = Document(
            id=document_id(number),
            title=title,
            origin=f"file:///bench/{number // 100:03}/{number:05}-{title.lower().replace(' ', '-')}.pdf",
            media_type="application/pdf",
            content_hash=hashlib.sha256(title.encode()).hexdigest(),
            size=200_000,
            access=access_of(number),
            facts=facts,
        )
        topic = self._topics[rng.randrange(TOPICS)]
        drawn = [
            rng.choices(topic, k=ON_TOPIC) + rng.choices(range(SENTENCES), k=CHUNK_SENTENCES - ON_TOPIC)
            for _ in range(size)
        ]
        chunks = [self._chunk(document, ordinal, sentences, rng) for ordinal, sentences in enumerate(drawn)]
        indexed = IndexedDocument(document, size, size // 3 + 1, "2025-01-01T00:00:00+00:00")
        return MadeDocument(indexed, chunks, self._mixed(drawn, number))

    def _chunk(self, document: Document, ordinal: int, sentences: list[int], rng: random.Random) -> Chunk:
        numbered = f"{' '.join(self._language.rare(rng, RARE_WORDS))} {rng.randrange(10**6):,}.{rng.randrange(100):02}."
        heading = " ".join(self._language.sentences[sentences[0]].split()[:4]).rstrip(".,;:")
        return Chunk(
            id=str(uuid.uuid5(NAMESPACE, f"{document.id} {ordinal}")),
            document_id=document.id,
            ordinal=ordinal,
            text=" ".join([*(self._language.sentences[sentence] for sentence in sentences), numbered]),
            title=document.title,
            section=(f"{ordinal // 10 + 1} {heading}", f"{ordinal // 10 + 1}.{ordinal % 10 + 1}"),
            page=ordinal // 3 + 1,
            about=f"{document.facts.names[0]} · {document.facts.periods[0]}",
        )

    def _mixed(self, drawn: list[list[int]], seed: int) -> npt.NDArray[np.float32]:
        mean = _normalised(self._vectors[np.array(drawn)].mean(axis=1))
        noise = np.random.default_rng(seed).standard_normal(mean.shape, dtype=np.float32)
        return _normalised(mean + NOISE / np.sqrt(np.float32(mean.shape[1])) * noise)


def document_id(number: int) -> str:
    return str(uuid.uuid5(NAMESPACE, f"document {number}"))


def access_of(number: int) -> tuple[str, ...]:
    """The scopes of a document."""
    rng = random.Random(f"access {number}")
    kind = rng.random()
    if kind < FOR_EVERYONE:
        return (EVERYONE,)
    if kind < FOR_A_GROUP:
        return (group_scope(f"group-{rng.randrange(GROUPS):02}"),)
    return (user_scope(f"user-{rng.randrange(USERS):03}"),)


def reader(number: int) -> User:
    """One of the users, always with the same groups."""
    name = f"user-{number % USERS:03}"
    groups = random.Random(name).sample(range(GROUPS), GROUPS_EACH)
    return User(id=name, groups=tuple(f"group-{group:02}" for group in groups))


def _facts(number: int) -> tuple[str, DocumentFacts]:
    """The title of a document, which no other has, and what it is about."""
    rng = random.Random(f"facts {number % 200}")
    company = f"{_word(rng)}{_word(rng)}".title()
    kind = KINDS[number // 200 % len(KINDS)]
    quarter, since = number % 4 + 1, 2015 + number // (200 * len(KINDS))
    last = date(since, 3 * quarter, 30)
    facts = DocumentFacts((company,), (kind,), (f"{since}-Q{quarter}", str(since)), last.isoformat())
    return f"{company} {kind} Q{quarter} {since}", facts


def _vocabulary(rng: random.Random, size: int) -> list[str]:
    words: dict[str, None] = {}
    while len(words) < size:
        words["".join(_word(rng) for _ in range(rng.choice((1, 2, 2, 3))))] = None
    return list(words)


def _word(rng: random.Random) -> str:
    return f"{rng.choice(ONSETS)}{rng.choice(VOWELS)}{rng.choice(CODAS)}"


def _topics(vectors: npt.NDArray[np.float32]) -> list[list[int]]:
    """For each topic the sentences nearest to the one it began with."""
    centres = np.random.default_rng(1).choice(len(vectors), TOPICS, replace=False)
    near = np.argsort(vectors[centres] @ vectors.T, axis=1)[:, -OF_TOPIC:]
    return [row.tolist() for row in near]


def _embedded(sentences: list[str], embedding: EmbeddingProvider, folder: Path) -> npt.NDArray[np.float32]:
    digest = hashlib.sha256("\n".join((embedding.name, *sentences)).encode()).hexdigest()[:12]
    kept = folder / f"sentences-{digest}.npy"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        vectors = embedding.embed(sentences, input_type="document")
        np.save(kept, vectors)
    loaded: npt.NDArray[np.float32] = np.load(kept)
    return loaded


def _normalised(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    lengths: npt.NDArray[np.float32] = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / lengths
