from __future__ import annotations

import pytest

from pipelines.ingest.sentences import sentences


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("One. Two! Three", ["One.", "Two!", "Three"]),
        ('He said "no." Then he left.', ['He said "no."', "Then he left."]),
        ("Use e.g. trains. 3. Or ships.", ["Use e.g. trains.", "3. Or ships."]),
        (
            "Paid in U.S. Dollars, as in Mio. EUR. Not in cash.",
            ["Paid in U.S. Dollars, as in Mio. EUR.", "Not in cash."],
        ),
        ("出張費はいくら。東京です。", ["出張費はいくら。", "東京です。"]),
        ("", []),
    ],
)
def test_a_line_is_cut_where_its_sentences_end(line: str, expected: list[str]) -> None:
    assert list(sentences(line)) == expected
