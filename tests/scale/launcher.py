"""Starts `ragline` in forks of a process that has everything imported: `python -m tests.scale.launcher`.

Each line on stdin is one to start, and its process id comes out. What is killed is a process of its own; what is spared
are seconds of imports for each of its lives.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict, dataclass

import onnxruntime  # type: ignore[import-untyped]  # noqa: F401  imported before the fork, as all of these are
import tokenizers  # noqa: F401

from pipelines import app, bootstrap, serve, worker  # noqa: F401
from pipelines.cli import main as ragline
from pipelines.stores import generation_server  # noqa: F401


@dataclass(frozen=True, slots=True)
class Life:
    """One process: `ragline <command>` in `folder`, with these settings; what it says is added to `log`."""

    command: str
    folder: str
    environment: dict[str, str]
    log: str

    def line(self) -> str:
        return json.dumps(asdict(self)) + "\n"


def live(life: Life) -> None:
    """Become that process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(life.folder)
    # What a command started by name is given; a fork has the environment of its parent.
    os.environ.clear()  # noqa: TID251
    os.environ.update(life.environment)  # noqa: TID251
    log = os.open(life.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, of in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, of)
    sys.argv = ["ragline", life.command]
    ragline()


def main() -> None:
    # Whoever ends is gone at once, and not a zombie until somebody asks.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            live(Life(**json.loads(line)))
            os._exit(0)
        print(child, flush=True)


if __name__ == "__main__":
    main()
