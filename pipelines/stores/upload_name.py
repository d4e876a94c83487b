"""The origin of an upload goes in, the names under which it is kept come out, whatever its user called it."""

from __future__ import annotations

import re
import uuid
from pathlib import PurePosixPath

from pipelines.errors import InvalidRequest

_MAX_BYTES = 140
"""File systems take 255, those that encrypt names less."""
_MAX_SUFFIX = 20
# U+FFFD too, which has a meaning in origins.
_UNSAFE = re.compile("[\\x00-\\x1f\\x7f/\\\\:\ufffd]")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def upload_id(origin: str) -> str:
    """The id of the document of this origin. Raises `InvalidRequest` when the origin is no text."""
    try:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, origin))
    except UnicodeEncodeError as error:
        raise InvalidRequest("The name of this document holds half a character: give it another name.") from error


def is_upload_id(name: str) -> bool:
    """Whether a folder of this name holds an upload."""
    try:
        return str(uuid.UUID(name)) == name
    except ValueError:
        return False


def upload_name(origin: str) -> str:
    """The file name of an upload: its own, shortened and made harmless, with the suffix it had.

    To change what this returns loses the uploads that are kept already.
    """
    name = _UNSAFE.sub("_", PurePosixPath(origin).name)
    if not name or name.startswith(".") or _RESERVED.fullmatch(name):
        name = f"_{name}"
    suffix = PurePosixPath(name).suffix
    if len(suffix.encode()) > _MAX_SUFFIX:
        suffix = ""
    stem = name.removesuffix(suffix).encode()[: _MAX_BYTES - len(suffix.encode())]
    return stem.decode(errors="ignore") + suffix
