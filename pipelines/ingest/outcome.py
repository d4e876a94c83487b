"""What came of a document, as a sentence for the person who put it in."""

from __future__ import annotations

from itertools import groupby

from pipelines.domain import DocumentRecord

MAX_RANGES = 12
"""A list of pages longer than that is cut."""


def outcome(record: DocumentRecord) -> str:
    """What to tell: that it is ready, how much of it, and what is not; or why it failed. Whole sentences."""
    if record.state == "failed":
        return _failed(record)
    if record.state != "ready":
        return f"{record.name} is kept and still being read; it can be asked about as soon as that is done."
    extent = ", ".join(filter(None, (_count(record.pages, "page"), _count(record.chunks, "passage"))))
    return " ".join(filter(None, (f"{record.name} is ready: {extent}.", _unread(record), _unreadable_by_all(record))))


def _failed(record: DocumentRecord) -> str:
    why = _sentence(record.problem)
    if not why:
        return f"{record.name} could not be read."
    return why if record.name in why else f"{record.name}: {why}"


def _unread(record: DocumentRecord) -> str:
    if not record.unread_pages:
        return ""
    which = f"Page{'' if len(record.unread_pages) == 1 else 's'} {page_ranges(record.unread_pages)}"
    why = _sentence(record.problem)
    return f"{which} could not be read: {why}" if why else f"{which} could not be read."


def _unreadable_by_all(record: DocumentRecord) -> str:
    if record.access:
        return ""
    groups = " or ".join(record.grant.groups)
    return f"Nobody may read it yet: there is no group {groups}." if groups else "Nobody may read it yet."


def page_ranges(pages: tuple[int, ...]) -> str:
    """`(3, 7, 8, 9)` is "3 and 7-9"."""
    ordered = enumerate(sorted(set(pages)))
    runs = [[page for _, page in run] for _, run in groupby(ordered, key=lambda pair: pair[1] - pair[0])]
    ranges = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    if len(ranges) > MAX_RANGES:
        return f"{', '.join(ranges[:MAX_RANGES])} and more"
    return " and ".join(filter(None, (", ".join(ranges[:-1]), ranges[-1])))


def _count(number: int | None, what: str) -> str:
    return "" if number is None else f"{number} {what}{'' if number == 1 else 's'}"


def _sentence(text: str) -> str:
    text = text.strip()
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."
