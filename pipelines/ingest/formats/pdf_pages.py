"""A page of a PDF and its text in, whether that text is what a reader sees on it out."""

from __future__ import annotations

from itertools import islice

import pypdfium2
import pypdfium2.raw as pdfium

from pipelines.ingest.formats.image import is_blank

FEW = 60
"""Letters and digits: over a picture of a page, no more than this is a stamp or a page number, not its text."""
GARBAGE = 0.3
"""A text with more than this share of characters that mean nothing is not what the page shows."""
COVERED = 0.5
"""Images that take this share of the page are taken for the page."""
DRAWN = 0.05
"""On a page without text, what is drawn over at least this share of it may be text as outlines."""
LOOKED_AT = 500
"""Objects among which images of the page are looked for: they are the first, or there are none."""

_PREVIEW_SIDE = 600


def is_unread(page: pypdfium2.PdfPage, texts: tuple[str, ...]) -> bool:
    """Whether `page` shows something that `texts`, its lines, do not say. A blank page shows nothing."""
    characters = "".join(texts).replace(" ", "")
    meant = sum(map(str.isalnum, characters))
    meaningless = 0 if characters.isprintable() else sum(not character.isprintable() for character in characters)
    meaningless += characters.count("\N{REPLACEMENT CHARACTER}")
    is_garbage = meant == 0 or meaningless > GARBAGE * len(characters)
    if not is_garbage and meant > FEW:
        return False
    if not is_garbage:
        return _image_share(page) >= COVERED
    return _shows_something(page)


def _shows_something(page: pypdfium2.PdfPage) -> bool:
    if pdfium.FPDFPage_CountObjects(page) == 0 and pdfium.FPDFPage_GetAnnotCount(page) == 0:
        return False
    scale = _PREVIEW_SIDE / max(*page.get_size(), 1)
    bitmap = page.render(scale=scale, grayscale=True)
    try:
        preview = bitmap.to_pil()
        inked = preview.point(lambda tone: 255 if tone < 230 else 0).getbbox()
        if inked is None:
            return False
        left, upper, right, lower = inked
        return (right - left) * (lower - upper) >= DRAWN * preview.width * preview.height and not is_blank(preview)
    finally:
        bitmap.close()


def _image_share(page: pypdfium2.PdfPage) -> float:
    """The share of the page that images take; those of a scan may be strips."""
    width, height = page.get_size()
    covered = 0.0
    for item in islice(page.get_objects(max_depth=3), LOOKED_AT):
        if item.type == pdfium.FPDF_PAGEOBJ_IMAGE:
            left, bottom, right, top = item.get_bounds()
            covered += (right - left) * (top - bottom)
    return covered / (width * height) if width and height else 0.0
