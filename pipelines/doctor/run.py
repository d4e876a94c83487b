"""Runs the checks side by side: checks and settings go in, what each found comes out, within half a minute in all."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from pipelines.doctor.aws_access import IDENTITY
from pipelines.doctor.checks import CHECKS
from pipelines.doctor.finding import Check, Finding, failed, refused, skipped
from pipelines.doctor.iam import remedy
from pipelines.doctor.report import without_secrets
from pipelines.doctor.settings_file import SETTINGS, look_at_settings
from pipelines.errors import InvalidRequest, RaglineError
from pipelines.settings import Settings

LIMIT_S = 30.0
"""For all checks together: what has not answered by then is not waited for."""


def examined(groups: Sequence[str]) -> list[Finding]:
    """Everything about this machine, or about these groups alone, without any secret; raises `InvalidRequest`."""
    settings, findings = look_at_settings()
    found = list(findings) if settings is None or not groups or SETTINGS in groups else []
    others = [group for group in groups if group != SETTINGS]
    if settings is None:
        return found
    if others or not groups:
        found += examine(settings, CHECKS, groups=others)
    return without_secrets(found, settings)


def examine(
    settings: Settings, checks: Sequence[Check], *, groups: Sequence[str] = (), limit_s: float = LIMIT_S
) -> list[Finding]:
    """What the checks of these groups find, of all where none is named, in the order of `checks`.

    Raises `InvalidRequest` for a group that there is none of, or that the settings do not have.
    """
    present = [check for check in checks if check.wanted(settings)]
    asked = _asked(present, groups)
    return asyncio.run(_examine(settings, _with_needs(present, asked), asked, limit_s))


def _asked(present: Sequence[Check], groups: Sequence[str]) -> list[Check]:
    known = list(dict.fromkeys(check.group for check in present))
    if unknown := [group for group in groups if group not in known]:
        raise InvalidRequest(f"Nothing here is called {unknown[0]!r}; choose from {', '.join(known)}.")
    return [check for check in present if not groups or check.group in groups]


def _with_needs(present: Sequence[Check], asked: Sequence[Check]) -> list[Check]:
    """These checks and those that they need, in turn."""
    by_part = {check.part: check for check in present}
    found = {check.part: check for check in asked}
    waiting = list(asked)
    while waiting:
        for need in waiting.pop().needs:
            if need in by_part and need not in found:
                found[need] = by_part[need]
                waiting.append(by_part[need])
    return list(found.values())


async def _examine(
    settings: Settings, checks: Sequence[Check], asked: Sequence[Check], limit_s: float
) -> list[Finding]:
    tasks: dict[str, asyncio.Task[list[Finding]]] = {}
    deadline = time.monotonic() + limit_s
    for check in checks:
        tasks[check.part] = asyncio.create_task(_look(settings, check, tasks, deadline))
    await asyncio.gather(*tasks.values())
    return [finding for check in asked for finding in tasks[check.part].result()]


async def _look(
    settings: Settings, check: Check, tasks: Mapping[str, asyncio.Task[list[Finding]]], deadline: float
) -> list[Finding]:
    await asyncio.sleep(0)  # until every task is made
    for need in check.needs:
        if need in tasks and (reason := _stopped_by(need, await tasks[need])):
            return [skipped(check.part, reason)]
    found: list[Finding] = []
    limit_s = max(0.0, min(check.limit_s, deadline - time.monotonic()))
    try:
        async with asyncio.timeout(limit_s):
            await _in_thread(lambda: _collect(settings, check, found))
    except TimeoutError:
        return [
            *found,
            failed(check.part, f"no answer within {limit_s:.2g} s", "see that it runs, and is not overloaded"),
        ]
    return found


def _stopped_by(part: str, findings: Sequence[Finding]) -> str:
    """Why those that need this part are not looked at: it failed, or what it needs itself did."""
    first = next((finding for finding in findings if finding.state in ("failed", "skipped")), None)
    if first is None:
        return ""
    return first.seen if first.state == "skipped" else f"needs {part}: {first.seen}"


def _collect(settings: Settings, check: Check, into: list[Finding]) -> None:
    began = time.perf_counter()

    def note(finding: Finding) -> None:
        nonlocal began
        now = time.perf_counter()
        into.append(replace(finding, took_ms=(now - began) * 1000))
        began = now

    try:
        for finding in check.look(settings):
            note(finding)
    except RaglineError as error:
        # A machine whose configuration of AWS is wrong is refused before anything is asked.
        note(refused(check.part, error, remedy(error, IDENTITY) or "look at the logs"))
    except Exception as error:  # noqa: BLE001  a check ends here: a mistake in one must not hide what the others found
        # Its text is not ours, and might say a secret.
        note(
            failed(check.part, f"could not be checked: {type(error).__name__}", "report this, with the part's version")
        )


async def _in_thread(work: Callable[[], None]) -> None:
    """Do `work` in a thread of its own, which neither a time limit nor the end of the process waits for."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def run() -> None:
        try:
            work()
        finally:
            with suppress(RuntimeError):  # nobody waits any more: the loop is closed
                loop.call_soon_threadsafe(done.set)

    threading.Thread(target=run, daemon=True, name="doctor").start()
    await done.wait()


def worst(findings: Iterable[Finding]) -> int:
    """The exit code: 1 when something failed."""
    return int(any(finding.state == "failed" for finding in findings))
