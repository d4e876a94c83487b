"""Every format over files that are cut, damaged or made to harm: read, or refused with a sentence, and nothing else."""

from __future__ import annotations

import random
import time

import pytest

from pipelines.domain import ParsedDocument
from pipelines.errors import DocumentRejected, DocumentTooLarge, UnreadableDocument
from pipelines.ingest import formats
from tests.unit.ingest.formats import make_ole, make_zip, samples
from tests.unit.ingest.formats.make_zip import a_zip, members_of

SAMPLES = samples.all_samples()
ZIPPED = [name for name, data in SAMPLES.items() if data.startswith(b"PK")]
CUTS = 30
FLIPS = 50

every_format = pytest.mark.parametrize("name", SAMPLES)


def read_or_refuse(name: str, data: bytes) -> None:
    try:
        parsed = formats.recognise(name, data).parse(data)
    except DocumentRejected as error:
        assert error.message.endswith((".", "?"))
    else:
        assert isinstance(parsed, ParsedDocument)


def flipped(data: bytes, seed: int) -> bytes:
    damaged = bytearray(data)
    places = random.Random(seed)
    for _ in range(1 + seed % 4):
        damaged[places.randrange(len(damaged))] ^= 1 << places.randrange(8)
    return bytes(damaged)


@every_format
def test_a_whole_document_is_recognised_and_read(name: str) -> None:
    parsed = formats.recognise(name, SAMPLES[name]).parse(SAMPLES[name])
    assert any("Berlin" in block.text for block in parsed.blocks)


@every_format
def test_a_truncated_document_is_read_or_refused(name: str) -> None:
    whole = SAMPLES[name]
    for cut in range(CUTS):
        read_or_refuse(name, whole[: len(whole) * cut // CUTS])


@every_format
def test_a_damaged_document_is_read_or_refused(name: str) -> None:
    for seed in range(FLIPS):
        read_or_refuse(name, flipped(SAMPLES[name], seed))


@pytest.mark.parametrize("name", ZIPPED)
def test_a_document_with_damaged_parts_is_read_or_refused(name: str) -> None:
    members = members_of(SAMPLES[name])
    for seed in range(FLIPS):
        part = random.Random(seed).choice([member for member, data in members.items() if data])
        read_or_refuse(name, a_zip(members | {part: flipped(members[part], seed)}))


@pytest.mark.parametrize("name", ZIPPED)
def test_a_document_without_one_of_its_parts_is_read_or_refused(name: str) -> None:
    members = members_of(SAMPLES[name])
    for part in members:
        read_or_refuse(name, a_zip({other: data for other, data in members.items() if other != part}))
        read_or_refuse(name, a_zip(members | {part: b""}))


@every_format
def test_noise_behind_the_right_beginning_is_read_or_refused(name: str) -> None:
    noise = random.Random(name).randbytes(3000)
    for kept in (8, 64, 600):
        read_or_refuse(name, SAMPLES[name][:kept] + noise)


@pytest.mark.parametrize("name", ["a.docx", "a.pptx", "a.odt", "a.ods", "a.epub", "a.xlsx"])
@pytest.mark.parametrize(
    "declared",
    [
        '<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">',
        '<!ENTITY c SYSTEM "file:///etc/hostname">',
        f'<!ENTITY c "{"x" * 50_000}">',
    ],
    ids=["billion laughs", "external", "quadratic"],
)
def test_no_entity_is_ever_expanded(name: str, declared: str) -> None:
    members = members_of(SAMPLES[name])
    for part, data in members.items():
        if b"Berlin" in data:
            head, _, rest = data.rpartition(b"?>")
            body = rest.replace(b"Berlin", b"Berlin" + b"&c;" * 1000)
            members[part] = head + (b"?>" if head else b"") + f"<!DOCTYPE x [{declared}]>".encode() + body
    began = time.monotonic()
    try:
        texts = [block.text for block in formats.recognise(name, a_zip(members)).parse(a_zip(members)).blocks]
    except UnreadableDocument:
        texts = []
    assert all(len(text) < 10_000 for text in texts)
    assert time.monotonic() - began < 2


DEEP = 100_000


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.html", b"<div>" * DEEP + b"x"),
        ("a.html", b"<ul><li>" * DEEP + b"x"),
        ("a.html", b"<h1><b>" * DEEP + b"x"),
        ("a.html", b"<table><tr><td>" * DEEP + b"x"),
        ("a.md", b"> " * DEEP + b"x"),
        ("a.md", b"- " * (DEEP // 20) + b"x"),
        ("a.md", b"*" * DEEP + b"x"),
        ("a.rtf", b"{\\rtf1 " + b"{" * DEEP + b"x"),
        ("a.odt", make_zip.opendocument("text", "<text:section>" * DEEP + "</text:section>" * DEEP)),
        ("a.odt", make_zip.opendocument("text", "<text:p>" * 200 + "x" + "</text:p>" * 200)),
        ("a.epub", make_zip.epub({"a.xhtml": "<body>" + "<div>" * DEEP + "x"})),
        ("a.eml", b"".join(b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (n, n) for n in range(3000))),
        ("a.eml", b"Content-Type: message/rfc822\n\n" * 3000 + b"Subject: x\n\nx"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[:12].decode("latin-1"),
)
def test_deep_nesting_is_read_or_refused(name: str, data: bytes) -> None:
    read_or_refuse(name, data)


@pytest.mark.parametrize("name", ["a.docx", "a.pptx", "a.xlsx", "a.ods"])
def test_deep_nesting_in_an_office_file_is_read_or_refused(name: str) -> None:
    members = members_of(SAMPLES[name])
    part = next(part for part, data in members.items() if b"Berlin" in data)
    read_or_refuse(name, a_zip(members | {part: b"<a>" * DEEP + b"</a>" * DEEP}))


def test_a_cell_in_the_last_corner_is_refused_before_the_sheet_is_laid_out() -> None:
    members = members_of(SAMPLES["a.xlsx"])
    sheet = "xl/worksheets/sheet1.xml"
    members[sheet] = members[sheet].replace(b'r="B2"', b'r="XFD1048576"')
    with pytest.raises(DocumentTooLarge, match="17,179,869,184 cells"):
        formats.XLSX.parse(a_zip(members))
    far = make_ole.old_workbook({"S": [["a"]] + [[] for _ in range(60_000)] + [["x"] * 250]})
    with pytest.raises(DocumentTooLarge, match="cells"):
        formats.XLS.parse(far)
