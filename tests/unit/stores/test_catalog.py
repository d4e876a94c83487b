"""What the catalog tells of all documents; how they are recognised is tested in `answer/test_recognise.py`."""

from __future__ import annotations

import random
from dataclasses import replace

from pipelines.domain import EVERYONE, Document, group_scope
from pipelines.stores.catalog import Catalog

ONE = Document("d1", "Leave", "upload://leave.md", "text/markdown", "hash-1", 10)
TWO = replace(ONE, id="d2", content_hash="hash-2", access=(group_scope("a"), group_scope("b")))


def test_the_fingerprint_follows_from_the_documents_and_not_from_their_history() -> None:
    documents = [replace(ONE, id=f"d{number}") for number in range(50)]
    one = Catalog(documents)
    shuffled = random.Random(7).sample(documents, 50)
    other = Catalog([*shuffled, replace(TWO, id="another")])
    assert one.fingerprint != other.fingerprint
    other.put(ONE)
    other.remove(ONE.id)
    other.remove("another")
    one.remove(ONE.id)
    assert one.fingerprint == other.fingerprint
    assert len(one.fingerprint) == 32


def test_every_change_of_a_document_changes_the_fingerprint_and_its_undoing_brings_it_back() -> None:
    catalog = Catalog([ONE, TWO])
    before = catalog.fingerprint
    seen = {before}
    for change in (
        lambda: catalog.put(replace(TWO, content_hash="hash-3")),
        lambda: catalog.put(replace(TWO, access=(EVERYONE,))),
        lambda: catalog.remove(TWO.id),
        lambda: catalog.put(replace(TWO, id="d3")),
        lambda: catalog.remove(ONE.id),
    ):
        change()
        assert catalog.fingerprint not in seen
        seen.add(catalog.fingerprint)
    catalog.remove("d3")
    catalog.put(TWO)
    catalog.put(ONE)
    assert catalog.fingerprint == before


def test_another_access_is_another_fingerprint_in_whatever_order_it_is_named() -> None:
    catalog = Catalog([TWO])
    before = catalog.fingerprint
    catalog.set_access(TWO.id, (group_scope("b"), group_scope("a")))
    assert catalog.fingerprint == before
    catalog.set_access(TWO.id, (group_scope("b"),))
    assert catalog.fingerprint != before


def test_knows_whether_a_scope_opens_any_document() -> None:
    catalog = Catalog([ONE, TWO, replace(TWO, id="d3", access=(group_scope("a"), group_scope("a")))])
    assert catalog.opens_to(EVERYONE)
    assert catalog.opens_to(group_scope("a"))
    assert not catalog.opens_to(group_scope("c"))
    catalog.set_access(TWO.id, (group_scope("b"),))
    assert catalog.opens_to(group_scope("a"))
    catalog.remove("d3")
    assert not catalog.opens_to(group_scope("a"))
