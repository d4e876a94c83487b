"""`make bench`: what each part of the answer path costs, side by side in one run against the same mock model.

Three ways to the same 50 tokens: the model alone, gateway + n8n, and all through Open WebUI; at 1, 8 and 50 readers.
The ways take turns in several rounds, so that a noisy moment of the machine meets all of them; medians are shown.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from tests.bench.load import Measured, Target, load
from tests.stack import FAST, HANDBOOK, MODEL, Stack, running_stack

QUESTION = "How much is paid for a complete week of on-call duty?"
LADDER = {1: 20, 8: 64, 50: 200}
"""Readers at once, and how many answers they ask for together."""

WARM_UP = 250
_NUMBERS = count(1)

console = Console(width=110)


def main() -> None:
    """Start a stack of its own, measure, print, stop."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # PostgreSQL may run as another user
        with running_stack(Path(folder) / "stack", first_port=24000) as stack:
            stack.add([path for path in sorted(HANDBOOK.iterdir()) if path.is_file()])
            with stack.reader("bench") as reader:
                targets = _targets(stack, reader.token)
            asyncio.run(_warm_up(targets))
            results = [
                asyncio.run(load(target, readers=readers, answers=answers))
                for _ in range(arguments.rounds)
                for readers, answers in LADDER.items()
                for target in targets
            ]
            _print(results, targets)
            _print_memory(stack)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def _targets(stack: Stack, token: str) -> list[Target]:
    assert stack.settings.client_api_key is not None
    key = stack.settings.client_api_key.get_secret_value()

    def asking(model: str) -> Callable[[int], dict[str, Any]]:
        # Each question is another one, by a word that changes nothing: the same twice would be answered once.
        def body(_: int) -> dict[str, Any]:
            content = f"{QUESTION} {next(_NUMBERS)}"
            return {"model": model, "messages": [{"role": "user", "content": content}], "stream": True}

        return body

    return [
        Target(
            name="model alone",
            url=f"{stack.models.url}/api/chat",
            body=asking(FAST),
            headers={},
            first_token=lambda line: b'"content":"' in line and b'"content":""' not in line,
            last=lambda line: b'"done":true' in line,
        ),
        Target(
            name="gateway + n8n",
            url=f"{stack.settings.pipelines_url}/v1/chat/completions",
            body=asking(MODEL),
            headers={"Authorization": f"Bearer {key}"},
            first_token=_has_text,
            last=_is_done,
        ),
        Target(
            name="through Open WebUI",
            url=f"{stack.settings.open_webui_url}/api/chat/completions",
            body=asking(MODEL),
            headers={"Authorization": f"Bearer {token}"},
            first_token=_has_text,
            last=_is_done,
        ),
    ]


def _has_text(line: bytes) -> bool:
    return b'"delta":{"content":"' in line


def _is_done(line: bytes) -> bool:
    return line.startswith(b"data: [DONE]")


async def _warm_up(targets: Sequence[Target]) -> None:
    # n8n's code is compiled while it runs: the first few hundred answers take a quarter longer.
    for target in targets:
        await load(target, readers=50, answers=WARM_UP)


@dataclass(frozen=True, slots=True)
class _Row:
    target: str
    readers: int
    ttft_p50: float
    ttft_p95: float
    rate: float
    spread: float
    answers: int
    failures: int
    reasons: tuple[str, ...]


def _row(results: Sequence[Measured], target: str, readers: int) -> _Row:
    runs = [result for result in results if (result.target, result.readers) == (target, readers)]
    rates = [run.rate for run in runs]
    return _Row(
        target=target,
        readers=readers,
        ttft_p50=median(run.ttft_p50 for run in runs),
        ttft_p95=median(run.ttft_p95 for run in runs),
        rate=median(rates),
        spread=(max(rates) - min(rates)) / median(rates),
        answers=sum(run.answers for run in runs),
        failures=sum(run.failures for run in runs),
        reasons=tuple(reason for run in runs for reason in run.reasons),
    )


def _print(results: Sequence[Measured], targets: Sequence[Target]) -> None:
    table = Table(title=f"50 tokens, 10 ms apart, 50 ms to the first ({FAST})", title_justify="left", box=None)
    for name in ("readers", "way", "first token p50", "p95", "added p50", "answers/s", "spread", "answers", "failed"):
        table.add_column(name, justify="left" if name == "way" else "right")
    for readers in LADDER:
        rows = [_row(results, target.name, readers) for target in targets]
        for row in rows:
            table.add_row(
                str(readers),
                row.target,
                f"{row.ttft_p50:.0f} ms",
                f"{row.ttft_p95:.0f} ms",
                f"{row.ttft_p50 - rows[0].ttft_p50:+.0f} ms",
                f"{row.rate:.1f}",
                f"{row.spread:.0%}",
                str(row.answers),
                str(row.failures),
            )
            for reason in row.reasons[:2]:
                console.print(f"[red]{row.target}, {readers} readers: {reason}[/red]")
    console.print(table)


def _print_memory(stack: Stack) -> None:
    table = Table(title="Resident memory after the load", title_justify="left", box=None)
    table.add_column("part")
    table.add_column("MB", justify="right")
    parts = [stack.part(name) for name in ("postgres", "pipelines", "n8n", "open-webui")]
    for part in parts:
        table.add_row(part.name, f"{part.rss_bytes / 2**20:.0f}")
    table.add_row("all", f"{sum(part.rss_bytes for part in parts) / 2**20:.0f}")
    console.print()
    console.print(table)
    machine = f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GB; {time.strftime('%Y-%m-%d')}"
    console.print(f"\nMeasured on {machine}; the load generator and the mock model share the machine.")


if __name__ == "__main__":
    main()
