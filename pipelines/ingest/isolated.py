"""What happens inside a reading process: a function and its arguments in, an `Outcome` that can always be sent out.

Imported by every such process when it starts: keep it light.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

from pipelines.errors import RaglineError

NICENESS = 10
"""Answers come first: documents are read with what they leave of the processor."""
WORN_SHARE = 0.25
"""A process that holds on to more than this share of its memory after a document is ended: the next needs room."""

_PR_SET_PDEATHSIG = 1
"""<linux/prctl.h>"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended. `result` is pickled; exactly one of `result`, `error` and `problem` says something.

    `problem` is the type of an exception that is not ours and `trace` where it was raised; neither holds text of the
    document. A process that is `worn` should read nothing more.
    """

    result: bytes = b""
    error: RaglineError | None = None
    problem: str = ""
    trace: str = ""
    worn: bool = False


def begin(parent: int) -> None:
    """Make this process one that gives way, prints nothing, can be stopped at once and ends with process `parent`."""
    # Not os.nice(), which would add to what the thread that started this process may have been given.
    os.setpriority(os.PRIO_PROCESS, 0, max(NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
    # What a parser prints must not end up in the output of a command.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # Pebble 5.2 handles SIGTERM in Python, which code in C does not let happen; it would then wait three seconds.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # A core dump would be a copy of the document.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    _end_with(parent)


def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], memory: int) -> Outcome:
    """Run `function` within `memory` bytes beyond what this process had mapped before its first document.

    Raises:
        MemoryError: it needed more.
    """
    base = _limit_memory(memory)
    outcome = _attempt(function, args, kwargs)
    return replace(outcome, worn=base > 0 and _mapped() > base + WORN_SHARE * memory)


def _attempt(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Outcome:
    try:
        return Outcome(result=pickle.dumps(function(*args, **kwargs), protocol=5))
    except RaglineError as error:
        return Outcome(error=error)
    except MemoryError:
        raise
    # The boundary of one document: whatever its parser raises is about this document and ends here. BaseException,
    # because a panic of a parser written in Rust is one, and so is sys.exit().
    except BaseException as error:  # noqa: BLE001
        return Outcome(problem=type(error).__name__, trace="".join(traceback.format_tb(error.__traceback__)))


_base: int | None = None
"""The address space in bytes that this process had mapped when its memory was limited; 0 where it cannot be."""


def _limit_memory(memory: int) -> int:
    # Not when the process begins: by now it has imported the parsers, whose libraries map a lot that they never use.
    global _base
    if _base is None:
        _base = _mapped() if sys.platform == "linux" else 0
        if _base:
            resource.setrlimit(resource.RLIMIT_AS, (_base + memory, resource.getrlimit(resource.RLIMIT_AS)[1]))
    return _base


def _mapped() -> int:
    pages = int(Path("/proc/self/statm").read_text("ascii").split(maxsplit=1)[0])
    return pages * resource.getpagesize()


def _end_with(parent: int) -> None:
    if sys.platform == "linux":
        # Holds even while a parser computes in C and no thread of Python gets to run.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    else:
        threading.Thread(target=_watch_parent, daemon=True).start()


def _watch_parent() -> None:
    parent = parent_process()
    if parent is not None:
        # Returns when the pipe of the parent is closed, which every end of it does.
        parent.join()
    os._exit(1)
