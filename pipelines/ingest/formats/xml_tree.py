"""XML of unknown origin in, its tree out: nothing is fetched, and no entity is expanded."""

from __future__ import annotations

from lxml import etree

from pipelines.errors import UnreadableDocument
from pipelines.ingest.formats.archive import Archive
from pipelines.ingest.formats.broken import refuse_broken
from pipelines.ingest.formats.clean import clean_line

_TITLE = "{http://purl.org/dc/elements/1.1/}title"


def parse_xml(data: bytes, what: str) -> etree._Element:
    """The root of `data`, a part of a `what`. Nesting is bounded by libxml2, at 256.

    Raises:
        UnreadableDocument: it is not well-formed, or declares entities.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    with refuse_broken(what):
        root = etree.fromstring(data, parser)
    refuse_entities(root, what)
    return root


def refuse_entities(root: etree._Element, what: str) -> None:
    """Raise `UnreadableDocument` where a document declares entities: no office program writes any, attacks do."""
    dtd = root.getroottree().docinfo.internalDTD
    if dtd is not None and any(True for _ in dtd.iterentities()):
        raise UnreadableDocument(f"The {what} declares XML entities, which no such file needs, and is not read.")


def local_name(element: etree._Element) -> str:
    """The tag without its namespace; empty for comments and processing instructions."""
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def core_title(archive: Archive, what: str) -> str:
    """The title among an Office file's properties, which may be anything: read only if it is well-formed."""
    properties = archive.find("docProps/core.xml")
    try:
        return clean_line(parse_xml(properties, what).findtext(_TITLE) or "") if properties else ""
    except UnreadableDocument:
        return ""
