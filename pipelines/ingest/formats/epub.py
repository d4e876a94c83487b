"""EPUB in, its chapters in the order of the book out, read as the HTML they are."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import unquote

from lxml import etree

from pipelines.domain import Block, ParsedDocument
from pipelines.errors import EncryptedDocument, UnreadableDocument
from pipelines.ingest.formats import html
from pipelines.ingest.formats.archive import Archive
from pipelines.ingest.formats.clean import clean_line
from pipelines.ingest.formats.xml_tree import local_name, parse_xml

WHAT = "EPUB"
CONTAINER = "META-INF/container.xml"

_CHAPTER_TYPES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")


def parse(data: bytes) -> ParsedDocument:
    """A chapter's title is its outermost section. Pages are not counted: they depend on the reader's screen.

    Raises:
        UnreadableDocument: the book is broken.
        EncryptedDocument: its chapters are protected against copying.
        DocumentTooLarge: it unpacks to too much.
    """
    archive = Archive(data, WHAT)
    package_name = _package_name(archive)
    package = parse_xml(archive.read(package_name), WHAT)
    chapters = list(_chapters(package, posixpath.dirname(package_name)))
    if _encrypted(archive).intersection(chapters):
        raise EncryptedDocument("The EPUB is protected against copying and cannot be read.")
    title = clean_line(next((element.text or "" for element in package.iter() if local_name(element) == "title"), ""))
    blocks = [block for name in chapters for block in _chapter(archive.find(name), title)]
    return ParsedDocument(tuple(blocks), title=title)


def _package_name(archive: Archive) -> str:
    for element in parse_xml(archive.read(CONTAINER), WHAT).iter():
        if local_name(element) == "rootfile":
            return str(element.get("full-path", ""))
    raise UnreadableDocument("The EPUB is broken and cannot be read: it does not say where its contents are.")


def _chapters(package: etree._Element, folder: str) -> Iterator[str]:
    """The names of the chapters' members, each once, in reading order, without the table of contents."""
    items = {element.get("id"): element for element in package.iter() if local_name(element) == "item"}
    references = [element.get("idref") for element in package.iter() if local_name(element) == "itemref"]
    for reference in dict.fromkeys(references):
        item = items.get(reference)
        if item is None or "nav" in item.get("properties", "").split():
            continue
        if item.get("media-type") in _CHAPTER_TYPES:
            yield posixpath.normpath(posixpath.join(folder, unquote(item.get("href", ""))))


def _encrypted(archive: Archive) -> set[str]:
    """The members that are encrypted; in a book that can be read, those are fonts at most."""
    listed = archive.find("META-INF/encryption.xml")
    if not listed:
        return set()
    references = (element for element in parse_xml(listed, WHAT).iter() if local_name(element) == "CipherReference")
    return {posixpath.normpath(unquote(element.get("URI", ""))) for element in references}


def _chapter(data: bytes, book: str) -> list[Block]:
    try:
        parsed = html.parse(data)
    except UnreadableDocument:
        # A cover that is only a picture, or a chapter that is listed and missing.
        return []
    if not parsed.title or parsed.title == book:
        return list(parsed.blocks)
    return [
        block if block.section[:1] == (parsed.title,) else replace(block, section=(parsed.title, *block.section))
        for block in parsed.blocks
    ]
