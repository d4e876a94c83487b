"""Runs the model server until it is stopped."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

from aiohttp import web

from tests.models.pull import Fault, Library
from tests.models.server import ModelServer


def main() -> None:
    """Serve on `--host` and `--port`, with at most `--parallel` requests to a model at once."""
    parser = argparse.ArgumentParser(prog="python -m tests.models", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=11434)
    parser.add_argument("--parallel", type=int, help="requests that a model runs at once, as OLLAMA_NUM_PARALLEL")
    parser.add_argument("--empty", action="store_true", help="have no model but those that were fetched")
    parser.add_argument("--models-file", type=Path, help="keeps the names of what was fetched")
    parser.add_argument("--pull-fault", choices=get_args(Fault), help="what goes wrong with every fetching")
    parser.add_argument("--pull-step-s", type=float, default=0.0, help="the pause between two lines of a fetching")
    arguments = parser.parse_args()
    library = Library(
        empty=arguments.empty,
        file=arguments.models_file,
        fault=arguments.pull_fault,
        step_s=arguments.pull_step_s,
    )
    app = ModelServer(arguments.parallel, library=library).app()
    web.run_app(app, host=arguments.host, port=arguments.port, access_log=None, handler_cancellation=True)


if __name__ == "__main__":
    main()
