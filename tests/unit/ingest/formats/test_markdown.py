from __future__ import annotations

from pipelines.domain import Block
from pipelines.ingest.formats import markdown

POLICY = b"""---
title: "Travel policy"
owner: finance
---
# Travel

Hotels are [booked](https://example.com/x) by the
**travel desk**.

## Limits

| City | Limit |
|------|------:|
| Berlin | 180 EUR |
| Paris | 200 EUR |

1. First
2. Second
   - inner
   - `code`

```python
price = 1
    indented = 2
```

> Quoted *text*.

Setext
------
Last.
"""


def test_headings_paragraphs_tables_lists_and_code_become_blocks_with_their_sections() -> None:
    assert markdown.parse(POLICY).blocks == (
        Block("Travel", "heading", section=("Travel",)),
        Block("Hotels are booked by the travel desk.", section=("Travel",)),
        Block("Limits", "heading", section=("Travel", "Limits")),
        Block("Berlin | 180 EUR\nParis | 200 EUR", "table", section=("Travel", "Limits"), header="City | Limit"),
        Block("1. First\n2. Second\n- inner\n- code", "list", section=("Travel", "Limits")),
        Block("price = 1\nindented = 2", section=("Travel", "Limits")),
        Block("Quoted text.", section=("Travel", "Limits")),
        Block("Setext", "heading", section=("Travel", "Setext")),
        Block("Last.", section=("Travel", "Setext")),
    )


def test_the_front_matter_names_the_document_and_is_no_text() -> None:
    parsed = markdown.parse(POLICY)
    assert parsed.title == "Travel policy"
    assert not any("finance" in block.text for block in parsed.blocks)


def test_without_front_matter_the_only_first_level_heading_is_the_title() -> None:
    assert markdown.parse(b"# One\n\ntext\n\n## Two").title == "One"
    assert markdown.parse(b"# One\n\n# Two").title == ""
    assert markdown.parse(b"text").title == ""


def test_a_rule_at_the_start_is_not_front_matter() -> None:
    assert [block.text for block in markdown.parse(b"---\n\ntext\n").blocks] == ["text"]


def test_html_inside_is_read_as_a_reader_sees_it() -> None:
    blocks = markdown.parse(
        b"# T\n\n<div>seen <!-- not seen --><script>no()</script></div>\n\n<!-- hidden -->\n\na <b>c</b>"
    ).blocks
    assert [block.text for block in blocks] == ["T", "seen", "a c"]
    assert blocks[1].section == ("T",)


def test_deep_nesting_is_read_without_an_error() -> None:
    assert markdown.parse(b"> " * 5000 + b"text")
    assert markdown.parse(b"".join(b"  " * depth + b"- x\n" for depth in range(500)))
