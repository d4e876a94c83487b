"""A killed process loses what its ledger had not written yet: about the last second, and nothing else."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.settings import inherited_environment
from pipelines.stores.ledger import Ledger

LOST_S = 2.0
"""It writes once a second, and a machine that is busy takes its time over it."""


@pytest.mark.parametrize("lives_s", [0.4, 2.3, 3.1])
def test_a_killed_process_loses_the_last_seconds_calls_at_most_and_counts_none_twice(
    registry_url: str, lives_s: float
) -> None:
    recorded = _killed_after(lives_s, registry_url)
    with_certainty = sum(1 for at in recorded if at < recorded[-1] - LOST_S)

    ledger = Ledger(registry_url)
    written = dict(ledger.sums("user", dt.date(2026, 1, 1))).get("u1")
    ledger.close()

    calls = written.calls if written else 0
    # One more may have been recorded than the process came to say.
    assert with_certainty <= calls <= len(recorded) + 1
    if written:
        assert (written.prompt_tokens, written.completion_tokens) == (100 * calls, 10 * calls)
        assert float(written.cost_usd) == pytest.approx(0.001 * calls)


def _killed_after(lives_s: float, url: str) -> list[float]:
    """When each call was recorded, by a process that was killed so many seconds after its first."""
    command = [sys.executable, "-m", "tests.crash.ledger_child", url]
    folder = Path(__file__).parents[2]
    process = subprocess.Popen(
        command, cwd=folder, env=inherited_environment(), stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdout
    with process.stdout as told:
        first = told.readline()
        time.sleep(lives_s)
        process.kill()
        lines = [first, *told.read().splitlines(keepends=True)]
    process.wait()
    return [float(line.split()[1]) for line in lines if line.endswith("\n")]
