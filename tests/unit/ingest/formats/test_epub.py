from __future__ import annotations

import pytest

from pipelines.domain import Block
from pipelines.errors import EncryptedDocument, UnreadableDocument
from pipelines.ingest.formats import epub
from tests.unit.ingest.formats import make_zip
from tests.unit.ingest.formats.make_zip import a_zip

CHAPTERS = {
    "text/b.xhtml": "<body><p>Before</p><h1>One</h1><h2>Inner</h2><p>Text</p></body>",
    "a%20b.xhtml": "<body><h2>Only a small heading</h2><p>More</p></body>",
}
PROTECTION = """<encryption><EncryptedData><EncryptionMethod Algorithm="{}"/><CipherData>
<CipherReference URI="{}"/></CipherData></EncryptedData></encryption>"""


def test_chapters_come_in_the_order_of_the_spine_under_their_titles() -> None:
    chapters = {name.replace("%20", " "): body for name, body in CHAPTERS.items()}
    parsed = epub.parse(make_zip.epub(chapters))
    assert parsed.title == "The book"
    assert parsed.blocks == (
        Block("Before", section=("One",)),
        Block("One", "heading", section=("One",)),
        Block("Inner", "heading", section=("One", "Inner")),
        Block("Text", section=("One", "Inner")),
        Block("Only a small heading", "heading", section=("Only a small heading",)),
        Block("More", section=("Only a small heading",)),
    )


def test_a_protected_book_says_so_and_protected_fonts_do_not_matter() -> None:
    chapters = {"one.xhtml": "<body><p>text</p></body>"}
    listed = "META-INF/encryption.xml"
    fonts = make_zip.epub(
        chapters, more={listed: PROTECTION.format("http://www.idpf.org/2008/embedding", "OEBPS/f.otf")}
    )
    assert epub.parse(fonts).blocks == (Block("text"),)
    protected = make_zip.epub(chapters, more={listed: PROTECTION.format("aes128-cbc", "OEBPS/one.xhtml")})
    with pytest.raises(EncryptedDocument, match="protected against copying"):
        epub.parse(protected)


def test_a_member_outside_the_book_is_not_looked_for() -> None:
    assert epub.parse(make_zip.epub({"../../../etc/hostname": "<body/>"})).blocks == ()


@pytest.mark.parametrize("members", [{}, {"META-INF/container.xml": "<container/>"}])
def test_a_book_without_contents_is_unreadable(members: dict[str, str]) -> None:
    with pytest.raises(UnreadableDocument, match="broken"):
        epub.parse(a_zip({"mimetype": "application/epub+zip"} | members))
