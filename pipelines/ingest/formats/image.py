"""An image in, its number of pages out: what stands on them is for a vision model, which gets them from `render`."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageOps, UnidentifiedImageError

from pipelines.domain import ParsedDocument
from pipelines.errors import DocumentTooLarge, UnreadableDocument

PNG, JPEG, TIFF, WEBP, GIF, BMP = (f"image/{name}" for name in ("png", "jpeg", "tiff", "webp", "gif", "bmp"))

MAX_PAGES = 5000
MAX_PIXELS = 100_000_000
"""Of one page: A3 at 600 dpi has 70 million. Each takes up to 4 bytes of memory when it is unpacked."""
LONGEST_SIDE = 2200
"""Pixels: an A4 page at 190 dpi; vision models reduce what is larger."""
BLANK_RANGE = 24
"""A page whose tones, but for dust, lie within this many of 256 shows nothing."""
DUST = 0.0005
"""The share of a page that a scanner's dust may take."""
EDGE = 0.03
"""The share of a page's width and height at each side that is not looked at: scanners leave a dark edge."""

_PILLOW_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP")
_PREVIEW_SIDE = 1000
_MAGICS = (
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"\xff\xd8\xff", JPEG),
    (b"II*\0", TIFF),
    (b"MM\0*", TIFF),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
)
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)
"""The sizes a header has. "BM" alone may as well begin a text."""


def media_type_of(data: bytes) -> str:
    """The media type of an image; empty for anything else."""
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WEBP
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in _BMP_HEADERS:
        return BMP
    return next((media_type for magic, media_type in _MAGICS if data.startswith(magic)), "")


def parse(data: bytes) -> ParsedDocument:
    """No blocks: every page is unread, but for blank ones. Only a TIFF has several; of an animation the first counts.

    Raises:
        DocumentTooLarge: more pages, or more pixels on one, than are read.
        UnreadableDocument: it is broken.
    """
    with _opened(data) as image:
        count = _count(image)
        if count > MAX_PAGES:
            raise DocumentTooLarge(f"The image has {count} pages, and at most {MAX_PAGES} are read: divide it.")
        # Each page is unpacked, so that a broken one is known now and not when a model is to read it.
        unread = tuple(number for number in range(1, count + 1) if not is_blank(_page(image, number, _PREVIEW_SIDE)))
        return ParsedDocument((), pages=count, unread=unread)


def render(data: bytes, page: int) -> bytes:
    """The page as PNG, upright, in grey or RGB, its longest side at most `LONGEST_SIDE`.

    Raises:
        DocumentTooLarge: more pixels than are read.
        UnreadableDocument: it is broken, or has no such page.
    """
    with _opened(data) as image:
        if not 1 <= page <= _count(image):
            raise UnreadableDocument(f"The image has no page {page}.")
        return as_png(_page(image, page, LONGEST_SIDE))


def as_png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def is_blank(image: Image.Image) -> bool:
    """Whether nothing can be read on `image`: it is of one tone, but for dust and its edge."""
    across, down = int(image.width * EDGE), int(image.height * EDGE)
    tones = image.convert("L").crop((across, down, image.width - across, image.height - down)).histogram()
    dust = DUST * sum(tones)
    darkest, lightest = _tones_of_dust(tones, dust), 255 - _tones_of_dust(tones[::-1], dust)
    return lightest - darkest < BLANK_RANGE


def _tones_of_dust(tones: list[int], dust: float) -> int:
    """How many tones from the first on hold no more pixels together than `dust`."""
    pixels = 0
    for tone, count in enumerate(tones):
        pixels += count
        if pixels > dust:
            return tone
    return len(tones) - 1


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    try:
        # Pillow warns of a broken EXIF block, which costs no more than the orientation.
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=_PILLOW_FORMATS) as image:
            yield image
    except Image.DecompressionBombError as error:
        raise DocumentTooLarge("The image has more pixels than are read: save it smaller and add it again.") from error
    # Pillow's plugins raise any of these over broken files.
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError) as error:
        raise UnreadableDocument("The image is broken and cannot be read.") from error


def _count(image: Image.Image) -> int:
    return getattr(image, "n_frames", 1) if image.format == "TIFF" else 1


def _page(image: Image.Image, number: int, longest: int) -> Image.Image:
    """A page upright, in grey or RGB, reduced to `longest` pixels before anything else is done that takes memory."""
    image.seek(number - 1)
    if image.width * image.height > MAX_PIXELS:
        size = f"{image.width} x {image.height}"
        raise DocumentTooLarge(f"The image has {size} pixels, more than are read: save it smaller and add it again.")
    if number == 1 and image.format in ("JPEG", "MPO"):
        # Lets the decoder reduce while it unpacks.
        image.draft(None, (longest, longest))
    image.load()
    return _flat(ImageOps.exif_transpose(_reduced(_continuous(image), longest)))


def _reduced(image: Image.Image, longest: int) -> Image.Image:
    share = longest / max(image.size)
    if share >= 1:
        return image
    size = (max(round(image.width * share), 1), max(round(image.height * share), 1))
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)


def _continuous(image: Image.Image) -> Image.Image:
    """`image` in a mode in which pixels can be averaged, which those of a palette cannot."""
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "P":
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    if image.mode.startswith(("I", "F")):
        return _scaled(image)
    return image


def _flat(image: Image.Image) -> Image.Image:
    """In grey or RGB; what is transparent becomes white paper."""
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa"):
        paper = Image.new("RGBA", image.size, "white")
        paper.alpha_composite(image.convert("RGBA"))
        return paper.convert("RGB")
    return image.convert("L" if image.mode == "L" else "RGB")


def _scaled(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits a pixel, which `convert` would cut off instead of scale."""
    tones = image.convert("F")
    low, high = (float(tone) for tone in tones.getextrema() if isinstance(tone, (int, float)))
    scale = 255 / max(high - low, 1.0)
    return tones.point(lambda tone: tone * scale - low * scale).convert("L")
