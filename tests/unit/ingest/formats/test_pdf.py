from __future__ import annotations

import contextlib
import io
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

from pipelines.errors import DocumentTooLarge, EncryptedDocument, UnreadableDocument
from pipelines.ingest.formats import pdf
from tests.unit.ingest import make_documents
from tests.unit.ingest.formats import make_pdfs

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


def test_blank_pages_are_empty_and_not_unread() -> None:
    parsed = pdf.parse(make_documents.pdf([], []))
    assert (parsed.blocks, parsed.pages, parsed.unread) == ((), 2, ())


def test_threads_may_parse_at_once() -> None:
    data = make_documents.pdf(*[[f"{FULL} {n}."] for n in range(20)])
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(pdf.parse, [data] * 16))
    assert all(result == results[0] for result in results)


def test_furniture_is_what_most_pages_with_text_repeat() -> None:
    written = [["Example Ltd", "The first page."], ["Example Ltd", "Another page."]]
    assert texts(make_documents.pdf(*written, *[[]] * 5)) == [(1, "The first page."), (2, "Another page.")]


def test_more_pages_than_are_read_say_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "MAX_PAGES", 2)
    with pytest.raises(DocumentTooLarge, match="3 pages, and at most 2"):
        pdf.parse(make_documents.pdf(["one"], ["two"], ["three"]))


def test_a_pdf_with_an_empty_user_password_opens() -> None:
    encryption = StandardEncryption("", ownerPassword="owner")
    buffer = io.BytesIO()
    canvas = Canvas(buffer, encrypt=encryption)
    canvas.drawString(60, 780, "Twenty days of annual leave.")
    canvas.save()
    assert texts(buffer.getvalue()) == [(1, "Twenty days of annual leave.")]


def test_a_broken_page_is_unread_and_the_others_are_read() -> None:
    data = make_documents.pdf(["the first."], ["the second."], ["the third."])
    # The second page's object is no page any more.
    objects = [match.start() for match in re.finditer(rb"/Type /Page\b(?!s)", data)]
    broken = bytearray(data)
    broken[objects[1] : objects[1] + 11] = b"/Type /Pxge"
    parsed = pdf.parse(bytes(broken))
    assert [block.page for block in parsed.blocks] == [1, 3]
    assert (parsed.pages, parsed.unread) == (3, (2,))


def test_deeply_nested_objects_end() -> None:
    data = make_documents.pdf(["Twenty days of annual leave."])
    nested = data.replace(b"/Type /Catalog", b"/X " + b"[" * 50_000 + b"]" * 50_000 + b" /Type /Catalog")
    with contextlib.suppress(UnreadableDocument):
        assert pdf.parse(nested).pages == 1


def test_a_turned_page_reads_like_one_that_is_not() -> None:
    lines = [["Stop", "One", "Two"], ["Harbour", "06:10", "07:10"], ["Station", "06:40", "07:40"]]
    upright, turned = (make_pdfs.cells(lines, rotation=rotation) for rotation in (0, 90))
    assert pdf.parse(turned).blocks == pdf.parse(upright).blocks


def test_a_rendered_page_is_a_grey_png_of_limited_size() -> None:
    small = Image.open(io.BytesIO(pdf.render(make_documents.pdf(["one"], ["two"]), 2)))
    assert (small.format, small.mode, small.size) == ("PNG", "L", (1489, 2105))
    large = Image.open(io.BytesIO(pdf.render(make_pdfs.cells([["wide"]], size=(20_000, 5_000)), 1)))
    assert max(large.size) == 2200


@pytest.mark.parametrize("page", [0, 3])
def test_a_page_that_is_not_there_cannot_be_rendered(page: int) -> None:
    with pytest.raises(UnreadableDocument, match=f"no page {page}"):
        pdf.render(make_documents.pdf(["one"], ["two"]), page)
