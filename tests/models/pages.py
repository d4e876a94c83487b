"""Images of pages as the vision models see them: what a test hid in a PNG, and what a model says of it."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from typing import Any

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from tests.models.script import Script

HIDDEN = "page-text"
"""The text chunk of a PNG that holds what stands on the page."""


def page_png(text: str, size: tuple[int, int] = (8, 8)) -> bytes:
    """An image on which the vision models read `text`."""
    info, image = PngInfo(), BytesIO()
    info.add_itxt(HIDDEN, text)
    Image.new("L", size, 255).save(image, "PNG", pnginfo=info)
    return image.getvalue()


def text_on(image: bytes) -> str:
    """What stands on a page: the hidden text, or for any other image a text that is always the same for it."""
    try:
        with Image.open(BytesIO(image)) as page:
            hidden = page.info.get(HIDDEN)
    except UnidentifiedImageError:
        hidden = None
    return str(hidden) if hidden is not None else f"A page called {sha256(image).hexdigest()[:16]}."


def reading(script: Script, messages: Sequence[dict[str, Any]]) -> Script:
    """The script of a vision model with the texts of the images in place of its tokens, if there are images."""
    texts = tuple(text_on(image) for message in messages for image in _images(message))
    return replace(script, tokens=("\n\n".join(texts),)) if texts else script


def _images(message: dict[str, Any]) -> Iterator[bytes]:
    """Ollama's images are in base64 beside the text, OpenAI's are data addresses among its parts."""
    for image in message.get("images") or ():
        yield b64decode(image)
    content = message.get("content")
    for part in content if isinstance(content, list) else ():
        if part.get("type") == "image_url":
            yield b64decode(part["image_url"]["url"].partition(";base64,")[2])
