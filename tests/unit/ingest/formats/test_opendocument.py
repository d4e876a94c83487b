from __future__ import annotations

import pytest

from pipelines.domain import Block
from pipelines.errors import DocumentTooLarge, EncryptedDocument, UnreadableDocument
from pipelines.ingest.formats import ods, odt
from tests.unit.ingest.formats.make_zip import a_zip, opendocument

STYLES = '<style:style style:name="P1" style:family="paragraph" style:parent-style-name="Title"/>'
BODY = """<text:tracked-changes><text:p>deleted</text:p></text:tracked-changes>
<text:p text:style-name="P1">Travel policy</text:p>
<text:table-of-content><text:index-body><text:p>Hotels 1</text:p></text:index-body></text:table-of-content>
<text:section><text:h text:outline-level="1">Hotels</text:h></text:section>
<text:p>Book<text:s text:c="2"/>early<office:annotation><text:p>why?</text:p></office:annotation>,<text:line-break/>go.
<text:note><text:note-citation>1</text:note-citation>
<text:note-body><text:p>Or late.</text:p></text:note-body></text:note></text:p>
<text:list><text:list-item><text:p>Berlin</text:p><text:list><text:list-item><text:p>Mitte</text:p></text:list-item>
</text:list></text:list-item></text:list>
<table:table><table:table-header-rows><table:table-row><table:table-cell><text:p>City</text:p></table:table-cell>
<table:table-cell><text:p>Limit</text:p></table:table-cell></table:table-row></table:table-header-rows>
<table:table-row><table:table-cell><text:p>Paris</text:p></table:table-cell>
<table:table-cell><text:p>200</text:p><text:p>EUR</text:p></table:table-cell></table:table-row></table:table>
<text:list><text:list-item><text:h text:outline-level="2">Numbered</text:h></text:list-item></text:list>"""


def test_a_text_becomes_blocks_in_document_order() -> None:
    parsed = odt.parse(opendocument("text", BODY, styles=STYLES, title="Property"))
    hotels = ("Travel policy", "Hotels")
    assert (parsed.title, parsed.pages) == ("Travel policy", None)
    assert parsed.blocks == (
        Block("Travel policy", "heading", section=("Travel policy",)),
        Block("Hotels", "heading", section=hotels),
        Block("Book early,\ngo.", section=hotels),
        Block("Note: Or late.", section=hotels),
        Block("- Berlin\n- Mitte", "list", section=hotels),
        Block("Paris | 200 EUR", "table", section=hotels, header="City | Limit"),
        Block("Numbered", "heading", section=(*hotels, "Numbered")),
    )


def test_a_slide_is_a_page_with_its_title_and_notes() -> None:
    slides = """<draw:page><draw:frame><draw:text-box><text:p>Body</text:p></draw:text-box></draw:frame>
<draw:frame presentation:class="title"><draw:text-box><text:p>Rates</text:p></draw:text-box></draw:frame>
<draw:frame presentation:class="footer"><draw:text-box><text:p>Foot</text:p></draw:text-box></draw:frame>
<presentation:notes><draw:frame><draw:text-box><text:p>Say it</text:p></draw:text-box></draw:frame></presentation:notes>
</draw:page><draw:page><draw:frame><draw:image/></draw:frame></draw:page>"""
    parsed = odt.parse(opendocument("presentation", slides))
    assert (parsed.title, parsed.pages, parsed.unread) == ("Rates", 2, (2,))
    assert parsed.blocks == (
        Block("Rates", "heading", 1, ("Rates",)),
        Block("Body", "paragraph", 1, ("Rates",)),
        Block("Say it", "paragraph", 1, ("Rates", "Notes")),
    )


def sheet(name: str, rows: str, style: str = "") -> str:
    return f'<table:table table:name="{name}" table:style-name="{style}">{rows}</table:table>'


def row(*cells: str, times: int = 1) -> str:
    inside = "".join(f"<table:table-cell><text:p>{cell}</text:p></table:table-cell>" for cell in cells)
    rest = '<table:table-cell table:number-columns-repeated="16000"/>'
    return f'<table:table-row table:number-rows-repeated="{times}">{inside}{rest}</table:table-row>'


def test_the_tables_of_visible_sheets_are_read_as_they_are_shown() -> None:
    hidden = '<style:style style:name="ta2"><style:table-properties table:display="false"/></style:style>'
    rates = sheet("Rates", row("City", "Share") + row("Berlin", "50 %", times=2) + row(times=1_000_000))
    data = opendocument("spreadsheet", rates + sheet("Secret", row("x", "y"), "ta2"), styles=hidden, title="Shares")
    parsed = ods.parse(data)
    assert parsed.title == "Shares"
    assert parsed.blocks == (
        Block("Rates", "heading", section=("Rates",)),
        Block("Berlin | 50 %\nBerlin | 50 %", "table", section=("Rates",), header="City | Share"),
    )


def test_a_cell_that_repeats_without_end_is_refused() -> None:
    with pytest.raises(DocumentTooLarge, match="cells"):
        ods.parse(opendocument("spreadsheet", sheet("S", row("x", times=1_048_576) * 3)))


@pytest.mark.parametrize(("kind", "parse"), [("text", odt.parse), ("spreadsheet", ods.parse)])
def test_a_password_is_said_to_be_needed(kind: str, parse: object) -> None:
    assert callable(parse)
    manifest = "<manifest><file-entry><encryption-data/></file-entry></manifest>"
    with pytest.raises(EncryptedDocument, match="password"):
        parse(opendocument(kind, "", manifest=manifest))


def test_what_holds_neither_text_nor_slides_is_unreadable() -> None:
    for data in (opendocument("spreadsheet", ""), a_zip({"content.xml": "<x>"}), a_zip({})):
        with pytest.raises(UnreadableDocument):
            odt.parse(data)
