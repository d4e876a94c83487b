from __future__ import annotations

import re
import uuid
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.domain import Block, Chunk, Document, ParsedDocument
from pipelines.ingest.chunk import TARGET_TOKENS, chunk_document
from tests.fakes.word_embedding import WordEmbedding

DOCUMENT = Document(str(uuid.uuid4()), "Policy", "file:///policy.md", "text/markdown", "hash", 1)
count_tokens = WordEmbedding().count_tokens


def chunks_of(*blocks: Block, document: Document = DOCUMENT, max_tokens: int = 256) -> list[Chunk]:
    return chunk_document(document, ParsedDocument(blocks), count_tokens=count_tokens, max_tokens=max_tokens)


def words(count: int, stem: str = "w") -> str:
    return " ".join(f"{stem}{number}" for number in range(count))


def sentences(count: int, length: int = 10) -> str:
    return " ".join(f"S{number} {words(length - 2)} end{number}." for number in range(count))


def test_a_chunk_stays_within_its_section_and_its_page() -> None:
    chunks = chunks_of(
        Block(words(40, "a"), section=("A",), page=1),
        Block(words(40, "b"), section=("A",), page=2),
        Block(words(40, "c"), section=("B",), page=2),
    )
    assert [(chunk.section, chunk.page, chunk.ordinal) for chunk in chunks] == [
        (("A",), 1, 0),
        (("A",), 2, 1),
        (("B",), 2, 2),
    ]


def test_short_blocks_of_a_section_share_a_chunk() -> None:
    (chunk,) = chunks_of(Block("one."), Block("two."), Block("- three\n- four", "list"))
    assert chunk.text == "one.\ntwo.\n- three\n- four"


def test_long_text_is_cut_between_sentences_into_chunks_of_about_one_size() -> None:
    chunks = chunks_of(Block(sentences(50)))
    assert len(chunks) == 3
    sizes = [count_tokens(chunk.text) for chunk in chunks]
    assert max(sizes) <= TARGET_TOKENS + 2
    assert min(sizes) >= 0.7 * max(sizes)
    assert all(re.search(r"end\d+\.$", chunk.text) for chunk in chunks)


def test_a_cut_paragraph_repeats_one_sentence_and_a_cut_list_repeats_nothing() -> None:
    first, second, *_ = chunks_of(Block(sentences(50)))
    assert second.text.startswith(first.text[first.text.rindex("S") :])
    items = "\n".join(f"- item {number} {words(10)}." for number in range(40))
    lines = [line for chunk in chunks_of(Block(items, "list")) for line in chunk.text.splitlines()]
    assert "\n".join(lines) == items


def test_abbreviations_and_numbered_items_are_not_ends_of_sentences() -> None:
    text = f"3. Use e.g. trains. {sentences(30)}"
    assert chunks_of(Block(text))[0].text.startswith("3. Use e.g. trains. S0")


def test_a_table_is_cut_between_rows_and_every_row_names_its_cells() -> None:
    rows = "\n".join(f"City{number} | {number} EUR" for number in range(100))
    chunks = chunks_of(Block(rows, "table", header="City | Limit"))
    lines = [line for chunk in chunks for line in chunk.text.splitlines()]
    assert len(chunks) > 1
    assert lines == [f"City: City{number} | Limit: {number} EUR" for number in range(100)]


def test_every_chunk_of_a_table_begins_with_its_caption() -> None:
    rows = "\n".join(f"City{number} | {number}" for number in range(100))
    above = Block("Table 2: Hotel limits\n(in EUR per night)")
    first, *others = chunks_of(above, Block(rows, "table", header="City | Limit"))
    assert first.text.startswith("Table 2: Hotel limits\n(in EUR per night)\nCity: City0 | Limit: 0\n")
    assert len(others) > 1
    for chunk in others:
        assert re.match(r"Table 2: Hotel limits · \(in EUR per night\)\nCity: City\d+ \| ", chunk.text)


def test_a_second_table_in_a_chunk_stands_under_its_own_unit() -> None:
    tables = (
        Block("Berlin | 180", "table", header="(in EUR) | Limit"),
        Block("Meals"),
        Block("Oslo | 30", "table", header="(in NOK) | Limit"),
    )
    (chunk,) = chunks_of(Block("Hotels"), *tables)
    assert chunk.text == "Hotels\n(in EUR)\nBerlin | Limit: 180\nMeals\n(in NOK)\nOslo | Limit: 30"


def test_a_row_longer_than_a_chunk_is_cut_and_keeps_its_caption() -> None:
    chunks = chunks_of(Block("Hotel limits"), Block(f"Oslo | {words(300)}", "table", header="City | Limit"))
    assert len(chunks) > 1
    assert all(chunk.text.startswith("Hotel limits") for chunk in chunks)
    assert all(count_tokens(chunk.context) <= 256 for chunk in chunks)


def test_a_heading_is_carried_by_the_section_and_not_repeated_in_the_text() -> None:
    (chunk,) = chunks_of(Block("Hotels", "heading", section=("Hotels",)), Block("text.", section=("Hotels",)))
    assert (chunk.section, chunk.text) == (("Hotels",), "text.")


