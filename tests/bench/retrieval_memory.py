"""Measures what an index of a size takes: a built index in, memory, disk and the time of searches in it out.

Runs in a process of its own, so that nothing else is in its memory. Linux tells pages that hold the process's own data
(anonymous) from pages that mirror files: the second kind is given back as soon as another process needs the room.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from pipelines.answer.retrieve import Retriever
from pipelines.bootstrap_documents import load_configured_embedding
from tests.bench.retrieval_corpus import Language
from tests.bench.retrieval_index import bench_settings, build_index, open_index
from tests.bench.retrieval_results import Footprint, Plan, Resident
from tests.bench.retrieval_serve import measure_alone

WARM_UP, ASKED = 50, 300


def measure_memory(plan: Plan) -> Footprint:
    """Open the index, ask it questions as the product does, and say what that took."""
    settings = bench_settings(plan.state)
    folder = Path(build_index(plan).folder)
    embedding = load_configured_embedding(settings)
    questions = Language().questions(0, WARM_UP + ASKED)
    embedding.embed([question.text for question in questions[:WARM_UP]], input_type="question")
    before = resident()
    began = time.perf_counter()
    generations = open_index(folder, settings, embedding)
    open_s = time.perf_counter() - began
    opened = resident()
    retriever = Retriever(generations, limit=settings.retrieve_limit)
    asyncio.run(measure_alone(retriever, questions[:WARM_UP]))
    alone = asyncio.run(measure_alone(retriever, questions[WARM_UP:]))
    searched = resident()
    generations.close()
    return Footprint(plan.chunks, before, opened, searched, open_s, disk_mb(folder), alone.index_ms)


def resident() -> Resident:
    """What this process holds of the machine's memory now, and the most that it ever held."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text("utf-8").splitlines())
    return Resident(*(int(lines[name].split()[0]) / 1024 for name in ("RssAnon", "RssFile", "VmHWM")))


def disk_mb(folder: Path) -> float:
    """What the files take, not how long they say they are: the engine reserves some in advance."""
    return sum(file.stat().st_blocks * 512 for file in folder.rglob("*") if file.is_file()) / 2**20
