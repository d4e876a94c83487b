"""A mail, whatever it was stored as: what its two formats are read into."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file or a mail that came with a mail. `data` is None where it lies elsewhere, on a server for instance."""

    name: str
    media_type: str
    data: bytes | Mail | None
    is_decoration: bool = False
    """Whether it is a picture that the text shows: a logo, most often."""


@dataclass(frozen=True, slots=True)
class Mail:
    """`headers` are lines to read: "From: …". The body is `text`, or `html` where there is no plain text."""

    subject: str
    headers: tuple[str, ...]
    text: str
    html: bytes
    attachments: tuple[Attachment, ...]


def is_shown(content_id: str, media_type: str, html: bytes) -> bool:
    """Whether the attachment with this Content-ID is a picture that the text in `html` shows."""
    name = content_id.strip().strip("<>").encode()
    return media_type.startswith("image/") and bool(name) and b"cid:" + name in html
