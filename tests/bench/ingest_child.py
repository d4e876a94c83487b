"""The measured process: `python -m tests.bench.ingest_child`, a plan on stdin and what was measured on stdout.

One process a scenario, so that its peak of memory is its own. It ends when its stdin does: a benchmark that is
interrupted leaves nothing behind.
"""

from __future__ import annotations

import json
from dataclasses import asdict

# A reading process imports the main module of the one that starts it, which in the product is the command.
import pipelines.cli  # noqa: F401
from tests.bench.child import read_plan
from tests.bench.ingest_results import Plan


def main() -> None:
    from tests.bench.ingest_scenarios import SCENARIOS  # late: a reading process has no use for it

    plan = Plan(**read_plan())
    print(json.dumps(asdict(SCENARIOS[plan.scenario](plan))), flush=True)


if __name__ == "__main__":
    main()
