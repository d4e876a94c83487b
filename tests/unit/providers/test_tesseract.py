"""Tesseract itself: its lines as paragraphs, and what it says when it cannot read."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from pipelines.errors import DeadlineExceeded, ModelFailed, ModelUnavailable
from pipelines.ingest.formats import markdown
from pipelines.providers import tesseract
from pipelines.providers.tesseract import Tesseract, _paragraphs, find_tesseract

PAGE = """Travel and expenses

The company pays for second class by rail. First class
needs the approval of the head of the department, who
may give it for journeys of more than four hours.

Berlin 180 EUR
Paris 220 EUR"""


def _drawn(text: str, *, turned: int = 0) -> bytes:
    page, image = Image.new("L", (1000, 620), 255), BytesIO()
    draw = ImageDraw.Draw(page)
    draw.multiline_text((70, 60), text, font=ImageFont.load_default(26), fill=0, spacing=10)
    page.rotate(turned, expand=True).save(image, "PNG", dpi=(150, 150))
    return image.getvalue()


@pytest.fixture
def reader() -> Tesseract:
    found = find_tesseract(parallel=2, timeout_s=30)
    assert found, "tests need tesseract: apt-get install tesseract-ocr"
    return found


def _program(folder: Path, script: str) -> Tesseract:
    """A reader whose program is a shell script."""
    program = folder / "tesseract"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return Tesseract(str(program), "eng+deu", parallel=1, timeout_s=0.3)


@pytest.mark.parametrize("turned", [0, 90])
def test_lines_that_fill_the_width_become_paragraphs_also_of_a_page_on_its_side(reader: Tesseract, turned: int) -> None:
    blocks = markdown.parse(reader.read_page(_drawn(PAGE, turned=turned)).encode()).blocks
    assert [block.text for block in blocks] == [
        "Travel and expenses",
        "The company pays for second class by rail. First class needs the approval of the head of the department, who "
        "may give it for journeys of more than four hours.",
        "Berlin 180 EUR\nParis 220 EUR",
    ]


@pytest.mark.parametrize(
    "line",
    [
        *("# not a heading", "1. Scope", "12) Scope", "2024. A year", "- item", "+ item", "---", "===", "> quoted"),
        *("a_b_c *5* `x`", "<b>bold</b>", "[link](x)", "| a | b |", "&amp; co", "back\\slash \\", "~~gone~~"),
    ],
)
def test_nothing_on_a_page_is_taken_for_markup(line: str) -> None:
    wide = "A line as wide as the page, and wider than all others."
    for row in (line, f"Before\n{line}\nafter"):
        blocks = markdown.parse(_paragraphs(f"{wide}\n\n{wide}\n\n{row}").encode()).blocks
        assert [(block.text, block.kind) for block in blocks[2:]] == [(row, "paragraph")]


def test_the_names_of_missing_languages_lead_to_their_packages(reader: Tesseract) -> None:
    other = find_tesseract("eng+chi_sim", parallel=1, timeout_s=30)
    assert other
    with pytest.raises(ModelUnavailable, match=r"no data for chi_sim; install tesseract-ocr-chi-sim .*TESSERACT_LANG"):
        other.read_page(_drawn(PAGE))


def test_an_image_that_is_none_fails(reader: Tesseract) -> None:
    with pytest.raises(ModelFailed, match="could not read the page: Error during processing"):
        reader.read_page(b"no image")


def test_a_page_without_anything_on_it_is_empty(reader: Tesseract) -> None:
    assert reader.read_page(_drawn("")) == ""


def test_a_page_that_takes_too_long_is_let_go(tmp_path: Path) -> None:
    with pytest.raises(DeadlineExceeded, match=r"more than 0\.3 s"):
        _program(tmp_path, "exec sleep 30").read_page(b"any")


def test_a_program_that_says_nothing_is_told_by_its_status(tmp_path: Path) -> None:
    with pytest.raises(ModelFailed, match="it ended with 3"):
        _program(tmp_path, "exit 3").read_page(b"any")


def test_it_runs_on_one_core_and_sees_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_API_KEY", "secret")
    said = _program(tmp_path, 'echo "$OMP_THREAD_LIMIT ${GATEWAY_API_KEY:-none} $*"').read_page(b"any")
    assert said == "1 none stdin stdout -l eng+deu --psm 1"


def test_it_is_none_where_it_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tesseract, "inherited_environment", lambda: {"PATH": str(tmp_path)})
    monkeypatch.setattr(tesseract, "ELSEWHERE", ())
    assert find_tesseract(parallel=1, timeout_s=1) is None
