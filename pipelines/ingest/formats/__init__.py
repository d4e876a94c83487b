"""One module a format, each `parse(bytes) -> ParsedDocument`, and how a document's format is recognised.

The bytes decide where they can (PDF, DOCX), the file name or the declared media type otherwise. A new format is one
module and one row of `FORMATS`.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipelines.domain import ParsedDocument
from pipelines.errors import EncryptedDocument, UnsupportedFormat
from pipelines.ingest.formats import docx, html, markdown, pdf, text


@dataclass(frozen=True, slots=True)
class Format:
    """A format that can be read. The first media type is its proper one; browsers send the others too."""

    name: str
    media_types: tuple[str, ...]
    suffixes: tuple[str, ...]
    parse: Callable[[bytes], ParsedDocument]

    @property
    def media_type(self) -> str:
        return self.media_types[0]


PDF = Format("PDF", ("application/pdf",), (".pdf",), pdf.parse)
DOCX = Format(
    "Word (.docx)",
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document",),
    (".docx",),
    docx.parse,
)
HTML = Format("HTML", ("text/html", "application/xhtml+xml"), (".html", ".htm", ".xhtml"), html.parse)
MARKDOWN = Format("Markdown", ("text/markdown", "text/x-markdown"), (".md", ".markdown"), markdown.parse)
TEXT = Format("text", ("text/plain",), (".txt", ".text", ".log"), text.parse)
FORMATS = (PDF, DOCX, HTML, MARKDOWN, TEXT)

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""How the container of old Office files begins, and that of password-protected new ones."""


def recognise(name: str, data: bytes, *, media_type: str = "") -> Format:
    """The format of `data`, which came under the file name `name` and perhaps with a declared media type.

    Raises:
        UnsupportedFormat: none of `FORMATS`.
        EncryptedDocument: an Office file with a password.
    """
    by_bytes = _by_bytes(name, data)
    if by_bytes:
        return by_bytes
    suffix = PurePosixPath(name).suffix.lower()
    declared = media_type.partition(";")[0].strip().lower()
    for candidate in FORMATS:
        if suffix in candidate.suffixes:
            return candidate
    for candidate in FORMATS:
        if declared in candidate.media_types:
            return candidate
    readable = ", ".join(candidate.name for candidate in FORMATS)
    raise UnsupportedFormat(f"{name} is of a format that cannot be read. Supported are {readable}.")


def by_media_type(media_type: str) -> Format:
    """The format that `recognise` found earlier; raises `UnsupportedFormat` for any other media type."""
    for candidate in FORMATS:
        if media_type == candidate.media_type:
            return candidate
    raise UnsupportedFormat(f"Documents of type {media_type} cannot be read.")


def _by_bytes(name: str, data: bytes) -> Format | None:
    # The PDF standard lets a header begin anywhere in the first 1024 bytes.
    if b"%PDF-" in data[:1024]:
        return PDF
    if data.startswith(b"PK\x03\x04") and _is_docx(data):
        return DOCX
    if data.startswith(OLE):
        if "EncryptedPackage".encode("utf-16-le") in data:
            raise EncryptedDocument(f"{name} is protected by a password: save it without one and add it again.")
        raise UnsupportedFormat(f"{name} is an old Office file: save it as .docx or PDF and add it again.")
    return None


def _is_docx(data: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return "word/document.xml" in archive.namelist()
    except zipfile.BadZipFile:
        return False
