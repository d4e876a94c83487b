from __future__ import annotations

import pytest

from pipelines.domain import Block
from pipelines.errors import UnreadableDocument
from pipelines.ingest.formats import html

PAGE = """<!doctype html><html><head><title>Policy - Example</title><style>p{}</style></head><body>
<nav><ul><li>Home</li></ul></nav>
<h1>Security <em>policy</em></h1>
<div>Loose text <a href="/x">with a link</a>.<p>A paragraph<br>on two lines.</p>and a tail.</div>
<h2>Limits</h2>
<table><caption>Per night</caption>
<thead><tr><th>City</th><th>Limit</th></tr></thead>
<tbody><tr><td>Berlin</td><td>180 <b>EUR</b></td></tr><tr hidden><td>x</td><td>y</td></tr></tbody></table>
<ol><li>First</li><li>Second<ul><li>inner</li></ul> goes on</li></ol>
<pre>a = 1
b = 2</pre>
<script>alert("x")</script><!-- comment -->
<p hidden>h1</p><p style="display: none">h2</p><p aria-hidden="true">h3</p><p style="font-size:0">h4</p>
</body></html>"""


def test_a_page_becomes_blocks_in_reading_order() -> None:
    assert html.parse(PAGE.encode()).blocks == (
        Block("Security policy", "heading", section=("Security policy",)),
        Block("Loose text with a link.", section=("Security policy",)),
        Block("A paragraph\non two lines.", section=("Security policy",)),
        Block("and a tail.", section=("Security policy",)),
        Block("Limits", "heading", section=("Security policy", "Limits")),
        Block("Per night", section=("Security policy", "Limits")),
        Block("Berlin | 180 EUR", "table", section=("Security policy", "Limits"), header="City | Limit"),
        Block("1. First\n2. Second goes on\n- inner", "list", section=("Security policy", "Limits")),
        Block("a = 1\nb = 2", section=("Security policy", "Limits")),
    )


def test_the_title_is_the_only_h1_else_the_title_element() -> None:
    assert html.parse(PAGE.encode()).title == "Security policy"
    assert html.parse(b"<title>T</title><h1>a</h1><h1>b</h1>").title == "T"


@pytest.mark.parametrize(
    ("encoding", "declaration"),
    [("utf-8", ""), ("iso-8859-1", '<meta charset="iso-8859-1">'), ("cp1252", '<meta charset="windows-1252">')],
)
def test_the_encoding_is_the_declared_one_or_utf_8(encoding: str, declaration: str) -> None:
    page = f"<html><head>{declaration}</head><body>Größe</body></html>"
    assert html.parse(page.encode(encoding)).blocks == (Block("Größe"),)


def test_a_table_for_layout_is_read_as_text() -> None:
    page = b"<table><tr><td>left<table><tr><td>inner</td></tr></table></td><td>right</td></tr></table>"
    assert [block.text for block in html.parse(page).blocks] == ["left", "inner", "right"]


def test_control_characters_behind_a_list_in_a_list_do_no_harm() -> None:
    assert html.parse(b"<ul><li>a<ul><li>b</ul>c\x01d</ul>").blocks == (Block("- acd\n- b", "list"),)


def test_deep_nesting_is_read_without_an_error() -> None:
    assert html.parse(b"<div>" * 20_000 + b"text" + b"</div>" * 20_000) is not None


@pytest.mark.parametrize("data", [b"<!-- -->", b"   "])
def test_what_holds_no_page_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableDocument):
        html.parse(data)
