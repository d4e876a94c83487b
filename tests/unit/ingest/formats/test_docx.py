from __future__ import annotations

import io
import zipfile

import pytest
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

from pipelines.domain import Block
from pipelines.errors import UnreadableDocument
from pipelines.ingest.formats import docx
from tests.unit.ingest.make_documents import new_word, word


def test_headings_paragraphs_lists_and_tables_come_in_document_order() -> None:
    document = new_word()
    document.add_paragraph("Travel policy", style="Title")
    document.add_heading("Hotels", 1)
    document.add_paragraph("Hotels are booked early.")
    document.add_paragraph("Berlin", style="List Bullet")
    document.add_paragraph("Paris", style="List Number")
    table = document.add_table(2, 2)
    for cell, text in zip(table._cells, ["City", "Limit", "Berlin", "180 EUR"], strict=True):
        cell.text = text
    document.add_heading("Meals", 2)
    document.add_paragraph("Lunch.")
    parsed = docx.parse(word(document))
    assert parsed.title == "Travel policy"
    assert parsed.blocks == (
        Block("Travel policy", "heading", section=("Travel policy",)),
        Block("Hotels", "heading", section=("Travel policy", "Hotels")),
        Block("Hotels are booked early.", section=("Travel policy", "Hotels")),
        Block("- Berlin\n- Paris", "list", section=("Travel policy", "Hotels")),
        Block("Berlin | 180 EUR", "table", section=("Travel policy", "Hotels"), header="City | Limit"),
        Block("Meals", "heading", section=("Travel policy", "Hotels", "Meals")),
        Block("Lunch.", section=("Travel policy", "Hotels", "Meals")),
    )


def test_a_cell_over_two_columns_keeps_the_columns_in_line() -> None:
    document = new_word()
    table = document.add_table(2, 3)
    table.cell(0, 0).merge(table.cell(0, 1)).text = "wide"
    table.cell(0, 2).text = "C"
    for column, text in enumerate("123"):
        table.cell(1, column).text = text
    (block,) = docx.parse(word(document)).blocks
    assert (block.header, block.text) == ("wide |  | C", "1 | 2 | 3")


def test_a_table_inside_a_cell_is_read_with_the_cell() -> None:
    document = new_word()
    cell = document.add_table(1, 1).cell(0, 0)
    cell.text = "outer"
    cell.add_table(1, 1).cell(0, 0).text = "inner"
    assert docx.parse(word(document)).blocks[0].text == "outer inner"


def test_tracked_changes_links_and_content_controls_are_read_as_accepted() -> None:
    document = new_word()
    body = f"""<w:sdt {nsdecls("w")}><w:sdtContent><w:p>
      <w:r><w:t xml:space="preserve">kept </w:t></w:r>
      <w:ins w:id="1" w:author="a"><w:r><w:t xml:space="preserve">inserted </w:t></w:r></w:ins>
      <w:del w:id="2" w:author="a"><w:r><w:delText>deleted</w:delText></w:r></w:del>
      <w:hyperlink w:anchor="x"><w:r><w:t>linked</w:t></w:r></w:hyperlink>
    </w:p></w:sdtContent></w:sdt>"""
    document.element.body.insert(0, parse_xml(body))
    assert docx.parse(word(document)).blocks == (Block("kept inserted linked"),)


def test_without_a_title_paragraph_the_property_names_the_document() -> None:
    document = new_word()
    document.core_properties.title = "From the properties"
    document.add_paragraph("x")
    assert docx.parse(word(document)).title == "From the properties"


def test_a_broken_file_is_unreadable() -> None:
    whole = word(new_word())
    for data in (whole[: len(whole) // 2], b"PK\x03\x04 nothing", a_zip({"word/document.xml": b"<not xml"})):
        with pytest.raises(UnreadableDocument, match="broken"):
            docx.parse(data)


def test_a_file_that_unpacks_to_too_much_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docx, "MAX_UNPACKED", 100_000)
    with pytest.raises(UnreadableDocument, match="unpacks to"):
        docx.parse(a_zip({"word/document.xml": b"0" * 200_000}))


def test_entities_are_not_expanded() -> None:
    document = new_word()
    document.add_paragraph("MARK")
    bomb = b'<!DOCTYPE x [<!ENTITY e "boom"><!ENTITY f "&e;&e;&e;">]>'
    with zipfile.ZipFile(io.BytesIO(word(document))) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    head, _, rest = parts["word/document.xml"].partition(b"?>")
    parts["word/document.xml"] = head + b"?>" + bomb + rest.replace(b"MARK", b"&f;")
    assert not any("boom" in block.text for block in docx.parse(a_zip(parts)).blocks)


def a_zip(parts: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return buffer.getvalue()
