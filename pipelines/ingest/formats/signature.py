"""A document's bytes in, its media type out, where they show it whatever the document is called."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from pipelines.errors import DocumentRejected, EncryptedDocument, UnsupportedFormat
from pipelines.ingest.formats import ole, rtf
from pipelines.ingest.formats.archive import Archive

PDF = "application/pdf"
RTF = "application/rtf"
MSG = "application/vnd.ms-outlook"
XLS = "application/vnd.ms-excel"
XLSB = "application/vnd.ms-excel.sheet.binary.macroenabled.12"
DOCX, XLSX, PPTX = (
    f"application/vnd.openxmlformats-officedocument.{part}"
    for part in ("wordprocessingml.document", "spreadsheetml.sheet", "presentationml.presentation")
)
EPUB = "application/epub+zip"
ODT, ODS, ODP = (f"application/vnd.oasis.opendocument.{part}" for part in ("text", "spreadsheet", "presentation"))

ZIP_MAGIC = b"PK\x03\x04"
PDF_WITHIN = 1024
"""The PDF standard lets a header begin anywhere in the first so many bytes."""

# The type of the main part, which an Office file declares; files embedded in it are declared without ".main".
_MAIN_PARTS = (
    (re.compile(rb"(?:wordprocessingml|ms-word)\.[\w.]+\.main\+xml", re.IGNORECASE), DOCX),
    (re.compile(rb"(?:presentationml|ms-powerpoint)\.[\w.]+\.main\+xml", re.IGNORECASE), PPTX),
    (re.compile(rb"ms-excel\.sheet\.binary\.macroEnabled\.main", re.IGNORECASE), XLSB),
    (re.compile(rb"(?:spreadsheetml|ms-excel)\.[\w.]+\.main\+xml", re.IGNORECASE), XLSX),
)
_NAMED = (EPUB, ODT, ODS, ODP)
_OLD = {"WordDocument": ".docx", "PowerPoint Document": ".pptx"}


def media_type_of(name: str, data: bytes) -> str:
    """The media type that the bytes show; empty where they do not. `name` is for what is said of the document.

    Raises:
        UnsupportedFormat: an old Office file that is not read.
        EncryptedDocument: an Office file with a password.
    """
    if data.startswith(ZIP_MAGIC):
        return _in_zip(data)
    if data.startswith(ole.MAGIC):
        return _in_ole(name, data)
    if data[:PDF_WITHIN].lstrip().startswith(rtf.MAGIC):
        return RTF
    return PDF if b"%PDF-" in data[:PDF_WITHIN] else ""


def looks_like_html(data: bytes) -> bool:
    start = data[:PDF_WITHIN].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return start.startswith((b"<!doctype html", b"<html"))


def _in_zip(data: bytes) -> str:
    try:
        archive = Archive(data, "archive")
        named = archive.find("mimetype").decode("ascii", errors="replace").strip()
        types = archive.find("[Content_Types].xml")
    except DocumentRejected:
        # What is wrong with it is said when it is read as what it is called.
        return ""
    if named in _NAMED:
        return named
    return next((media_type for pattern, media_type in _MAIN_PARTS if pattern.search(types)), "")


def _in_ole(name: str, data: bytes) -> str:
    if "EncryptedPackage".encode("utf-16-le") in data:
        raise EncryptedDocument(f"{name} is protected by a password: save it without one and add it again.")
    try:
        streams = ole.stream_names(data)
    except DocumentRejected:
        streams = frozenset()
    old = next((better for stream, better in _OLD.items() if stream in streams), "")
    if not old and "__properties_version1.0" in streams:
        return MSG
    if not old and streams & {"Workbook", "Book"}:
        return XLS
    suffix = PurePosixPath(name).suffix.lower()
    if not old and not streams and suffix in (".msg", ".xls"):
        return MSG if suffix == ".msg" else XLS
    better = old or (".pptx" if suffix == ".ppt" else ".docx")
    raise UnsupportedFormat(f"{name} is an old Office file: save it as {better} or PDF and add it again.")
