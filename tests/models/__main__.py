"""Runs the model server until it is stopped."""

from __future__ import annotations

import argparse

from aiohttp import web

from tests.models.server import ModelServer


def main() -> None:
    """Serve on `--host` and `--port`, with at most `--parallel` requests to a model at once."""
    parser = argparse.ArgumentParser(prog="python -m tests.models", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=11434)
    parser.add_argument("--parallel", type=int, help="requests that a model runs at once, as OLLAMA_NUM_PARALLEL")
    arguments = parser.parse_args()
    app = ModelServer(arguments.parallel).app()
    web.run_app(app, host=arguments.host, port=arguments.port, access_log=None, handler_cancellation=True)


if __name__ == "__main__":
    main()
