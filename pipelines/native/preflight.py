"""Whether this machine can run the stack: each thing that is wrong is one sentence that says what to do."""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Iterable

import psutil

from pipelines.errors import SetupFailed
from pipelines.native.disk import GIGABYTE, require_space
from pipelines.native.layout import Layout
from pipelines.native.parts import Part, Port
from pipelines.native.processes import holder_of

INSTALL_BYTES = 6 * GIGABYTE
RUN_BYTES = 3 * GIGABYTE // 10
MEMORY_BYTES = 3 * GIGABYTE // 2
COMPILERS = ("c++", "g++", "clang++")


def check_machine(layout: Layout, *, installing: bool) -> None:
    """Check the system, the state folder, the disk and, when something has to be installed, what that takes.

    Raises:
        SetupFailed: the first thing that is wrong.
    """
    if sys.platform not in ("linux", "darwin"):
        raise SetupFailed("The native run needs Linux or macOS: on Windows use WSL, or docker compose.")
    if set("%;#") & set(str(layout.state)):
        # characters with a meaning in supervisord's configuration, which it expands twice
        raise SetupFailed(f"The path {layout.state} has a %, ; or # in it: set STATE_DIR to one without.")
    require_space(layout.state, INSTALL_BYTES if installing else RUN_BYTES)


def check_compiler() -> None:
    """Check for what n8n's database driver is built with; raises SetupFailed when it is missing."""
    if not any(shutil.which(compiler) for compiler in COMPILERS) or not shutil.which("make"):
        raise SetupFailed(
            "n8n needs a C++ compiler and make once, while it is installed: install them "
            "(Debian and Ubuntu: apt install g++ make; macOS: xcode-select --install) and run it again."
        )


def check_memory() -> None:
    """Check that the parts fit into memory before any of them runs; raises SetupFailed when they do not."""
    free = psutil.virtual_memory().available + psutil.swap_memory().free
    if free < MEMORY_BYTES:
        raise SetupFailed(
            f"The stack takes about {MEMORY_BYTES / GIGABYTE:.1f} GB of memory and {free / GIGABYTE:.1f} GB are free: "
            "close something first."
        )


def check_ports(parts: Iterable[Part]) -> None:
    """Check that the ports of parts that do not run yet are free; raises SetupFailed naming who holds one."""
    taken_by: dict[int, str] = {}
    for port in (port for part in parts for port in part.ports):
        if port.number in taken_by:
            raise SetupFailed(f"{taken_by[port.number]} and {port.setting} are both {port.number}: change one in .env.")
        taken_by[port.number] = port.setting
        _check_free(port)


def _check_free(port: Port) -> None:
    with socket.socket() as probe:
        # as servers do: a port whose last connection has only just ended is free
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port.number))
        except PermissionError as error:
            raise SetupFailed(
                f"Port {port.number} needs root's rights: set {port.setting} in .env to one above 1023."
            ) from error
        except OSError as error:
            holder = holder_of(port.number)
            raise SetupFailed(
                f"Port {port.number} is taken{f' by {holder}' if holder else ''}: "
                f"stop it, or set {port.setting} in .env to a free port."
            ) from error
