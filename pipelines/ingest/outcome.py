"""What came of a document, as a sentence for the person who put it in."""

from __future__ import annotations

from itertools import groupby

from pipelines.domain import DocumentRecord

MAX_RANGES = 12
"""A list of pages longer than that is cut."""


def outcome(record: DocumentRecord) -> str:
    """One sentence, or two where pages could not be read; ends with a full stop."""
    if record.state == "failed":
        return _sentence(record.problem) or f"{record.name} could not be read."
    if record.state != "ready":
        return f"{record.name} is kept and still being read; it can be asked about as soon as that is done."
    extent = [_count(record.pages, "page"), _count(record.chunks, "passage")]
    ready = f"{record.name} is ready: {', '.join(filter(None, extent))}."
    return f"{ready} {_unread(record)}" if record.unread_pages else ready


def _unread(record: DocumentRecord) -> str:
    numbers = page_ranges(record.unread_pages)
    which = f"Page {numbers}" if len(record.unread_pages) == 1 else f"Pages {numbers}"
    why = _sentence(record.problem)
    return f"{which} could not be read: {why}" if why else f"{which} could not be read."


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
