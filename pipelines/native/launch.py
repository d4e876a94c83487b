"""Becomes one part of the stack: a file with its command and environment goes in, the running part comes out.

The process manager starts `python launch.py FILE`. So the part gets exactly the environment it was meant to have,
secrets stay out of the process manager's configuration (whose quoting cannot carry JSON), and a changed setting
needs only a rewritten file and a restart. Standard library only: it runs before every part.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def main() -> None:
    """Replace this process by the part described in the file named on the command line."""
    launch = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    os.umask(0o077)
    os.chdir(launch["folder"])
    os.execve(launch["command"][0], launch["command"], launch["environment"])  # noqa: S606 - no shell is meant


if __name__ == "__main__":
    main()
