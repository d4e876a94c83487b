"""Measures `POST /retrieve` over HTTP: a running server in, rounds of questions out.

A round asks by one client, then by many, then both again of HTTP with nothing behind it (which is what asking costs
by itself), and at last lets the server do the same work without HTTP. No question is asked twice.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from statistics import median
from subprocess import Popen
from typing import Any

import orjson

from pipelines.domain import Question
from tests.bench.child import BrokenRun, running_child
from tests.bench.retrieval_corpus import CHUNKS_EACH, Language, access_of, document_id
from tests.bench.retrieval_load import Target, ask_all
from tests.bench.retrieval_results import Alone, Plan, Round

CHILD = "tests.bench.retrieval_child"
MANY = 16
WARM_UP, ONE, OF_MANY, ALONE = 50, 400, 800, 200
"""Questions: before anything counts, by one client, by many, and without HTTP."""


@contextmanager
def running_server(plan: Plan) -> Iterator[int]:
    """The port of a server with the planned index."""
    with running_child(CHILD, asdict(plan)) as process:
        yield int(read_ready(process, f"the server with {plan.chunks:,} chunks")["port"])


def read_ready(process: Popen[str], about: str) -> dict[str, Any]:
    """What a server says once it can be asked; raises `BrokenRun` when it ends instead."""
    assert process.stdout
    said = process.stdout.readline()
    if not said:
        raise BrokenRun(f"{about} did not start; its log is above.")
    ready: dict[str, Any] = json.loads(said)
    return ready


def measure_latency(plan: Plan, rounds: int) -> list[Round]:
    """So many rounds against a server of their own."""
    language = Language()
    questions = iter(language.questions(0, WARM_UP + rounds * (ONE + OF_MANY + ALONE)))
    with running_server(plan) as port:
        readers = _Readers(port, _access(plan.chunks))
        asyncio.run(readers.warm_up(list(islice(questions, WARM_UP))))
        return [asyncio.run(readers.round(list(islice(questions, ONE + OF_MANY + ALONE)))) for _ in range(rounds)]


@dataclass(frozen=True, slots=True)
class _Readers:
    """Who asks. `access` tells the scopes that may read each document."""

    port: int
    access: dict[str, tuple[str, ...]]

    async def warm_up(self, questions: Sequence[Question]) -> None:
        await ask_all(Target("", self.port, "/retrieve"), [body_of(question) for question in questions], clients=MANY)

    async def round(self, questions: Sequence[Question]) -> Round:
        retrieve = Target("/retrieve", self.port, "/retrieve")
        bodies = [body_of(question) for question in questions]
        one, answers = await ask_all(retrieve, bodies[:ONE], clients=1)
        many, more = await ask_all(retrieve, bodies[ONE : ONE + OF_MANY], clients=MANY)
        size = int(median(map(len, answers)))
        nothing = Target("HTTP alone", self.port, f"/nothing?bytes={size}")
        http_one, _ = await ask_all(nothing, bodies[:ONE], clients=1)
        http_many, _ = await ask_all(nothing, bodies[ONE : ONE + OF_MANY], clients=MANY)
        alone = Target("alone", self.port, "/alone")
        _, (parts,) = await ask_all(alone, [b"[" + b",".join(bodies[ONE + OF_MANY :]) + b"]"], clients=1)
        passages, foreign = self._count(questions, [*answers, *more])
        stages = _stages(answers)
        return Round(one, many, http_one, http_many, Alone(**json.loads(parts)), stages, passages, foreign)

    def _count(self, questions: Sequence[Question], answers: Sequence[bytes]) -> tuple[int, int]:
        """The passages in all answers, and those of them that the reader may not read."""
        passages = foreign = 0
        for question, answer in zip(questions, answers, strict=False):
            held = set(question.user.scopes())
            found = orjson.loads(answer)["passages"] if answer else []
            passages += len(found)
            foreign += sum(not held.intersection(self.access[passage["document_id"]]) for passage in found)
        return passages, foreign


def body_of(question: Question) -> bytes:
    """What the workflow posts."""
    user = {"id": question.user.id, "groups": list(question.user.groups)}
    return orjson.dumps({"question": question.text, "user": user})


def _access(chunks: int) -> dict[str, tuple[str, ...]]:
    return {document_id(number): access_of(number) for number in range(-(-chunks // CHUNKS_EACH))}


def _stages(answers: Sequence[bytes]) -> dict[str, list[float]]:
    """The server's own figures for each question, by the name of the stage."""
    stages: defaultdict[str, list[float]] = defaultdict(list)
    for answer in filter(None, answers):
        timings: dict[str, Any] = orjson.loads(answer)["timings"]
        for name, value in timings.items():
            stages[name].append(value)
    return dict(stages)
