"""Back-filling with an engine that runs here: real registry, real index, and what may come in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Timer

import pytest

from pipelines.domain import EVERYONE, Grant
from pipelines.errors import EncryptedDocument, SetupFailed, SourceUnavailable
from pipelines.ingest.access import AccessRules
from pipelines.ingest.add_paths import Progress
from pipelines.ingest.bulk import GONE, LOST, Bulk
from pipelines.ingest.bulk_list import BulkLister
from pipelines.ingest.engine_ray import CollectedChunks, Preparation, PreparedDocument
from pipelines.ingest.fetch import document_id
from pipelines.ingest.isolate import Isolation
from pipelines.ingest.publish import apply_due_access
from pipelines.ingest.run import IngestPath
from pipelines.ingest.sync import listing
from pipelines.stores.base import DocumentSource
from pipelines.stores.folder import FolderSource
from pipelines.stores.generations import Generations
from pipelines.stores.registry import Registry
from pipelines.stores.uploads import UploadFolder
from tests.fakes.word_embedding import WordEmbedding

EMBEDDING = WordEmbedding()
RULES = AccessRules(Grant(everyone=True))

Prepare = Callable[[Sequence[Preparation]], Iterator[PreparedDocument]]


class Here:
    """A deployment in this process; `share` is its source, and `prepare` an engine that does as Ray's workers do."""

    def __init__(self, folder: Path, registry: Registry, isolation: Isolation, threads: ThreadPoolExecutor) -> None:
        self.share = folder / "share"
        self.share.mkdir()
        (folder / "spool").mkdir()
        self.registry = registry
        self.generations = Generations(folder / "index", embedding=EMBEDDING, recipe="r", load=lambda _: EMBEDDING)
        self.uploads = UploadFolder(folder / "uploads")
        self.source = FolderSource(self.share)
        self._path = IngestPath(isolation, None, threads, 1, folder / "spool", 10**6)

    def open_source(self, url: str) -> DocumentSource:
        return self.uploads if url == self.uploads.url else self.source

    def prepare(self, wanted: Sequence[Preparation]) -> Iterator[PreparedDocument]:
        for each in wanted:
            source = self.open_source(each.source)
            entry = source.find(each.entry.origin)
            assert entry is not None
            collected = CollectedChunks()
            generation = replace(self.generations.live, index=collected)
            new = [generation]
            staged = self._path.stage(
                entry, source, lambda found, held=each.held, new=new: [] if found == held else new
            )  # type: ignore[misc]
            yield PreparedDocument(entry, staged and replace(staged, generations=()), tuple(collected.batches))

    def add(self, *places: Path | str, prepare: Prepare | None = None, grant: Grant | None = None) -> list[Progress]:
        """Back-fill, and return what was said of each document."""

        def reopen(document_id: str, readers: Grant) -> None:
            self.registry.set_grant(document_id, readers, "person")
            apply_due_access(self.generations.kept, self.registry)

        lister = BulkLister(
            urls=[self.source.url],
            open_source=self.open_source,
            uploads=self.uploads,
            registry=self.registry,
            indexed=self.registry.indexed(self.generations.live.id),
            rules=RULES,
            grant=grant,
            reopen=reopen,
            max_bytes=10**6,
        )
        bulk = Bulk(self.registry, self.generations, prepare or self.prepare)
        return [step for step in bulk.add(tuple(lister.list([str(place) for place in places]))) if step.name]

    def readers(self) -> dict[str, tuple[str, ...]]:
        """Who may read what is found, by file name."""
        return {each.document.name: each.document.access for each in self.generations.live.index.documents()}

    def id(self, name: str) -> str:
        return document_id(f"{self.source.url}/{name}")


@pytest.fixture(scope="module")
def isolation() -> Iterator[Isolation]:
    opened = Isolation(workers=1, memory_mb=512, timeout_s=30)
    yield opened
    opened.close()


@pytest.fixture
def here(tmp_path: Path, registry: Registry, isolation: Isolation) -> Iterator[Here]:
    with ThreadPoolExecutor(1) as threads:
        opened = Here(tmp_path, registry, isolation, threads)
        (opened.share / "a.md").write_text("Hotels cost 100.")
        yield opened
        opened.generations.close()


