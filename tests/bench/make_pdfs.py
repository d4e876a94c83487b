"""Makes the documents that ingestion is measured with: a number of pages or files and a seed in, documents on disk out.

The text is the handbook's, taken apart into pairs of words and put together anew: English to a tokenizer, and never
twice the same. Nothing of it is random: the same arguments give the same documents.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pypdfium2
from PIL import Image, ImageDraw, ImageFont
from reportlab import rl_config
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import simpleSplit
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

DOCUMENTS = Path(__file__).parents[1] / "documents"
PAGE_CHARS = 3300
"""What a full page of a report or a contract holds."""
TABLE_EVERY = 4
"""Pages; every one of them begins a section."""
FOLDER = 50
"""Small documents in one folder."""

FONT, BOLD = "Vera", "Vera-Bold"
SIZE, LEADING, MARGIN = 9.0, 12.0, 55.0
SCAN_SIZE, SCAN_DPI, SCAN_LETTER = (1240, 1754), 150, 21
"""A4 as an office scanner delivers it, and the height of a letter on it."""


class Words:
    """Writes English from the pairs of words in the handbook."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)
        self._after: dict[str, list[str]] = defaultdict(list)
        self._first: list[str] = []
        for file in sorted(DOCUMENTS.glob("sources/*.md")):
            for sentence in re.findall(r"[A-Z][^.|#*\n]{20,}(?:\n[^.|#*\n]+)*\.", file.read_text("utf-8")):
                words = sentence.split()
                self._first.append(words[0])
                for word, following in zip(words, [*words[1:], ""], strict=True):
                    self._after[word].append(following)

    def sentence(self) -> str:
        """A sentence of at most forty words."""
        words = [self._random.choice(self._first)]
        while len(words) < 40 and (following := self._random.choice(self._after[words[-1]])):
            words.append(following)
        return f"{' '.join(words).rstrip('.,;:')}."

    def paragraph(self, chars: int) -> str:
        """Sentences up to about so many characters."""
        text = self.sentence()
        while len(text) < chars:
            text += f" {self.sentence()}"
        return text

    def heading(self) -> str:
        """A few words without a full stop."""
        return " ".join(self.sentence().rstrip(".").split()[:5])

    def table(self, rows: int) -> Iterator[tuple[str, ...]]:
        """A header and rows of a name and three amounts."""
        yield ("Item", "2024", "2025", "Change")
        for _ in range(rows):
            before, after = (self._random.randint(1_000, 99_999) for _ in range(2))
            yield (self.heading()[:30], f"{before:,}", f"{after:,}", f"{after / before - 1:+.1%}")


def born_digital_pdf(file: Path, pages: int) -> None:
    """Write a PDF with a text layer: about `PAGE_CHARS` a page in paragraphs, headings, ruled tables and furniture."""
    rl_config.invariant = 1
    for name, font in ((FONT, "Vera.ttf"), (BOLD, "VeraBd.ttf")):
        pdfmetrics.registerFont(TTFont(name, font))
    words = Words(f"born digital {pages}")
    canvas = Canvas(str(file), pagesize=A4, pageCompression=1)
    canvas.setTitle(f"Report of {pages} pages")
    for number in range(1, pages + 1):
        _draw_page(canvas, words, number, pages)
        canvas.showPage()
    canvas.save()


def scanned_pdf(file: Path, pages: int) -> None:
    """Write a PDF without a text layer: every page is the picture of a page."""
    words = Words(f"scanned {pages}")
    font = ImageFont.truetype(_font_file(), SCAN_LETTER)

    def page() -> Image.Image:
        image = Image.new("L", SCAN_SIZE, 255)
        text = "\n".join(simpleSplit(words.paragraph(PAGE_CHARS), "Helvetica", SCAN_LETTER, SCAN_SIZE[0] - 400))
        ImageDraw.Draw(image).multiline_text((115, 120), text, fill=20, font=font, spacing=14)
        return image

    first = page()
    first.save(file, "PDF", resolution=SCAN_DPI, save_all=True, append_images=(page() for _ in range(pages - 1)))


def pages_with_text(file: Path) -> set[int]:
    """The pages on which PDFium finds any text."""
    with pypdfium2.PdfDocument(file) as document:
        return {number for number, page in enumerate(document, 1) if page.get_textpage().get_text_range().strip()}


def small_documents(count: int) -> Iterator[tuple[str, str, str]]:
    """The path and the text of each of `count` notes in Markdown, with what to ask for it."""
    words = Words(f"small {count}")
    for number in range(count):
        reference = f"reference {number:05}"
        title = words.heading()
        about = f"This note has the {reference}. {words.paragraph(400)}"
        yield (
            f"{number // FOLDER:03}/note-{number:05}.md",
            f"# {title}\n\n{about}\n\n{words.paragraph(200)}\n",
            f"{title}: {about}",
        )


def _font_file() -> str:
    return str(TTFont("any", "Vera.ttf").face.filename)


def _draw_page(canvas: Canvas, words: Words, number: int, pages: int) -> None:
    left, (width, height) = MARGIN, A4
    canvas.setFont(FONT, 8)
    canvas.drawString(left, height - 35, "Halmsund Instruments AB")
    canvas.drawRightString(width - left, 30, f"Page {number} of {pages}")
    y = height - 65
    chars = PAGE_CHARS
    if number % TABLE_EVERY == 1:
        canvas.setFont(BOLD, 13)
        canvas.drawString(left, y, words.heading())
        y -= 24
    if number % TABLE_EVERY == 2:
        y, used = _draw_table(canvas, list(words.table(10)), y)
        chars -= used
    while chars > 0:
        text = words.paragraph(min(chars, 550))
        chars -= len(text)
        lines = simpleSplit(text, FONT, SIZE, width - 2 * left)
        drawn = canvas.beginText(left, y)
        drawn.setFont(FONT, SIZE, LEADING)
        drawn.textLines("\n".join(lines))
        canvas.drawText(drawn)
        y -= LEADING * len(lines) + 7


def _draw_table(canvas: Canvas, rows: list[tuple[str, ...]], y: float) -> tuple[float, int]:
    """Where the text goes on, and how many characters the table took."""
    right = (300.0, 400.0, 500.0)
    for place, row in enumerate(rows):
        canvas.setFont(FONT if place else BOLD, SIZE)
        canvas.drawString(MARGIN, y, row[0])
        for edge, cell in zip(right, row[1:], strict=True):
            canvas.drawRightString(edge, y, cell)
        canvas.line(MARGIN, y - 4, right[-1], y - 4)
        y -= 15
    return y - 10, sum(len(cell) for row in rows for cell in row)