def test_a_heading_with_nothing_under_it_is_still_found() -> None:
    chunks = chunks_of(Block("Empty", "heading", section=("Empty",)), Block("B", "heading", section=("B",)))
    assert [chunk.text for chunk in chunks] == ["Empty", "B"]


def test_a_heading_too_long_for_the_section_is_text() -> None:
    long = "A paragraph that somebody styled as a heading"
    chunks = chunks_of(Block(long, "heading", section=("A par…",)), Block("text.", section=("A par…",)))
    assert long in chunks[0].text


def test_a_tiny_section_takes_along_the_section_under_it() -> None:
    (chunk,) = chunks_of(Block("Short.", section=("A",)), Block("Below.", section=("A", "B", "C")))
    assert (chunk.section, chunk.text) == (("A",), "Short.\nB › C\nBelow.")


@pytest.mark.parametrize(
    ("above", "below"),
    [
        (Block(words(60), section=("A",)), Block("Below.", section=("A", "B"))),
        (Block("Short.", section=("A",)), Block(words(199), section=("A", "B"))),
        (Block("Short.", section=("A",), page=1), Block("Below.", section=("A", "B"), page=2)),
        (Block("Short.", section=("A",)), Block("Beside.", section=("B",))),
    ],
    ids=["not tiny", "too much together", "another page", "not under it"],
)
def test_otherwise_sections_stay_apart(above: Block, below: Block) -> None:
    assert [chunk.section for chunk in chunks_of(above, below)] == [above.section, below.section]


def test_a_first_heading_that_is_the_title_is_not_said_twice() -> None:
    (chunk,) = chunks_of(Block("text.", section=("Policy", "Hotels")))
    assert chunk.context == "Policy › Hotels\ntext."


def test_an_enormous_title_and_section_leave_room_for_the_text() -> None:
    document = replace(DOCUMENT, title=words(500))
    chunks = chunks_of(Block(words(100), section=(words(300, "s"), "near")), document=document, max_tokens=64)
    assert all(count_tokens(chunk.context) <= 64 for chunk in chunks)
    assert " ".join(chunk.text for chunk in chunks) == words(100)


def test_a_word_longer_than_the_window_is_cut_inside() -> None:
    def count_characters(text: str) -> int:
        return len(text) + 2

    parsed = ParsedDocument((Block("x" * 1000),))
    chunks = chunk_document(DOCUMENT, parsed, count_tokens=count_characters, max_tokens=64)
    assert "".join(chunk.text for chunk in chunks) == "x" * 1000
    assert all(count_characters(chunk.context) <= 64 for chunk in chunks)


def test_a_tokenizer_that_counts_a_whole_higher_than_its_parts_is_obeyed() -> None:
    def count_pairs(text: str) -> int:
        return 2 + len(text.split()) + len(text.split()) // 2

    parsed = ParsedDocument((Block(sentences(50)),))
    chunks = chunk_document(DOCUMENT, parsed, count_tokens=count_pairs, max_tokens=64)
    assert all(count_pairs(chunk.context) <= 64 for chunk in chunks)


def test_counting_is_linear_in_the_length_of_the_text() -> None:
    counted = 0

    def count_and_note(text: str) -> int:
        nonlocal counted
        counted += len(text)
        return count_tokens(text)

    text = sentences(3000)
    chunk_document(DOCUMENT, ParsedDocument((Block(text),)), count_tokens=count_and_note, max_tokens=256)
    assert counted < 10 * len(text)


WORD = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=12)
SENTENCE = st.lists(WORD, min_size=1, max_size=30).map(lambda parts: " ".join(parts) + ".")
SECTION = st.lists(st.sampled_from(["A", "B", "C c"]), max_size=3).map(tuple)
BLOCK = st.builds(
    Block,
    text=st.lists(SENTENCE, min_size=1, max_size=20).map(" ".join),
    kind=st.sampled_from(["paragraph", "list", "heading", "table"]),
    page=st.sampled_from([None, 1, 2]),
    section=SECTION,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(BLOCK, min_size=1, max_size=8), st.integers(min_value=24, max_value=512))
def test_no_word_is_lost_every_chunk_fits_and_ids_are_unique_and_stable(blocks: list[Block], max_tokens: int) -> None:
    chunks = chunks_of(*blocks, max_tokens=max_tokens)
    assert chunks == chunks_of(*blocks, max_tokens=max_tokens)
    assert len({chunk.id for chunk in chunks}) == len(chunks)
    assert [chunk.ordinal for chunk in chunks] == list(range(len(chunks)))
    assert all(count_tokens(chunk.context) <= max_tokens for chunk in chunks)
    assert all(chunk.text.strip() == chunk.text != "" for chunk in chunks)
    kept = {word for chunk in chunks for word in re.findall(r"\w+", chunk.context)}
    assert {word for block in blocks for word in re.findall(r"\w+", block.text)} <= kept


def test_ids_change_with_the_bytes_and_with_the_document() -> None:
    (chunk,) = chunks_of(Block("text."))
    (of_other_bytes,) = chunks_of(Block("text."), document=replace(DOCUMENT, content_hash="other"))
    (of_other_document,) = chunks_of(Block("text."), document=replace(DOCUMENT, id=str(uuid.uuid4())))
    assert len({chunk.id, of_other_bytes.id, of_other_document.id}) == 3
