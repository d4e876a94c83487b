"""PDF files with tables, columns and images for the tests, made as the tests need them."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Table, TableStyle

BODY = getSampleStyleSheet()["Normal"]
GRID = TableStyle([("GRID", (0, 0), (-1, -1), 0.5, colors.black)])


def story(*flow: Flowable | str) -> bytes:
    """Paragraphs and tables as reportlab sets them."""
    buffer = io.BytesIO()
    SimpleDocTemplate(buffer, pagesize=A4).build([Paragraph(p, BODY) if isinstance(p, str) else p for p in flow])
    return buffer.getvalue()


def table(rows: Sequence[Sequence[str]], *, grid: bool = False) -> Table:
    return Table(rows, style=GRID if grid else None)


def wrapped_table(rows: Sequence[Sequence[str]], widths: Sequence[float]) -> Table:
    """A ruled table whose cells wrap."""
    return Table([[Paragraph(cell, BODY) for cell in row] for row in rows], colWidths=widths, style=GRID)


def cells(rows: Sequence[Sequence[str]], *, rotation: int = 0, size: tuple[float, float] = A4) -> bytes:
    """Cells 120 points apart, on a page that is shown turned by `rotation` degrees."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=size)
    canvas.setPageRotation(rotation)
    if rotation == 90:
        canvas.translate(size[0], 0)
        canvas.rotate(90)
    for row, texts in enumerate(rows):
        for column, text in enumerate(texts):
            canvas.drawString(60 + 120 * column, 500 - 16 * row, text)
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


Place = tuple[float, float, str]


def placed(*texts: Place, right: Sequence[Place] = (), rules: Sequence[tuple[float, float, float]] = ()) -> bytes:
    """Texts by where they begin, points from the left and from the top; those of `right` by where they end.

    `rules` are left, right and place from the top. Written row by row, as most programs do.
    """
    buffer = io.BytesIO()
    canvas = Canvas(buffer)
    canvas.setFont("Helvetica", 9)
    begins = [(down, left, text) for left, down, text in texts]
    begins += [(down, end - canvas.stringWidth(text, "Helvetica", 9), text) for end, down, text in right]
    for start, end, down in rules:
        canvas.line(start, 800 - down, end, 800 - down)
    for down, left, text in sorted(begins):
        canvas.drawString(left, 800 - down, text)
    canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def pages_with_images(*pages: tuple[Image.Image | None, str]) -> bytes:
    """Each page an image over the whole of it, if any, and a line of text, if any."""
    buffer = io.BytesIO()
    canvas = Canvas(buffer)
    for image, text in pages:
        if image:
            canvas.drawImage(ImageReader(image), 0, 0, *A4)
        canvas.drawString(60, 30, text)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def scan(text: str = "Twenty days of annual leave.", size: tuple[int, int] = (620, 877)) -> Image.Image:
    """A picture of a page; of an empty one with a little dust where `text` is empty."""
    image = Image.new("L", size, 245)
    draw = ImageDraw.Draw(image)
    draw.point([(100, 200), (300, 90)], 60)
    for line in range(20 if text else 0):
        draw.text((60, 60 + 30 * line), text, 20)
    return image
