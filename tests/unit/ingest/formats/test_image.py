from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from pipelines.errors import DocumentTooLarge, UnreadableDocument
from pipelines.ingest.formats import by_media_type, image, recognise
from tests.unit.ingest.formats.make_pdfs import scan

FORMATS = ["PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP"]


def saved(picture: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def shown(data: bytes, page: int = 1) -> Image.Image:
    return Image.open(io.BytesIO(image.render(data, page)))


@pytest.mark.parametrize("form", FORMATS)
def test_an_image_is_one_unread_page(form: str) -> None:
    data = saved(scan(), form)
    found = recognise("scan", data)
    assert found.media_types[0] == f"image/{form.lower()}"
    parsed = by_media_type(found.media_type).parse(data)
    assert (parsed.blocks, parsed.title, parsed.pages, parsed.unread) == ((), "", 1, (1,))
    assert shown(data).size == scan().size


def test_a_text_that_begins_like_a_bitmap_is_text() -> None:
    assert recognise("cars.txt", b"BMW is a maker of cars.").media_type == "text/plain"


def test_the_pages_of_a_tiff_count_and_a_blank_one_is_not_unread() -> None:
    data = saved(scan(), "TIFF", save_all=True, append_images=[scan(""), scan("another")])
    parsed = image.parse(data)
    assert (parsed.pages, parsed.unread) == (3, (1, 3))
    assert shown(data, 3).tobytes() == scan("another").tobytes()


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_picture_counts(form: str) -> None:
    data = saved(scan(), form, save_all=True, append_images=[scan("another")], duration=100)
    assert image.parse(data).pages == 1


@pytest.mark.parametrize("form", ["JPEG", "TIFF", "PNG"])
def test_a_picture_is_turned_as_its_camera_says(form: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert shown(saved(scan(), form, exif=exif)).size == (877, 620)


def test_a_large_picture_is_reduced() -> None:
    assert max(shown(saved(scan(size=(3000, 1500)), "PNG")).size) == image.LONGEST_SIDE


@pytest.mark.parametrize("mode", ["1", "P", "RGBA", "LA", "CMYK", "I;16", "F"])
def test_any_mode_becomes_grey_or_rgb_on_white(mode: str) -> None:
    picture = Image.new("RGBA", (300, 300)) if mode == "RGBA" else scan().convert("L").convert(mode.partition(";")[0])
    if mode == "I;16":
        picture = Image.frombytes("I;16", (2, 1), b"\x00\x00\xff\x7f").resize((300, 300), Image.Resampling.NEAREST)
    page = shown(saved(picture, "TIFF"))
    assert page.mode in ("L", "RGB")
    assert any(page.convert("L").histogram()[200:])


def test_a_bomb_of_pixels_is_too_large() -> None:
    with pytest.raises(DocumentTooLarge, match="pixels"):
        image.parse(saved(Image.new("1", (11_000, 10_000)), "PNG", compress_level=1))
    with pytest.raises(DocumentTooLarge, match="pixels"):
        image.parse(saved(Image.new("1", (20_000, 10_000)), "TIFF", compression="group4"))


def test_more_pages_than_are_read_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "MAX_PAGES", 1)
    with pytest.raises(DocumentTooLarge, match="2 pages"):
        image.parse(saved(scan(), "TIFF", save_all=True, append_images=[scan()]))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.5])
def test_a_truncated_image_is_unreadable(form: str, share: float) -> None:
    data = saved(scan(), form)
    with pytest.raises(UnreadableDocument, match="broken"):
        image.parse(data[: int(share * len(data))])


def test_a_page_that_is_not_there_cannot_be_rendered() -> None:
    with pytest.raises(UnreadableDocument, match="no page 2"):
        image.render(saved(scan(), "PNG"), 2)


@pytest.mark.parametrize(("text", "is_blank"), [("", True), ("x", False), ("Twenty days", False)])
def test_a_blank_page_is_of_one_tone_but_for_dust(text: str, is_blank: bool) -> None:
    assert image.is_blank(scan(text)) is is_blank
