"""`make bench-compose`: what the stack in containers takes: memory, processor, disk, time to the first cited answer.

Two profiles, docker-compose.yml alone and with compose/minimal.yml, each at rest and with 8 readers who ask different
questions through Open WebUI for a minute. The model server is a mock, and n8n, Open WebUI and PostgreSQL are the real
programs in stand-in images. The exit code is 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from rich.console import Console

from pipelines.errors import SetupFailed
from tests.bench.compose_results import Profile, Service
from tests.bench.compose_tables import LLAMA_1B, of_answers, of_disk, of_services
from tests.bench.figures import write_figures
from tests.bench.ingest_bars import Bar, at_most, exactly
from tests.bench.ingest_tables import of_bars
from tests.bench.load import Measured, Target, load
from tests.compose.cgroups import Counted, counted
from tests.compose.conftest import first_cited_answer
from tests.compose.containers import Container
from tests.compose.deployment import ONE_SHOTS, PIPELINES_IMAGE, Deployment, deployed
from tests.compose.docker import docker
from tests.compose.inside import Inside
from tests.stack import MODEL

WRITES = "mock-ttft1000-itl29-len100"
READERS = 8
SETTLE_S = 20.0
FIRST_ANSWER_S = 120.0
MINIMAL_MB = 6 * 1024.0
QUESTIONS = (
    "How much is paid for a complete week of on-call duty?",
    "What may a hotel in Berlin cost?",
    "How many days of annual leave are there?",
    "Who has to be told about a visitor?",
    "How long does parental leave take at most?",
    "What is done in an emergency?",
    "How much is there for training in a year?",
    "May work be done from another country?",
)
_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}

console = Console(width=130)


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured."""

    arrivals: int
    rest_s: float
    rounds: int
    """So often as many answers as the model gives at once; one takes it 3.9 seconds."""


