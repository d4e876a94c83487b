from __future__ import annotations

import pytest

from pipelines.ingest.title import choose_title


@pytest.mark.parametrize("own", ["Travel policy", "Q3 report 2024", "年次報告書", "ISO 9001"])
def test_a_plausible_title_of_its_own_is_kept(own: str) -> None:
    assert choose_title(own, "x.pdf") == own


@pytest.mark.parametrize(
    "own",
    [
        "",
        "--",
        "ab",
        "Untitled",
        "Document1",
        "Microsoft Word - Policy",
        "policy.docx",
        "0000320193-22-000070",
        "x" * 151,
    ],
)
def test_an_implausible_one_gives_way_to_the_file_name(own: str) -> None:
    assert choose_title(own, "travel_policy.pdf") == "travel policy"


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("Annual report.pdf", "Annual report"),
        ("travel-policy_v2.md", "travel policy v2"),
        ("minutes-2024-05-01.txt", "minutes 2024-05-01"),
        ("2022 Q3 AAPL.pdf", "2022 Q3 AAPL"),
        ("-_-.md", "-_-.md"),
        ("年次報告.txt", "年次報告"),
    ],
)
def test_a_file_name_is_made_readable(name: str, title: str) -> None:
    assert choose_title("", name) == title
