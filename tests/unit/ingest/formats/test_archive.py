from __future__ import annotations

import io
import zipfile

import pytest

from pipelines.errors import DocumentTooLarge, EncryptedDocument, UnreadableDocument
from pipelines.ingest.formats import archive
from pipelines.ingest.formats.archive import Archive
from tests.unit.ingest.formats.make_zip import a_zip, members_of


def test_members_are_read_by_their_name() -> None:
    opened = Archive(a_zip({"a.xml": b"one", "../b": b"two"}), "file")
    assert (opened.names, opened.read("../b"), opened.find("a.xml"), opened.find("c")) == (
        frozenset({"a.xml", "../b"}),
        b"two",
        b"one",
        b"",
    )
    with pytest.raises(UnreadableDocument, match="The file is broken"):
        opened.read("c")


def test_what_unpacks_to_too_much_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    data = a_zip({"a": b"0" * 200_000})
    monkeypatch.setattr(archive, "RATIO_FROM", 100_000)
    with pytest.raises(DocumentTooLarge, match="unpacks to"):
        Archive(data, "file")
    monkeypatch.setattr(archive, "MAX_RATIO", 10_000)
    Archive(data, "file")
    monkeypatch.setattr(archive, "MAX_UNPACKED", 100_000)
    with pytest.raises(DocumentTooLarge, match="unpacks to"):
        Archive(data, "file")


def test_too_many_members_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBERS", 2)
    with pytest.raises(DocumentTooLarge, match="3 parts"):
        Archive(a_zip({"a": b"", "b": b"", "c": b""}), "file")


def test_a_member_that_is_larger_than_it_declares_is_not_unpacked() -> None:
    data = bytearray(a_zip({"a.xml": b"0" * 50_000_000}))
    size = (50_000_000).to_bytes(4, "little")
    while (place := data.find(size)) >= 0:
        data[place : place + 4] = (10).to_bytes(4, "little")
    opened = Archive(bytes(data), "file")
    for read in (lambda: opened.read("a.xml"), opened.repacked):
        with pytest.raises(UnreadableDocument, match="broken"):
            read()


def test_a_member_with_a_password_is_said_to_have_one() -> None:
    data = bytearray(a_zip({"a": b"x"}))
    data[data.find(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(EncryptedDocument):
        Archive(bytes(data), "file")


def test_what_is_repacked_keeps_texts_and_empties_pictures() -> None:
    data = a_zip({"a.xml": b"x", "b.PNG": b"picture", "c.rels": b"r"})
    repacked = Archive(data, "file").repacked(instead={"c.rels": b"other"})
    assert members_of(repacked) == {"a.xml": b"x", "b.PNG": b"", "c.rels": b"other"}
    with zipfile.ZipFile(io.BytesIO(repacked)) as opened:
        assert {member.compress_type for member in opened.infolist()} == {zipfile.ZIP_STORED}
