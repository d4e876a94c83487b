"""The measured process of the retrieval benchmark: a plan on stdin, what was measured or the port served on stdout."""

from __future__ import annotations

import json
from dataclasses import asdict

from tests.bench.child import read_plan
from tests.bench.retrieval_index import build_index
from tests.bench.retrieval_results import Plan
from tests.bench.retrieval_serve import serve_index


def main() -> None:
    plan = Plan(**read_plan())
    if plan.task == "serve":
        serve_index(plan)
    else:
        print(json.dumps(asdict(build_index(plan))), flush=True)


if __name__ == "__main__":
    main()
