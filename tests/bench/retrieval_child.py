"""The measured process of the retrieval benchmark: a plan on stdin, what was measured or the port served on stdout."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict

from tests.bench.child import read_plan
from tests.bench.retrieval_embeddings import serve_embeddings
from tests.bench.retrieval_index import build_index
from tests.bench.retrieval_memory import measure_memory
from tests.bench.retrieval_results import Built, Footprint, Plan
from tests.bench.retrieval_serve import serve_index, serve_reports

REPORTS: dict[str, Callable[[Plan], Built | Footprint]] = {"build": build_index, "memory": measure_memory}

SERVERS: dict[str, Callable[[Plan], None]] = {
    "serve": serve_index,
    "reports": serve_reports,
    "embeddings": serve_embeddings,
}


def main() -> None:
    plan = Plan(**read_plan())
    if plan.task in SERVERS:
        SERVERS[plan.task](plan)
    else:
        print(json.dumps(asdict(REPORTS[plan.task](plan))), flush=True)


if __name__ == "__main__":
    main()
