from __future__ import annotations

import codecs

import pytest

from pipelines.domain import Block
from pipelines.errors import UnreadableDocument
from pipelines.ingest.formats import text

UMLAUTS = "Größe der Räume"


@pytest.mark.parametrize(
    "data",
    [
        UMLAUTS.encode(),
        codecs.BOM_UTF8 + UMLAUTS.encode(),
        codecs.BOM_UTF16_LE + UMLAUTS.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + UMLAUTS.encode("utf-16-be"),
        UMLAUTS.encode("cp1252"),
    ],
    ids=["utf-8", "utf-8 with mark", "utf-16 little", "utf-16 big", "cp1252"],
)
def test_the_usual_encodings_are_read(data: bytes) -> None:
    assert text.parse(data).blocks == (Block(UMLAUTS),)


def test_binary_data_under_a_text_name_is_unreadable() -> None:
    with pytest.raises(UnreadableDocument, match="binary"):
        text.parse(b"\x00\x01\x02 text")


def test_empty_lines_part_paragraphs_whatever_the_line_ends() -> None:
    assert [block.text for block in text.parse(b"one\r\n\r\n  \r\ntwo\rtoo\r\r\rthree").blocks] == [
        "one",
        "two too",
        "three",
    ]


def test_lines_that_fill_the_width_are_joined_and_rows_are_kept() -> None:
    filled = ["the words of this line run on to the margin of the page and", "then they go on in the second line."]
    assert [block.text for block in text.parse("\n".join([*filled, "", "Oslo   3", "Rome   4"]).encode()).blocks] == [
        " ".join(filled),
        "Oslo 3\nRome 4",
    ]


def test_underlined_lines_and_lines_in_capitals_are_headings() -> None:
    parsed = text.parse(b"Handbook\n========\n\nintro.\n\nWHO TO CALL\nThe gate.\n\nHotels\n------\nlast.")
    assert parsed.title == "Handbook"
    assert [(block.kind, block.text, block.section) for block in parsed.blocks] == [
        ("heading", "Handbook", ("Handbook",)),
        ("paragraph", "intro.", ("Handbook",)),
        ("heading", "WHO TO CALL", ("Handbook", "WHO TO CALL")),
        ("paragraph", "The gate.", ("Handbook", "WHO TO CALL")),
        ("heading", "Hotels", ("Handbook", "Hotels")),
        ("paragraph", "last.", ("Handbook", "Hotels")),
    ]
