from __future__ import annotations

import io

import pptx as powerpoint
import pytest
from PIL import Image
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.presentation import Presentation
from pptx.util import Inches

from pipelines.domain import Block
from pipelines.errors import UnreadableDocument
from pipelines.ingest.formats import PPTX, pptx, recognise
from tests.unit.ingest.formats.make_zip import a_zip, members_of

PLACE = (Inches(1), Inches(1), Inches(4), Inches(2))
TITLE_AND_BODY, TITLE_ONLY, BLANK = 1, 5, 6


@pytest.fixture
def deck() -> Presentation:
    return powerpoint.Presentation()


def saved(deck: Presentation) -> bytes:
    buffer = io.BytesIO()
    deck.save(buffer)
    return buffer.getvalue()


def test_a_slide_is_a_page_whose_title_is_its_section(deck: Presentation) -> None:
    slide = deck.slides.add_slide(deck.slide_layouts[TITLE_AND_BODY])
    slide.shapes.title.text = "Travel\vpolicy"
    slide.placeholders[1].text = "Hotels\nMeals"
    slide.shapes.add_textbox(*PLACE).text_frame.text = "A box"
    slide.notes_slide.notes_text_frame.text = "Say it slowly."
    deck.slides.add_slide(deck.slide_layouts[BLANK]).shapes.add_textbox(*PLACE).text_frame.text = "No title"
    parsed = pptx.parse(saved(deck))
    assert (parsed.title, parsed.pages, parsed.unread) == ("Travel policy", 2, ())
    assert parsed.blocks == (
        Block("Travel policy", "heading", 1, ("Travel policy",)),
        Block("- Hotels\n- Meals", "list", 1, ("Travel policy",)),
        Block("A box", "paragraph", 1, ("Travel policy",)),
        Block("Say it slowly.", "paragraph", 1, ("Travel policy", "Notes")),
        Block("No title", "paragraph", 2),
    )


def test_tables_charts_and_groups_are_read(deck: Presentation) -> None:
    shapes = deck.slides.add_slide(deck.slide_layouts[BLANK]).shapes
    shapes.add_group_shape().shapes.add_group_shape().shapes.add_textbox(*PLACE).text_frame.text = "Within"
    table = shapes.add_table(2, 2, *PLACE).table
    for index, text in enumerate(["City", "Limit", "Berlin", "180 EUR"]):
        table.cell(index // 2, index % 2).text = text
    data = CategoryChartData()
    data.categories = ["2023", "2024"]
    data.add_series("Revenue", (1.5, 20))
    data.add_series("Cost", (1, None))
    chart = shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, *PLACE, data).chart
    chart.chart_title.text_frame.text = "In millions"
    assert pptx.parse(saved(deck)).blocks == (
        Block("Within", page=1),
        Block("Berlin | 180 EUR", "table", 1, header="City | Limit"),
        Block("In millions", page=1),
        Block("2023 | 1.5 | 1\n2024 | 20 | ", "table", 1, header=" | Revenue | Cost"),
    )


def test_a_slide_that_is_only_a_picture_is_recorded_as_unread(deck: Presentation) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "PNG")
    deck.slides.add_slide(deck.slide_layouts[BLANK]).shapes.add_picture(picture, 0, 0)
    deck.slides.add_slide(deck.slide_layouts[BLANK])
    parsed = pptx.parse(saved(deck))
    assert (parsed.blocks, parsed.pages, parsed.unread) == ((), 2, (1,))


def test_the_property_names_a_deck_without_a_first_title(deck: Presentation) -> None:
    deck.core_properties.title = "From the properties"
    deck.slides.add_slide(deck.slide_layouts[BLANK])
    assert pptx.parse(saved(deck)).title == "From the properties"


def test_a_slide_show_is_read_like_a_presentation(deck: Presentation) -> None:
    deck.slides.add_slide(deck.slide_layouts[TITLE_ONLY]).shapes.title.text = "Show"
    parts = members_of(saved(deck))
    types = parts["[Content_Types].xml"]
    parts["[Content_Types].xml"] = types.replace(b"presentationml.presentation.main", b"presentationml.slideshow.main")
    data = a_zip(parts)
    assert recognise("a.ppsx", data) is PPTX
    assert pptx.parse(data).title == "Show"


def test_a_broken_file_is_unreadable() -> None:
    with pytest.raises(UnreadableDocument, match="PowerPoint file is broken"):
        pptx.parse(b"PK\x03\x04 nothing")
