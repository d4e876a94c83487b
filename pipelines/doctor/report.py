"""Findings as people and programs read them: findings go in, lines or JSON come out, without any secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import SecretStr
from rich.console import Console
from rich.text import Text

from pipelines.doctor.finding import Finding, State
from pipelines.settings import Settings

HIDDEN = "***"
WIDEST = 44
"""A part with a longer name moves only its own line to the right."""
_SHORTEST = 4
"""A secret that is shorter is part of many words."""
_ACCOUNT = re.compile(r"(?<=://)[^/@\s]+(?=@)")

_MARKS: dict[State, tuple[str, str]] = {
    "ok": ("✓", "green"),
    "warning": ("!", "yellow"),
    "failed": ("✗", "red"),
    "skipped": ("-", "dim"),
}


def show(findings: Sequence[Finding], console: Console) -> None:
    """Print a line for each finding, and what is to be done about it on the lines below."""
    looked_at = [finding for finding in findings if finding.state != "skipped"]
    width = min(max((len(finding.part) for finding in looked_at), default=0), WIDEST)
    for finding in looked_at:
        mark, style = _MARKS[finding.state]
        took = f" ({finding.took_ms:.0f} ms)" if finding.took_ms >= 1 else ""
        line = Text.assemble((mark, style), f" {finding.part:<{width}}  {finding.seen}", (took, "dim"))
        console.print(line, soft_wrap=True)
        first, *more = finding.todo.splitlines() or [""]
        if first:
            console.print(Text(f"{' ' * (width + 4)}→ {first}"), soft_wrap=True)
        for pasted in more:
            console.print(Text(pasted), soft_wrap=True)
    for why, parts in _by_reason(findings).items():
        mark, style = _MARKS["skipped"]
        console.print(Text.assemble((mark, style), f" {', '.join(parts)}: not looked at ({why})"), soft_wrap=True)
    console.print(Text(_summary(findings)), soft_wrap=True)


def as_json(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """The findings as JSON; times in whole milliseconds."""
    return [asdict(finding) | {"took_ms": round(finding.took_ms)} for finding in findings]


def without_secrets(findings: Iterable[Finding], settings: Settings) -> list[Finding]:
    """The same findings with every secret of the settings, and every account in an address, hidden.

    No check says one; but what a server answers is shown, and that may repeat what it was sent.
    """
    hide = hider(settings)
    return [
        replace(finding, part=hide(finding.part), seen=hide(finding.seen), todo=hide(finding.todo))
        for finding in findings
    ]


def hider(settings: Settings) -> Callable[[str], str]:
    """Replaces in a text every secret of the settings, and every account in an address."""
    secrets = sorted(_secrets(settings), key=len, reverse=True)

    def hide(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, HIDDEN)
        return _ACCOUNT.sub(HIDDEN, text)

    return hide


def _secrets(settings: Settings) -> set[str]:
    values = [getattr(settings, name) for name in type(settings).model_fields]
    plain = {value.get_secret_value() for value in values if isinstance(value, SecretStr)}
    passwords = {unquote(urlsplit(value).password or "") for value in plain if "://" in value}
    return {secret for secret in plain | passwords if len(secret) >= _SHORTEST}


def _by_reason(findings: Sequence[Finding]) -> dict[str, list[str]]:
    """What was not looked at, by why: a stack that does not run is one line, and not one for each part of it."""
    found: dict[str, list[str]] = {}
    for finding in findings:
        if finding.state == "skipped":
            found.setdefault(finding.seen, []).append(finding.part)
    return found


def _summary(findings: Sequence[Finding]) -> str:
    counts = {state: sum(finding.state == state for finding in findings) for state in _MARKS}
    said = [
        f"{counts['ok']} fine",
        f"{counts['warning']} to look at" if counts["warning"] else "",
        f"{counts['failed']} failed" if counts["failed"] else "",
    ]
    return ", ".join(part for part in said if part)
