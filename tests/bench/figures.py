"""Keeps what a benchmark measured: its figures and bars in, a JSON file and one line about it out."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from tests.bench.ingest_bars import Bar


def write_figures(file: Path, seconds: float, bars: Sequence[Bar], runs: Mapping[str, Sequence[Any]]) -> str:
    """Write everything into `file`, with the machine it was measured on."""
    file.parent.mkdir(parents=True, exist_ok=True)
    machine = f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GB; {time.strftime('%Y-%m-%d')}"
    missed = [bar.about for bar in bars if not bar.met]
    content = {"machine": machine, "seconds": seconds, "missed": missed, "runs": runs}
    file.write_text(json.dumps(content, indent=1), "utf-8")
    return f"\nMeasured in {seconds:.0f} s on {machine}. All figures: {file}"