def test_what_lies_in_a_source_stays_there_and_anything_else_is_kept_with_the_uploads(
    here: Here, tmp_path: Path
) -> None:
    (tmp_path / "b.md").write_text("Trains leave at nine.")

    steps = here.add(here.share, tmp_path / "b.md", here.share / "a.md")

    assert [(step.name, step.problem, step.unchanged) for step in steps] == [("a.md", "", False), ("b.md", "", False)]
    assert (steps[-1].done, steps[-1].total, steps[-1].chunks) == (2, 2, 2)
    assert here.readers() == {"a.md": (EVERYONE,), "b.md": (EVERYONE,)}
    origin = f"upload://{tmp_path.resolve()}/b.md"
    assert here.registry.get(document_id(origin)).source == here.uploads.url
    assert here.registry.get(here.id("a.md")).source == here.source.url
    assert here.uploads.find(origin) is not None


def test_what_has_not_changed_is_not_prepared_again(here: Here, tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("Trains leave at nine.")
    here.add(here.share, tmp_path / "b.md")

    def nothing(wanted: Sequence[Preparation]) -> Iterator[PreparedDocument]:
        raise AssertionError(wanted)

    steps = here.add(here.share, tmp_path / "b.md", prepare=nothing)

    assert [(step.name, step.unchanged) for step in steps] == [("a.md", True), ("b.md", True)]


def test_a_new_date_on_the_same_bytes_is_noted_without_reading_them(here: Here) -> None:
    here.add(here.share)
    before = here.registry.get(here.id("a.md"))
    (here.share / "a.md").touch()

    assert [step.problem for step in here.add(here.share)] == [""]

    after = here.registry.get(here.id("a.md"))
    assert (after.state, after.indexed_at) == ("ready", before.indexed_at)
    assert after.version != before.version


def test_changed_bytes_replace_the_earlier_revision(here: Here) -> None:
    here.add(here.share)
    (here.share / "a.md").write_text("Hotels cost 200 euros.")

    here.add(here.share)

    assert here.generations.live.index.count() == 1
    assert here.registry.get(here.id("a.md")).content_hash in {
        each.document.content_hash for each in here.generations.live.index.documents()
    }


def test_other_readers_are_noted_without_preparing_anything(here: Here) -> None:
    here.add(here.share)

    steps = here.add(here.share, grant=Grant(users=("u1",)))

    assert [step.unchanged for step in steps] == [False]
    assert here.readers() == {"a.md": ("user:u1",)}


@pytest.mark.parametrize(
    ("error", "state"), [(EncryptedDocument("It is locked."), "failed"), (SourceUnavailable("No share."), "queued")]
)
def test_what_the_engine_says_of_a_document_is_recorded(here: Here, error: EncryptedDocument, state: str) -> None:
    def refuse(wanted: Sequence[Preparation]) -> Iterator[PreparedDocument]:
        yield from (PreparedDocument(each.entry, error=error) for each in wanted)

    assert [step.problem for step in here.add(here.share, prepare=refuse)] == [error.message]

    record = here.registry.get(here.id("a.md"))
    assert (record.state, record.error_code, record.problem) == (state, error.code, error.message)


def test_what_is_wrong_with_the_settings_ends_the_run_and_is_said_of_no_document(here: Here) -> None:
    def refuse(wanted: Sequence[Preparation]) -> Iterator[PreparedDocument]:
        yield from (PreparedDocument(each.entry, error=SetupFailed("No model here.")) for each in wanted)

    with pytest.raises(SetupFailed, match="No model here"):
        here.add(here.share, prepare=refuse)

    assert here.registry.counts() == {}


def test_what_the_engine_loses_is_queued_for_the_workers(here: Here) -> None:
    assert [step.problem for step in here.add(here.share, prepare=lambda _: iter(()))] == [LOST]

    with here.registry.claim() as record:
        assert record is not None
        assert record.id == here.id("a.md")


def test_a_document_that_another_worker_is_at_is_left_to_it_and_waited_for(here: Here) -> None:
    (entry,) = here.source.list()
    here.registry.put([listing(entry, here.source.url, Grant(everyone=True), "rules")])
    with here.registry.claim() as record:
        assert record is not None
        Timer(0.3, lambda: here.registry.begin_removing([record.id])).start()

        assert [step.problem for step in here.add(here.share)] == [GONE]

    assert here.generations.live.index.count() == 0


def test_an_address_in_no_source_is_refused(here: Here) -> None:
    with pytest.raises(SetupFailed, match="lies in no source"):
        here.add("s3://bucket/prefix")
