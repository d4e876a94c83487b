from __future__ import annotations

import pytest
from docx.opc.constants import CONTENT_TYPE, RELATIONSHIP_TYPE
from docx.opc.packuri import PackURI
from docx.opc.part import Part
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

from pipelines.domain import Block
from pipelines.errors import UnreadableDocument
from pipelines.ingest.formats import DOCX, docx, recognise
from tests.unit.ingest.formats.make_zip import a_zip, members_of
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


def test_entities_are_refused() -> None:
    parts = members_of(word(new_word()))
    head, _, rest = parts["word/document.xml"].partition(b"?>")
    parts["word/document.xml"] = head + b'?><!DOCTYPE x [<!ENTITY e "boom">]>' + rest
    with pytest.raises(UnreadableDocument, match="entities"):
        docx.parse(a_zip(parts))


def test_a_note_stands_behind_what_refers_to_it() -> None:
    document = new_word()
    document.add_paragraph("A list item", style="List Bullet")
    for text in ("Hotels cost 180 EUR.", "Meals cost 40 EUR."):
        document.add_paragraph(text)
    first = document.paragraphs[1]._p
    first.append(parse_xml(f'<w:r {nsdecls("w")}><w:footnoteReference w:id="2"/></w:r>'))
    text = "<w:p><w:r><w:t> In May. </w:t></w:r></w:p>"
    notes = f'<w:footnotes {nsdecls("w")}><w:footnote w:id="2">{text}</w:footnote></w:footnotes>'
    part = Part(PackURI("/word/footnotes.xml"), CONTENT_TYPE.WML_FOOTNOTES, notes.encode(), document.part.package)
    document.part.relate_to(part, RELATIONSHIP_TYPE.FOOTNOTES)
    texts = [block.text for block in docx.parse(word(document)).blocks]
    assert texts == ["- A list item", "Hotels cost 180 EUR.", "Note: In May.", "Meals cost 40 EUR."]


def test_a_file_with_macros_is_read_as_the_document_it_is() -> None:
    document = new_word()
    document.add_paragraph("text")
    parts = members_of(word(document))
    plain, macros = CONTENT_TYPE.WML_DOCUMENT_MAIN, "application/vnd.ms-word.document.macroEnabled.main+xml"
    parts["[Content_Types].xml"] = parts["[Content_Types].xml"].replace(plain.encode(), macros.encode())
    data = a_zip(parts)
    assert recognise("a.docm", data) is DOCX
    assert docx.parse(data).blocks == (Block("text"),)
