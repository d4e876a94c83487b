"""The folder of an embedded index: its path and its embedding model in, the shard in it that counts out, opened.

A shard that is built anew lies beside the one that is searched. Which of them counts stands in one small record,
replaced in one step, so that whenever the process stops, exactly one does; the others are deleted at the next opening.
"""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import qdrant_edge as qdrant

from pipelines.errors import SetupFailed, StoreUnavailable
from pipelines.providers.base import EmbeddingProvider
from pipelines.stores.durable import read_json, write_json
from pipelines.stores.payload import BM25, DENSE
from pipelines.stores.qdrant_edge_points import FIELDS

_FIRST = "shard"
_NAME = re.compile(r"shard(-[0-9a-f]{32})?")


class ShardFolders:
    """The folders of shards below that of an index.

    Raises:
        SetupFailed: the record is damaged, or names a shard that is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._record = folder / "shard.json"
        self.current = self._recorded()

    def open_current(self, dimensions: int) -> qdrant.EdgeShard:
        """Open the shard that counts, made if there is none, and delete what another process left beside it.

        Raises `SetupFailed`: it is open in another process, or damaged.
        """
        shard = open_shard(self.current, dimensions)
        if self._recorded() != self.current:
            # Another process has put a built shard in its place since the record was read, and has that one open.
            shard.close()
            raise _in_use(self.current)
        self.delete_others()
        return shard

    def new(self) -> Path:
        """A folder that does not exist. No name comes twice: a process that still writes to a lost one harms none."""
        return self._folder / f"{_FIRST}-{uuid.uuid4().hex}"

    def use(self, shard: Path) -> None:
        """Let this shard count from now on; it is durable when this returns. Raises `OSError`: the old one counts."""
        try:
            write_json(self._record, {"shard": shard.name})
        except OSError:
            # It may have failed after the record was replaced: then it holds.
            if self._recorded() != shard:
                raise
        self.current = shard

    def delete_others(self) -> None:
        """Delete the shards that do not count; what cannot be deleted now is at the next opening."""
        for other in self._folder.glob(f"{_FIRST}*"):
            if other != self.current and other.is_dir() and _NAME.fullmatch(other.name):
                shutil.rmtree(other, ignore_errors=True)

    def _recorded(self) -> Path:
        try:
            record = read_json(self._record)
        except ValueError as error:
            raise self._damaged() from error
        if record is None:
            return self._folder / _FIRST
        name = record.get("shard")
        if not (isinstance(name, str) and _NAME.fullmatch(name) and (self._folder / name / "segments").is_dir()):
            raise self._damaged()
        return self._folder / name

    def _damaged(self) -> SetupFailed:
        return SetupFailed(f"{self._record} is damaged: delete {self._folder}, and all is indexed anew.")


def claim(record: Path, embedding: EmbeddingProvider) -> None:
    """Write down which model the index is built with, or refuse another than the one written down.

    Raises `SetupFailed`.
    """
    wanted = {"embedding": embedding.name, "dimensions": embedding.dimensions}
    try:
        built_with = read_json(record)
    except ValueError as error:
        raise SetupFailed(f"{record} is damaged: delete {record.parent}, and all is indexed anew.") from error
    if built_with is None:
        write_json(record, wanted)
    elif built_with != wanted:
        raise SetupFailed(
            f"The index in {record.parent} was built with {built_with.get('embedding')}, but the embedding model is "
            f"now {embedding.name}: set EMBEDDING_MODEL back, or delete that folder, and all is indexed anew."
        )


def open_shard(folder: Path, dimensions: int) -> qdrant.EdgeShard:
    """Open a shard, or make one. Raises `SetupFailed`: it is open in another process, or damaged."""
    try:
        if any((folder / "segments").glob("*")):
            shard = qdrant.EdgeShard.load(str(folder))
        else:
            shard = qdrant.EdgeShard.create(str(folder), _config(dimensions))
        for field, kind in FIELDS.items():
            if field not in shard.info().payload_schema:
                shard.update(qdrant.UpdateOperation.create_field_index(field, kind))
    except Exception as error:
        raise _setup_failed(folder, error) from error
    return shard


@contextmanager
def translated() -> Iterator[None]:
    """Raise `StoreUnavailable` for whatever the engine raises."""
    try:
        yield
    except StoreUnavailable:
        raise
    except Exception as error:
        # Broad, because everything the engine raises is a bare Exception.
        raise StoreUnavailable(f"The document index failed: {error}.") from error


def _setup_failed(folder: Path, error: Exception) -> SetupFailed:
    # How the engine says that the lock on its log is taken; everything it raises is a bare Exception.
    if "WouldBlock" in str(error):
        return _in_use(folder)
    return SetupFailed(f"The index in {folder} cannot be opened: {error}.")


def _in_use(folder: Path) -> SetupFailed:
    return SetupFailed(f"The index in {folder} is open in another process: stop that one first.")


def _config(dimensions: int) -> qdrant.EdgeConfig:
    return qdrant.EdgeConfig(
        vectors={DENSE: qdrant.EdgeVectorParams(dimensions, qdrant.Distance.Cosine)},
        sparse_vectors={BM25: qdrant.EdgeSparseVectorParams(modifier=qdrant.Modifier.Idf)},
        wal_enabled=True,
    )