WHOLE = Extent(arrivals=3, rest_s=60, rounds=16)
QUICK = Extent(arrivals=1, rest_s=5, rounds=3)


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to start the stack."""

    name: str
    overlays: tuple[str, ...]
    at_once: int
    """How many answers the model gives at the same time; further readers wait."""


KINDS = (Kind("docker-compose.yml", (), READERS), Kind("with compose/minimal.yml", ("minimal",), 1))


def main() -> None:
    """Start each profile, measure, print, remove it."""
    arguments = _arguments()
    extent = QUICK if arguments.quick else WHOLE
    started = time.perf_counter()
    profiles = [_profile(kind, extent) for kind in KINDS]
    for profile in profiles:
        console.print(of_services(profile))
        console.print(of_disk(profile))
        console.print(of_answers(profile))
        console.print()
    console.print(LLAMA_1B)
    bars = _bars(profiles)
    console.print(of_bars(bars))
    rows = {profile.name: [asdict(profile)] for profile in profiles}
    file = arguments.state_dir / "bench" / "compose.json"
    console.print(write_figures(file, time.perf_counter() - started, bars, rows))
    sys.exit(0 if all(bar.met for bar in bars) else 1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.compose_sizes", description=__doc__)
    parser.add_argument("--state-dir", type=Path, default=Path(".ragline"))
    parser.add_argument("--quick", action="store_true", help="once and shortly, to see that it works")
    return parser.parse_args()


def _profile(kind: Kind, extent: Extent) -> Profile:
    arrivals: list[tuple[float, float]] = []
    while True:
        with deployed(
            "ragline-bench",
            overlays=kind.overlays,
            OLLAMA_MODEL=WRITES,
            LLM_CHOICES="",
            OLLAMA_NUM_PARALLEL=str(kind.at_once),
        ) as stack:
            arrivals.append(_arrive(stack))
            if len(arrivals) == extent.arrivals:
                return _measured(kind, stack, extent, arrivals)


def _arrive(stack: Deployment) -> tuple[float, float]:
    began = time.monotonic()
    up_s = stack.up()
    heard = first_cited_answer(stack)
    if not heard.citations:
        raise SetupFailed(f"No cited answer came: {heard.error or heard.text}")
    return up_s, time.monotonic() - began


def _measured(kind: Kind, stack: Deployment, extent: Extent, arrivals: list[tuple[float, float]]) -> Profile:
    time.sleep(SETTLE_S if extent is WHOLE else 0)  # documents have been read; what follows them ends too
    staying = [one for one in stack.containers() if one.service not in ONE_SHOTS]
    before = _now(staying)
    time.sleep(extent.rest_s)
    rest = _now(staying)
    began = time.monotonic()
    with stack.admin() as admin, _watched(staying) as watch:
        inside = Inside(stack, admin, admin)
        earlier = inside.models()["completed"]
        measured = _ask(stack, admin.token, extent.rounds * kind.at_once)
        by_model = inside.models()["completed"] - earlier
    load_s, after = time.monotonic() - began, _now(staying)
    return Profile(
        name=kind.name,
        model=f"{WRITES}, {kind.at_once} at once",
        up_s=[up_s for up_s, _ in arrivals],
        answer_s=[answer_s for _, answer_s in arrivals],
        rest_s=extent.rest_s,
        load_s=load_s,
        measured=measured,
        by_model=by_model,
        services=[
            Service(
                name=one.service,
                limit_mb=one.limit_mb,
                rest=rest[one.name],
                rest_cpu_s=rest[one.name].cpu_s - before[one.name].cpu_s,
                load=after[one.name],
                load_cpu_s=after[one.name].cpu_s - rest[one.name].cpu_s,
                load_most_mb=watch.most_mb[one.name],
            )
            for one in staying
        ],
        volumes_mb=_volumes(stack.project),
        image_mb=json.loads(docker("image", "inspect", PIPELINES_IMAGE))[0]["Size"] / 10**6,
    )


def _now(containers: list[Container]) -> dict[str, Counted]:
    return {one.name: counted(one.pid) for one in containers}


@dataclass(slots=True)
class _Watch:
    most_mb: dict[str, float] = field(default_factory=dict)

    def look(self, containers: list[Container]) -> None:
        for name, now in _now(containers).items():
            self.most_mb[name] = max(self.most_mb.get(name, 0.0), now.working_mb)


@contextmanager
def _watched(containers: list[Container]) -> Iterator[_Watch]:
    """Look every second for as long as the block runs."""
    watch, enough = _Watch(), threading.Event()

    def look_on() -> None:
        while not enough.wait(1.0):
            watch.look(containers)

    watch.look(containers)
    thread = threading.Thread(target=look_on)
    thread.start()
    try:
        yield watch
    finally:
        enough.set()
        thread.join()


def _ask(stack: Deployment, token: str, answers: int) -> Measured:
    numbers = count(1)

    def body(number: int) -> dict[str, Any]:
        # the same question twice would be answered once
        content = f"{QUESTIONS[number % len(QUESTIONS)]} I ask for the {next(numbers)}th time."
        return {"model": MODEL, "messages": [{"role": "user", "content": content}], "stream": True}

    target = Target(
        name="through Open WebUI",
        url=f"{stack.open_webui_url}/api/chat/completions",
        body=body,
        headers={"Authorization": f"Bearer {token}"},
        first_token=lambda line: b'"delta":{"content":"' in line,
        last=lambda line: line.startswith(b"data: [DONE]"),
    )
    return asyncio.run(load(target, readers=READERS, answers=answers))


def _volumes(project: str) -> dict[str, float]:
    """What each volume of the project holds, in MB of 10^6 bytes."""
    listed = json.loads(docker("system", "df", "--verbose", "--format", "{{json .Volumes}}"))
    sizes = {volume["Name"]: volume["Size"] for volume in listed if volume["Name"].startswith(f"{project}_")}
    return {name.removeprefix(f"{project}_"): _bytes(size) / 10**6 for name, size in sizes.items()}


def _bytes(size: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(\w+)", size).groups()  # type: ignore[union-attr]
    return float(number) * _UNITS[unit]


def _bars(profiles: list[Profile]) -> list[Bar]:
    minimal = profiles[-1]
    return [
        *(at_most(f"first cited answer, {each.name}", each.first_answer_s, FIRST_ANSWER_S, "s") for each in profiles),
        at_most("all limits of the minimal profile", minimal.limits_mb, MINIMAL_MB, "MB"),
        *(at_most(f"killed for memory, {each.name}", float(each.oom_kills), 0.0, "") for each in profiles),
        *(exactly(f"answers of the model, {each.name}", each.by_model, each.measured.answers) for each in profiles),
        *(at_most(f"answers that failed, {each.name}", float(each.measured.failures), 0.0, "") for each in profiles),
    ]


if __name__ == "__main__":
    main()
