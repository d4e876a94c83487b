from __future__ import annotations

import pytest

from pipelines.ingest.formats.clean import clean_line, clean_lines


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("o\ufb03ce \ufb02oor", "office floor"),
        ("full\u3000width ＡＢＣ １２", "full width ABC 12"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("evil\u202etxt.exe\u202c", "eviltxt.exe"),
        ("soft\u00adhyphen", "softhyphen"),
        ("nul\x00 bell\x07", "nul bell"),
        ("tags \U000e0041\U000e0042", "tags"),
        ("lone \ud800 surrogate", "lone surrogate"),
        ("non\u00a0breaking   spaces\t", "non breaking spaces"),
        ("e\u0301", "é"),
    ],
)
def test_hidden_and_compatibility_characters_are_normalised(raw: str, clean: str) -> None:
    assert clean_line(raw) == clean


@pytest.mark.parametrize("text", ["10² m³", "2½ hours", "CO₂", "straße", "東京", "नमस्ते", "12 € – 15 €"])
def test_what_carries_meaning_is_kept(text: str) -> None:
    assert clean_line(text) == text


def test_lines_are_kept_and_empty_ones_dropped() -> None:
    assert clean_lines(" a \n\n\u200b\n b\tc ") == "a\nb c"
