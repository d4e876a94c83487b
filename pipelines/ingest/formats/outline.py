"""Headings in reading order in, the path of headings above each block out."""

from __future__ import annotations

MAX_HEADING = 150
"""Characters of a heading in a path: every chunk under it carries it, and a paragraph styled as a heading is long."""


class Outline:
    """Where in a document's headings the reading stands."""

    def __init__(self) -> None:
        self._open: list[tuple[int, str]] = []

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(text for _, text in self._open)

    def enter(self, level: int, heading: str) -> None:
        """Begin a section under `heading`; the lower the level, the further out."""
        self._open = [entry for entry in self._open if entry[0] < level]
        self._open.append((level, heading if len(heading) <= MAX_HEADING else heading[: MAX_HEADING - 1] + "…"))
