"""Where the generations of the index lie, and what says which is which: in a folder, or on a Qdrant server."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from pathlib import Path

from pipelines.providers.base import EmbeddingProvider
from pipelines.stores.base import ChunkIndex
from pipelines.stores.generation_records import Pointer, read_pointer, write_pointer
from pipelines.stores.qdrant_edge import QdrantEdgeIndex


class GenerationStore(ABC):
    """Generations by id, `g1`, `g2` and so on, and the pointer to those that count."""

    shared: bool
    """Whether other processes have it open, too, and change it."""

    @abstractmethod
    def read(self) -> Pointer | None:
        """Which generations count; None when there are none yet. Raises `SetupFailed`, `StoreUnavailable`."""

    @abstractmethod
    def write(self, new: Pointer, old: Pointer | None) -> None:
        """Make these the generations that count, in one step; it is durable when this returns.

        Raises:
            SetupFailed: it cannot be written.
            StoreUnavailable: another process has changed what was `old`.
        """

    @abstractmethod
    def open(self, generation: str, embedding: EmbeddingProvider) -> ChunkIndex:
        """The index of that id, made if there is none. Raises `SetupFailed`, `StoreUnavailable`."""

    @abstractmethod
    def left_over(self, pointer: Pointer) -> list[str]:
        """Generations that the pointer does not name, and nobody is just making."""

    @abstractmethod
    def delete(self, generation: str) -> None:
        """Delete a generation that nobody has open; no error when there is none."""

    @abstractmethod
    def close(self) -> None:
        """Release what the store itself holds."""


class FolderGenerations(GenerationStore):
    """A folder for each generation under `folder`, which one process may have open."""

    shared = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def read(self) -> Pointer | None:
        return read_pointer(self._folder)

    def write(self, new: Pointer, old: Pointer | None) -> None:
        del old
        write_pointer(self._folder, new)

    def open(self, generation: str, embedding: EmbeddingProvider) -> ChunkIndex:
        return QdrantEdgeIndex(self._folder / generation, embedding)

    def left_over(self, pointer: Pointer) -> list[str]:
        return [folder.name for folder in self._folder.glob("g[0-9]*") if folder.name not in pointer.ids]

    def delete(self, generation: str) -> None:
        shutil.rmtree(self._folder / generation, ignore_errors=True)

    def close(self) -> None:
        """Nothing is open but the indexes."""
