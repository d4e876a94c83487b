"""Tables in PDFs: rows under the names of their columns; what only looks like a table stays lines."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from pathlib import Path

import pypdfium2
import pytest

from pipelines.domain import Block
from pipelines.ingest.formats import pdf
from tests.unit.ingest.formats.make_pdfs import Place, placed, story, table, wrapped_table

HANDBOOK = Path(__file__).parents[3] / "documents" / "handbook"
PROSE = (
    "The measured level is compared with the level of the reference staff and the difference is written into the log. "
    "Whoever finds a difference of more than two centimetres calls the service and does not touch the plate before. "
)
INVOICE = [
    ["Pos", "Article", "Qty", "Unit price", "Total"],
    ["1", "Mounting plate", "2", "45.00", "90.00"],
    ["2", "Heated lid", "1", "120.00", "120.00"],
    ["3", "Cable, 10 m", "10", "3.20", "32.00"],
    ["", "", "", "Net", "242.00"],
]


def tables(data: bytes) -> list[Block]:
    return [block for block in pdf.parse(data).blocks if block.kind == "table"]


def paragraphs(data: bytes) -> str:
    return "\n".join(block.text for block in pdf.parse(data).blocks if block.kind == "paragraph")


@pytest.mark.parametrize("grid", [True, False])
def test_an_invoice_is_rows_under_a_header(grid: bool) -> None:
    data = story("Thank you for your order.", table(INVOICE, grid=grid), PROSE)
    (found,) = tables(data)
    assert found.page == 1
    assert found.header == "Pos | Article | Qty | Unit price | Total"
    assert found.text.split("\n") == [" | ".join(row) for row in INVOICE[1:]]
    assert paragraphs(data) == f"Thank you for your order.\n{PROSE.strip()}"


def test_a_timetable_is_a_table() -> None:
    (found,) = tables(
        story(table([["Stop", "Bus 1", "Bus 2"], ["Harbour", "06:10", "07:10"], ["Town", "06:25", "7:25"]]))
    )
    assert (found.header, found.text) == ("Stop | Bus 1 | Bus 2", "Harbour | 06:10 | 07:10\nTown | 06:25 | 7:25")


def test_cells_that_wrap_between_rules_are_made_whole() -> None:
    rows = [
        ["Task", "Who", "What to do when it fails and nobody is there"],
        ["Calibrate the gauge", "Service", "Call the office and wait until someone answers, which may take long."],
        ["Clean the lid of the box", "Anybody", "Leave it."],
        ["Change battery", "Service", "Order one."],
    ]
    (found,) = tables(story(wrapped_table(rows, [90, 80, 180])))
    assert found.header == " | ".join(rows[0])
    assert found.text.split("\n") == [" | ".join(row) for row in rows[1:]]


def statement() -> list[Place]:
    """The labels and the header of a financial statement; its values end at 350, 420, 490 and 560."""
    return [
        (326, 0, "Three Months Ended"),
        (466, 0, "Nine Months Ended"),
        (325, 11, "July 1,"),
        (393, 11, "June 25,"),
        (465, 11, "July 1,"),
        (533, 11, "June 25,"),
        (329, 22, "2023"),
        (399, 22, "2022"),
        (469, 22, "2023"),
        (539, 22, "2022"),
        (40, 36, "Net sales:"),
        (50, 50, "Products"),
        (50, 64, "Services"),
        (60, 78, "Total net sales"),
        (40, 92, "Change in the value of instruments that are held and"),
        (40, 103, "not sold"),
        (50, 117, "Margin"),
    ]


def values() -> list[Place]:
    rows = {
        50: ["60,584", "63,355", "230,901", "245,241"],
        64: ["21,213", "19,604", "62,886", "58,941"],
        78: ["81,797", "82,959", "293,787", "304,182"],
        103: ["(15)", "—", "(7)", "12"],
        117: ["44.5", "43.3", "43.9", "43.0"],
    }
    return [(350 + 70 * column, down, text) for down, row in rows.items() for column, text in enumerate(row)]


def test_the_header_of_a_statement_is_merged_by_column() -> None:
    (found,) = tables(placed(*statement(), right=values()))
    three, nine = "Three Months Ended", "Nine Months Ended"
    assert (
        found.header == f" | {three} July 1, 2023 | {three} June 25, 2022 | {nine} July 1, 2023 | {nine} June 25, 2022"
    )


def test_sections_and_wrapped_names_are_part_of_the_rows() -> None:
    (found,) = tables(placed(*statement(), right=values()))
    assert found.text.split("\n") == [
        "Net sales: Products | 60,584 | 63,355 | 230,901 | 245,241",
        "Net sales: Services | 21,213 | 19,604 | 62,886 | 58,941",
        "Total net sales | 81,797 | 82,959 | 293,787 | 304,182",
        "Change in the value of instruments that are held and not sold | (15) | — | (7) | 12",
        "Margin | 44.5 | 43.3 | 43.9 | 43.0",
    ]


def test_a_rule_shows_which_columns_a_name_spans() -> None:
    texts: list[Place] = [(40, 30, "Bonds"), (40, 44, "Shares")]
    right = [(320, 0, "Short"), (480, 0, "Long"), *((end, 14, "Cost") for end in (240, 400))]
    right += [
        *((end, 14, "Value") for end in (320, 480)),
        *((e, d, "1,234") for e in (240, 320, 400, 480) for d in (30, 44)),
    ]
    rules = [(200, 320, 4), (360, 480, 4)]
    (found,) = tables(placed(*texts, right=right, rules=rules))
    assert found.header == " | Short Cost | Short Value | Long Cost | Long Value"


def test_signs_that_stand_apart_are_joined_to_their_number() -> None:
    left: list[Place] = [(40, 0, "Net loss"), (300, 0, "$"), (352, 0, ")"), (40, 14, "Change"), (354, 14, "%")]
    left += [(400, 0, "$"), (452, 0, ")"), (454, 14, "%")]
    (found,) = tables(placed(*left, right=[(350, 0, "(5,644"), (350, 14, "12"), (450, 0, "(4,678"), (450, 14, "7")]))
    assert found.text == "Net loss | $(5,644) | $(4,678)\nChange | 12% | 7%"


def test_a_second_header_begins_a_second_table() -> None:
    years: list[Place] = [(330, 0, "2023"), (400, 0, "2022"), (330, 40, "2021"), (400, 40, "2020")]
    names: list[Place] = [(40, 14, "Sales"), (40, 27, "Costs"), (40, 54, "Sales"), (40, 67, "Costs")]
    amounts = [(350 + 70 * n, down, f"{down},{n}00") for down in (14, 27, 54, 67) for n in (0, 1)]
    assert [(found.header, found.text) for found in tables(placed(*years, *names, right=amounts))] == [
        (" | 2023 | 2022", "Sales | 14,000 | 14,100\nCosts | 27,000 | 27,100"),
        (" | 2021 | 2020", "Sales | 54,000 | 54,100\nCosts | 67,000 | 67,100"),
    ]


def columns_of_prose() -> bytes:
    words = (PROSE * 8).split()
    lines = [" ".join(words[at : at + 7]) for at in range(0, 280, 7)]
    return placed(*((60 + 240 * (n % 2), 12 * (n // 2), line) for n, line in enumerate(lines)))


def contents() -> bytes:
    titles = [("1 Scope", 1), ("2 Terms", 3), ("2.1 Gauges", 4), ("3 Service", 9), ("Annex", 12)]
    return placed(
        *((60, 14 * n, title) for n, (title, _) in enumerate(titles)),
        right=[(500, 14 * n, str(page)) for n, (_, page) in enumerate(titles)],
    )


def items(marker: str) -> bytes:
    texts = ["First do this and then that", "Then wait for the light", "At last switch it off", "Go home"]
    return placed(
        *((60, 14 * n, marker.format(n + 1)) for n in range(4)), *((90, 14 * n, text) for n, text in enumerate(texts))
    )


def leaders() -> bytes:
    return placed(*((60, 14 * n, f"Chapter {n} {'.' * 60} {n * 3 + 1}") for n in range(5)))


@pytest.mark.parametrize(
    "data",
    [columns_of_prose(), contents(), leaders(), *map(items, ["{}", "{}.", "({})", "•"]), story(PROSE * 5)],
    ids=["columns", "contents", "leaders", "numbers", "points", "brackets", "bullets", "prose"],
)
def test_what_only_looks_like_a_table_stays_lines(data: bytes) -> None:
    assert tables(data) == []
    assert paragraphs(data)


@pytest.mark.parametrize("path", sorted(HANDBOOK.glob("*.pdf")), ids=lambda path: path.stem)
def test_no_word_of_the_handbook_is_lost(path: Path) -> None:
    parsed = pdf.parse(path.read_bytes())
    kept = Counter(_words(" ".join(f"{block.header} {block.text}" for block in parsed.blocks)))
    with pypdfium2.PdfDocument(path) as document:
        texts = [page.get_textpage().get_text_range() for page in document]
    # The first two lines of a page are its running header and footer.
    written = Counter(_words(" ".join(line for text in texts for line in text.splitlines()[2:])))
    assert written - kept == Counter()


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", unicodedata.normalize("NFKC", text))
