"""What was seen of one part: a part's name and what it answered go in, a finding with the one thing to do comes out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from pipelines.errors import RaglineError
from pipelines.settings import Settings

State = Literal["ok", "warning", "failed", "skipped"]

_ADVICE = re.compile(
    r"(?:; |: (?=(?:set|allow|use|check|install|start|give|create|upgrade|name|change|restore|delete|put|run|stop)\b))"
)
"""Where our errors, one sentence each, go over from what is wrong to what to do."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One part. `todo` is the one thing to do, with what is to be pasted on the lines below; times in milliseconds."""

    part: str
    state: State
    seen: str
    todo: str = ""
    took_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Check:
    """Looks at one part; all parts that begin with the same word are one group, as `ragline doctor <group>` takes it.

    `look` yields findings and may raise `RaglineError`, which becomes one. `wanted` says whether the settings have
    that part at all. Where one of `needs` failed, it is not looked at. `limit_s` bounds all of it.
    """

    part: str
    look: Callable[[Settings], Iterator[Finding]]
    wanted: Callable[[Settings], bool] = lambda _: True
    needs: tuple[str, ...] = ()
    limit_s: float = 12.0

    @property
    def group(self) -> str:
        return self.part.partition(" ")[0]


def ok(part: str, seen: str) -> Finding:
    return Finding(part, "ok", seen)


def warning(part: str, seen: str, todo: str = "") -> Finding:
    return Finding(part, "warning", seen, todo)


def failed(part: str, seen: str, todo: str) -> Finding:
    return Finding(part, "failed", seen, todo)


def skipped(part: str, why: str) -> Finding:
    return Finding(part, "skipped", why)


def refused(part: str, error: RaglineError, otherwise: str = "look at the logs") -> Finding:
    """What an error of ours says, in two parts: what is wrong, and what to do; `otherwise`, where it does not say."""
    seen, advice = divided(error.message)
    return failed(part, seen, advice or otherwise)


def divided(message: str) -> tuple[str, str]:
    """A sentence of ours, at the place where it goes over to what to do; all of it is both where there is none."""
    places = list(_ADVICE.finditer(message))
    if not places:
        return message, ""
    return message[: places[-1].start()], message[places[-1].end() :].rstrip(".")
