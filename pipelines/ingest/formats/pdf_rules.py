"""A page of a PDF in, its horizontal rules out: drawn lines, and the upper and lower edges of coloured areas."""

from __future__ import annotations

import ctypes
from array import array
from collections import defaultdict

import pypdfium2
import pypdfium2.raw as pdfium

MOST_OBJECTS = 20_000
"""A page of more is a map or a drawing, and its lines rule no table."""
THIN = 3.0
SHORTEST = 8.0
TOUCHING = 2.5
"""Points: pieces that are no further apart are one rule, as those under each cell of a row are."""


def page_rules(page: pypdfium2.PdfPage) -> array[float]:
    """Height, left and right end of each rule, from the top of the page as it is written."""
    found: defaultdict[int, list[tuple[float, float]]] = defaultdict(list)
    count = pdfium.FPDFPage_CountObjects(page)
    if count > MOST_OBJECTS or page.get_rotation() != 0:
        return array("f")
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    places = [ctypes.byref(place) for place in (left, bottom, right, top)]
    raw = page.raw
    for index in range(count):
        item = pdfium.FPDFPage_GetObject(raw, index)
        if pdfium.FPDFPageObj_GetType(item) != pdfium.FPDF_PAGEOBJ_PATH:
            continue
        if not pdfium.FPDFPageObj_GetBounds(item, *places) or right.value - left.value < SHORTEST:
            continue
        edges = (bottom.value, top.value)
        for height in {sum(edges) / 2} if edges[1] - edges[0] < THIN else edges:
            found[round(height)].append((left.value, right.value))
    rules = array("f")
    for height in sorted(found, reverse=True):
        for start, end in _united(found[height]):
            rules.extend((height, start, end))
    return rules


def _united(pieces: list[tuple[float, float]]) -> list[tuple[float, float]]:
    united: list[tuple[float, float]] = []
    for start, end in sorted(pieces):
        if united and start - united[-1][1] <= TOUCHING:
            united[-1] = (united[-1][0], max(united[-1][1], end))
        else:
            united.append((start, end))
    return united
