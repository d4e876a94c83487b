"""One module a format, each `parse(bytes) -> ParsedDocument`, and how a document's format is recognised.

The bytes decide where they can (`signature.py`), the file name or the declared media type otherwise. A new format is
one module and one row of `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipelines.domain import ParsedDocument
from pipelines.errors import UnsupportedFormat
from pipelines.ingest.formats import (
    csv_table,
    docx,
    epub,
    html,
    image,
    mail,
    markdown,
    ods,
    odt,
    pdf,
    pptx,
    rtf,
    signature,
    spreadsheet,
    text,
)


@dataclass(frozen=True, slots=True)
class Format:
    """A format that can be read. The first media type is its proper one; browsers send the others too."""

    name: str
    media_types: tuple[str, ...]
    suffixes: tuple[str, ...]
    parse: Callable[[bytes], ParsedDocument]
    render: Callable[[bytes, int], bytes] | None = None
    """A page, counted from 1, as PNG; None where pages have no look."""

    @property
    def media_type(self) -> str:
        return self.media_types[0]


PDF = Format("PDF", (signature.PDF,), (".pdf",), pdf.parse, pdf.render)
DOCX = Format("Word (.docx)", (signature.DOCX,), (".docx", ".docm", ".dotx"), docx.parse)
PPTX = Format("PowerPoint (.pptx)", (signature.PPTX,), (".pptx", ".pptm", ".ppsx", ".potx"), pptx.parse)
XLSX = Format("Excel (.xlsx, .xlsb, .xls)", (signature.XLSX,), (".xlsx", ".xlsm", ".xltx"), spreadsheet.parse)
XLSB = Format("Excel (.xlsx, .xlsb, .xls)", (signature.XLSB,), (".xlsb",), spreadsheet.parse)
XLS = Format("Excel (.xlsx, .xlsb, .xls)", (signature.XLS,), (".xls",), spreadsheet.parse)
CSV = Format("CSV", ("text/csv", "application/csv"), (".csv",), csv_table.parse)
TSV = Format("CSV", ("text/tab-separated-values",), (".tsv", ".tab"), csv_table.parse)
ODT = Format("OpenDocument (.odt, .odp, .ods)", (signature.ODT,), (".odt",), odt.parse)
ODP = Format("OpenDocument (.odt, .odp, .ods)", (signature.ODP,), (".odp",), odt.parse)
ODS = Format("OpenDocument (.odt, .odp, .ods)", (signature.ODS,), (".ods",), ods.parse)
RTF = Format("RTF", (signature.RTF, "text/rtf"), (".rtf",), rtf.parse)
EPUB = Format("EPUB", (signature.EPUB,), (".epub",), epub.parse)
EML = Format("mail (.eml, .msg)", ("message/rfc822",), (".eml",), mail.parse)
MSG = Format("mail (.eml, .msg)", (signature.MSG,), (".msg",), mail.parse)
HTML = Format("HTML", ("text/html", "application/xhtml+xml"), (".html", ".htm", ".xhtml"), html.parse)
MARKDOWN = Format("Markdown", ("text/markdown", "text/x-markdown"), (".md", ".markdown"), markdown.parse)
TEXT = Format("text", ("text/plain",), (".txt", ".text", ".log"), text.parse)
_IMAGE = "image (.png, .jpg, .tiff, .webp, .gif, .bmp)"
PNG = Format(_IMAGE, (image.PNG,), (".png",), image.parse, image.render)
JPEG = Format(_IMAGE, (image.JPEG, "image/jpg"), (".jpg", ".jpeg", ".jpe"), image.parse, image.render)
TIFF = Format(_IMAGE, (image.TIFF,), (".tif", ".tiff"), image.parse, image.render)
WEBP = Format(_IMAGE, (image.WEBP,), (".webp",), image.parse, image.render)
GIF = Format(_IMAGE, (image.GIF,), (".gif",), image.parse, image.render)
BMP = Format(_IMAGE, (image.BMP, "image/x-ms-bmp"), (".bmp",), image.parse, image.render)
FORMATS = (
    *(PDF, DOCX, PPTX, XLSX, XLSB, XLS, CSV, TSV, ODT, ODP, ODS),
    *(RTF, EPUB, EML, MSG, HTML, MARKDOWN, TEXT),
    *(PNG, JPEG, TIFF, WEBP, GIF, BMP),
)


def recognise(name: str, data: bytes, *, media_type: str = "") -> Format:
    """The format of `data`, which came under the file name `name` and perhaps with a declared media type.

    Raises:
        UnsupportedFormat: none of `FORMATS`.
        EncryptedDocument: an Office file with a password.
    """
    shown = signature.media_type_of(name, data) or image.media_type_of(data)
    if shown:
        return by_media_type(shown)
    suffix = PurePosixPath(name).suffix.lower()
    declared = media_type.partition(";")[0].strip().lower()
    for candidate in FORMATS:
        if suffix in candidate.suffixes:
            return candidate
    for candidate in FORMATS:
        if declared in candidate.media_types:
            return candidate
    if signature.looks_like_html(data):
        return HTML
    readable = ", ".join(dict.fromkeys(candidate.name for candidate in FORMATS))
    raise UnsupportedFormat(f"{name} is of a format that cannot be read. Supported are {readable}.")


def by_media_type(media_type: str) -> Format:
    """The format that `recognise` found earlier; raises `UnsupportedFormat` for any other media type."""
    for candidate in FORMATS:
        if media_type == candidate.media_type:
            return candidate
    raise UnsupportedFormat(f"Documents of type {media_type} cannot be read.")
