from __future__ import annotations

import time

import pytest

from pipelines.domain import Block
from pipelines.errors import UnreadableDocument
from pipelines.ingest.formats import rtf

HEAD = rb"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fcharset0 Arial;}}{\info{\title Caf\'e9}}\f0 "


def test_paragraphs_and_tables_are_read() -> None:
    table = rb"\trowd\intbl City\cell Limit\cell\row\trowd\intbl Berlin\cell 180\cell\row\pard "
    parsed = rtf.parse(HEAD + rb"Gr\'fc\'dfe\par " + table + rb"\u8364?5 {\b bold}\par}")
    assert parsed.title == "Café"
    assert parsed.blocks == (
        Block("Grüße"),
        Block("Berlin | 180", "table", header="City | Limit"),
        Block("€5 bold"),
    )


def test_a_link_is_read_as_its_text() -> None:
    link = rb'see {\field{\*\fldinst{HYPERLINK "http://example.com"}}{\fldrslt{the site}}} now\par}'
    assert rtf.parse(HEAD + link).blocks == (Block("see the site now"),)


def test_hostile_links_take_no_time() -> None:
    began = time.monotonic()
    rtf.parse(HEAD + rb'{\field{\*\fldinst{HYPERLINK "' * 5000)
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("data", [b"", b"text", b"{\\rt"])
def test_what_is_no_rtf_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableDocument):
        rtf.parse(data)
