"""PowerPoint's .pptx in, the text of its slides with their tables, charts, diagrams and notes out.

The page is the number of the slide. Within a slide, the order is the one PowerPoint reads it aloud in. Footers, dates
and slide numbers, which repeat on every slide, are not read.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

from lxml import etree
from pptx.chart.chart import Chart
from pptx.enum.shapes import PP_PLACEHOLDER
from pptx.exc import PythonPptxError
from pptx.opc.package import XmlPart
from pptx.package import Package
from pptx.shapes.autoshape import Shape
from pptx.shapes.base import BaseShape
from pptx.shapes.graphfrm import GraphicFrame
from pptx.shapes.group import GroupShape
from pptx.shapes.picture import Picture
from pptx.slide import Slide
from pptx.table import Table
from pptx.text.text import TextFrame

from pipelines.domain import Block, BlockKind, ParsedDocument
from pipelines.errors import UnreadableDocument
from pipelines.ingest.formats.archive import Archive
from pipelines.ingest.formats.broken import refuse_broken
from pipelines.ingest.formats.clean import clean_line, clean_lines
from pipelines.ingest.formats.outline import Outline
from pipelines.ingest.formats.table import table_block
from pipelines.ingest.formats.xml_tree import core_title, local_name, parse_xml, refuse_entities

WHAT = "PowerPoint file"
NOTES = "Notes"

_FURNITURE = {PP_PLACEHOLDER.DATE, PP_PLACEHOLDER.FOOTER, PP_PLACEHOLDER.HEADER, PP_PLACEHOLDER.SLIDE_NUMBER}
_LISTS = {PP_PLACEHOLDER.BODY, PP_PLACEHOLDER.OBJECT, PP_PLACEHOLDER.VERTICAL_BODY}


def parse(data: bytes) -> ParsedDocument:
    """The title is that of the first slide, else that of the file's properties. Slides of pictures alone are unread.

    Raises:
        UnreadableDocument: the file is broken.
        DocumentTooLarge: it unpacks to too much.
    """
    archive = Archive(data, WHAT)
    with refuse_broken(WHAT, PythonPptxError):
        # pptx.Presentation() would refuse what opens as a slide show or is a template.
        package = Package.open(io.BytesIO(archive.repacked()))
        for part in package.iter_parts():
            if isinstance(part, XmlPart):
                refuse_entities(part._element, WHAT)
        slides = list(package.presentation_part.presentation.slides)
        readers = [_Reader(slide, number) for number, slide in enumerate(slides, start=1)]
        for reader in readers:
            reader.read()
    title = next((reader.title for reader in readers[:1] if reader.title), core_title(archive, WHAT))
    unread = tuple(reader.page for reader in readers if reader.has_pictures and not reader.blocks)
    return ParsedDocument(tuple(block for reader in readers for block in reader.blocks), title, len(slides), unread)


class _Reader:
    """Gathers the blocks of one slide."""

    def __init__(self, slide: Slide, page: int) -> None:
        self.blocks: list[Block] = []
        self.page = page
        self.title = ""
        self.has_pictures = False
        self._slide = slide
        self._outline = Outline()

    def read(self) -> None:
        title = self._slide.shapes.title
        if title is not None:
            self.title = clean_line(title.text_frame.text)
        if self.title:
            self._outline.enter(1, self.title)
            self._add(self.title, "heading")
        for shape in _leaves(self._slide.shapes):
            if title is None or shape.shape_id != title.shape_id:
                self._shape(shape)
        self._notes()

    def _shape(self, shape: BaseShape) -> None:
        if isinstance(shape, GraphicFrame):
            self._graphic(shape)
        elif isinstance(shape, Picture):
            self.has_pictures = True
        elif isinstance(shape, Shape) and _placeholder(shape) not in _FURNITURE:
            self._text(shape.text_frame, may_be_list=_placeholder(shape) in _LISTS)

    def _text(self, frame: TextFrame, *, may_be_list: bool) -> None:
        lines = [line for line in (clean_line(paragraph.text) for paragraph in frame.paragraphs) if line]
        if may_be_list and len(lines) > 1:
            self._add("\n".join(f"- {line}" for line in lines), "list")
        else:
            self._add("\n".join(lines))

    def _graphic(self, frame: GraphicFrame) -> None:
        if frame.has_table:
            self._table(_cells(frame.table))
        elif frame.has_chart:
            self._chart(frame)
        else:
            for text in _diagram(self._slide, frame):
                self._add(text)

    def _chart(self, frame: GraphicFrame) -> None:
        try:
            # Charts come in more kinds than python-pptx 1.0 reads; one of them does not cost the slide.
            with refuse_broken(WHAT, PythonPptxError):
                chart = frame.chart
                self._add(clean_lines(chart.chart_title.text_frame.text) if chart.has_title else "")
                self._table(_series(chart))
        except UnreadableDocument:
            self._add("A chart on this slide could not be read.")

    def _table(self, rows: list[list[str]]) -> None:
        block = table_block(rows, section=self._outline.path)
        if block:
            self._add(block.text, "table", header=block.header)

    def _notes(self) -> None:
        frame = self._slide.notes_slide.notes_text_frame if self._slide.has_notes_slide else None
        if frame is not None and frame.text.strip():
            self._outline.enter(2, NOTES)
            self._text(frame, may_be_list=False)

    def _add(self, text: str, kind: BlockKind = "paragraph", *, header: str = "") -> None:
        if text:
            self.blocks.append(Block(text, kind, self.page, self._outline.path, header))


def _leaves(shapes: Iterable[BaseShape]) -> Iterator[BaseShape]:
    for shape in shapes:
        if isinstance(shape, GroupShape):
            yield from _leaves(shape.shapes)
        else:
            yield shape


def _placeholder(shape: BaseShape) -> PP_PLACEHOLDER | None:
    return shape.placeholder_format.type if shape.is_placeholder else None


def _cells(table: Table) -> list[list[str]]:
    return [["" if cell.is_spanned else cell.text for cell in row.cells] for row in table.rows]


def _series(chart: Chart) -> list[list[str]]:
    """One row a category, one column a series."""
    series = [line for plot in chart.plots for line in plot.series]
    names = [str(category) for category in chart.plots[0].categories] if series else []
    columns = [[_number(value) for value in line.values] for line in series]
    length = max([len(names), *map(len, columns)], default=0)
    cells = [column + [""] * (length - len(column)) for column in [names, *columns]]
    return [["", *(line.name for line in series)], *map(list, zip(*cells, strict=True))]


def _number(value: float | None) -> str:
    return "" if value is None else format(value, ".15g")


def _diagram(slide: Slide, frame: GraphicFrame) -> list[str]:
    """The texts of a SmartArt diagram, which python-pptx 1.0 does not know."""
    references = frame._element.xpath(".//*[local-name()='relIds']/@r:dm")
    if not references:
        return []
    root = parse_xml(slide.part.related_part(references[0]).blob, WHAT)
    return [text for text in map(_paragraphs, root.iter()) if text]


def _paragraphs(element: etree._Element) -> str:
    return clean_line("".join(element.itertext())) if local_name(element) == "t" and len(element) else ""
