from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from pipelines.errors import EncryptedDocument, UnreadableDocument
from pipelines.ingest.formats import pdf
from tests.unit.ingest import make_documents

FULL = "A line of text that fills the width of the page from edge to edge"


def texts(data: bytes) -> list[tuple[int | None, str]]:
    return [(block.page, block.text) for block in pdf.parse(data).blocks]


def test_pages_count_from_one_and_empty_ones_count_too() -> None:
    data = make_documents.pdf([FULL, "one."], [], [FULL, "three."])
    parsed = pdf.parse(data)
    assert [block.page for block in parsed.blocks] == [1, 3]
    assert parsed.pages == 3


def test_lines_that_fill_the_width_are_joined_and_a_short_one_ends_the_paragraph() -> None:
    data = make_documents.pdf([FULL, "ends here.", FULL, "ends there."])
    assert texts(data) == [(1, f"{FULL} ends here."), (1, f"{FULL} ends there.")]


def test_rows_and_items_keep_their_lines() -> None:
    item = "- an item that is nearly as long as a line that fills the page"
    data = make_documents.pdf([FULL, "and ends.", "Berlin 180", "Paris 200", item, "- two"])
    assert texts(data) == [(1, f"{FULL} and ends."), (1, f"Berlin 180\nParis 200\n{item}\n- two")]


@pytest.mark.parametrize(
    ("end", "start", "joined"),
    [
        ("this is a reim-", "bursement of costs", "this is a reimbursement of costs"),
        ("Smith-", "Jones is a name", "Smith-Jones is a name"),
        ("both short-", "and long-term goals", "both short- and long-term goals"),
    ],
)
def test_words_divided_at_the_end_of_a_line_are_made_whole(end: str, start: str, joined: str) -> None:
    filler = "x" * (len(FULL) - len(end) - 1)
    data = make_documents.pdf([f"{filler} {end}", start])
    assert texts(data)[0][1].replace("\n", " ").endswith(joined)


def test_ligatures_are_taken_apart() -> None:
    assert "\ufb01" not in texts(make_documents.pdf(["the o\ufb03ce"]))[0][1]


def test_repeated_headers_footers_and_page_numbers_are_removed() -> None:
    pages = [["Example Ltd", FULL, f"says page {n}.", f"Confidential | {n} of 4", str(n)] for n in range(1, 5)]
    for page in pages:
        page[1] = page[1].replace("text", f"text {page[4] * 3}")
    expected = [(n, f"{pages[n - 1][1]} says page {n}.") for n in range(1, 5)]
    assert texts(make_documents.pdf(*pages)) == expected


def test_a_number_in_the_text_is_no_page_number() -> None:
    pages = [[f"{FULL} {n}", "Total", str(n * 1000 + n)] for n in range(1, 3)]
    found = texts(make_documents.pdf(*pages))
    assert "1001" in found[0][1]
    assert "2002" in found[-1][1]


def test_pages_that_are_all_alike_are_kept() -> None:
    assert len(texts(make_documents.pdf(["the same."], ["the same."]))) == 2


def test_a_password_protected_pdf_says_so() -> None:
    with pytest.raises(EncryptedDocument, match="password"):
        pdf.parse(make_documents.pdf(["text"], password="secret"))


@pytest.mark.parametrize("data", [b"%PDF-1.7 nothing", make_documents.pdf(["text"])[:200], b"no pdf"])
def test_a_broken_pdf_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableDocument, match="broken"):
        pdf.parse(data)


def test_a_scan_says_that_it_needs_a_vision_model() -> None:
    with pytest.raises(UnreadableDocument, match="vision model"):
        pdf.parse(make_documents.pdf([], []))


def test_threads_may_parse_at_once() -> None:
    data = make_documents.pdf(*[[f"{FULL} {n}."] for n in range(20)])
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(pdf.parse, [data] * 16))
    assert all(result == results[0] for result in results)
