"""`ollama`: `serve` runs tests/models; `show` and `pull` ask a server by the vendor's own client.

What is pulled lies in the folder of the vendor, so that a volume there is used as the vendor's is.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import ollama
from aiohttp import web
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from tests.models.pull import Fault, Library
from tests.models.server import ModelServer

PORT = 11434
PULLED = Path("/root/.ollama/pulled")


class _Variables(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="OLLAMA_")

    num_parallel: int | None = None
    pull_fault: Fault | None = Field(default=None, validation_alias="STAND_IN_PULL_FAULT")
    """What goes wrong with every pull, as in `offline`; the vendor's knows no such variable."""


def main() -> int:
    """Run one command; its exit code comes back."""
    parser = argparse.ArgumentParser(prog="ollama", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve")
    for name in ("show", "pull"):
        commands.add_parser(name).add_argument("model")
    arguments = parser.parse_args()
    if arguments.command == "serve":
        variables = _Variables()
        library = Library(file=PULLED, fault=variables.pull_fault)
        app = ModelServer(variables.num_parallel, library=library).app()
        web.run_app(app, host="0.0.0.0", port=PORT, access_log=None, handler_cancellation=True)  # noqa: S104
        return 0
    try:
        _ask(ollama.Client(f"http://127.0.0.1:{PORT}"), arguments)
    except (ollama.ResponseError, ConnectionError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


def _ask(client: ollama.Client, arguments: argparse.Namespace) -> None:
    if arguments.command == "show":
        print(client.show(arguments.model))
    else:
        for step in client.pull(arguments.model, stream=True):
            print(step.status)


if __name__ == "__main__":
    sys.exit(main())
