"""Functions that behave as parsers may; a reading process imports this module and nothing of pytest."""

from __future__ import annotations

import os
import re
import signal
import sys
import time

from pipelines.errors import Busy, EncryptedDocument


def double(number: int, *, plus: int = 0) -> int:
    return 2 * number + plus


def process_id() -> int:
    return os.getpid()


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def compute_in_c() -> None:
    """Holds the interpreter's lock for days."""
    re.match(r"(a+)+$", "a" * 64 + "b")


def allocate(megabytes: int) -> int:
    return len(b"x" * megabytes * 2**20)


def keep(megabytes: int) -> int:
    _KEPT.append(b"x" * megabytes * 2**20)
    return os.getpid()


def reject() -> None:
    raise EncryptedDocument("The PDF is protected by a password.")


def say_when() -> None:
    raise Busy("Later.", retry_after=2.5)


def fail(secret: str) -> None:
    raise ValueError(f"cannot parse {secret}")


def recurse(depth: int = 0) -> int:
    return recurse(depth + 1) + 1


def give_up() -> None:
    sys.exit(0)


def give_a_closure() -> object:
    return lambda: None


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def abort() -> None:
    os.abort()


def leave() -> None:
    os._exit(7)


def print_much() -> None:
    print("to Python's stdout", flush=True)
    os.write(1, b"to the descriptor\n")


def surroundings() -> tuple[int, bool]:
    return os.getpriority(os.PRIO_PROCESS, 0), signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def modules() -> frozenset[str]:
    return frozenset(sys.modules)


_KEPT: list[bytes] = []
