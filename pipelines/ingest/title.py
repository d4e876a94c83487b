"""What a document is called: by itself if that is a name, else by its file."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from pipelines.ingest.formats.clean import clean_line

MAX_TITLE = 150
"""Characters: the title goes into every chunk."""

# What programs write into the title field when nobody gave one.
_PROGRAM_TITLE = re.compile(
    r"untitled|unbenannt|document ?\d*|microsoft word - .*|slide \d+|.*\.[a-z]{2,5}", re.IGNORECASE
)


def choose_title(own: str, name: str) -> str:
    """`own`, what the document calls itself, if it is plausible; else the file name made readable."""
    title = clean_line(own)
    letters = sum(character.isalpha() for character in title)
    is_plausible = 2 < len(title) <= MAX_TITLE and 4 * letters >= len(title) and not _PROGRAM_TITLE.fullmatch(title)
    return title if is_plausible else title_from_name(name)


def title_from_name(name: str) -> str:
    """`travel_policy-2024.pdf` is called "travel policy 2024"."""
    stem = PurePosixPath(name).stem
    # A hyphen between digits belongs to a date or a number.
    words = re.sub(r"_+|(?<!\d)-+|-+(?!\d)", " ", stem)
    return (clean_line(words) or name)[:MAX_TITLE]
