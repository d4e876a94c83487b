"""Generations of the index, side by side in one folder: another model or chunking is built beside the one searched.

A folder and the configured model go in; what readers search, what ingestion writes and what can be rolled back to come
out. Which generation is which stands in one small file, replaced in one step, so that a crash leaves the state before
or after; folders that it does not name are deleted at the next start.
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import InvalidRequest, SetupFailed
from pipelines.providers.base import EmbeddingProvider
from pipelines.stores.base import ChunkIndex
from pipelines.stores.generation_records import GenerationRecord, Pointer, read_pointer, write_pointer
from pipelines.stores.qdrant_edge import QdrantEdgeIndex

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Generation:
    """An index with the model that made its vectors. `recipe` tells how its chunks were made; "" when not known."""

    id: str
    index: ChunkIndex
    embedding: EmbeddingProvider
    recipe: str


@dataclass(frozen=True, slots=True)
class _State:
    """What one assignment swaps; `last` is the number of the newest generation that there ever was."""

    live: Generation
    building: Generation | None
    previous: Generation | None
    last: int


class Generations:
    """The generations under `folder`, which one process may have open. Thread-safe: readers never wait.

    `embedding` and `recipe` are the configured ones. The live generation goes on with the model and recipe it was
    built with, even where the settings now say otherwise (`outdated`); `load` gets such a model by its name.

    Raises:
        SetupFailed: another process has the folder open, it is damaged, or the live generation's model is gone.
        StoreUnavailable: the engine failed.
    """

    def __init__(
        self, folder: Path, *, embedding: EmbeddingProvider, recipe: str, load: Callable[[str], EmbeddingProvider]
    ) -> None:
        self._folder = folder
        self._configured = (embedding.name, recipe)
        self._load = load
        self._models = {embedding.name: embedding}
        self._switching = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        pointer = read_pointer(folder)
        # From here on no other process has the folder open: the engine locks the live generation.
        self._state = self._reopen(pointer) if pointer else _State(self._open("g1", embedding, recipe), None, None, 1)
        if pointer != _pointer(self._state):
            write_pointer(folder, _pointer(self._state))
        self._delete_unnamed()

    @property
    def live(self) -> Generation:
        """What readers search. Read it once for a question: its index and its model belong together."""
        return self._state.live

    @property
    def building(self) -> Generation | None:
        """What is being built beside it."""
        return self._state.building

    @property
    def previous(self) -> Generation | None:
        """What was live before, kept for `roll_back`. Nothing is written to it, but for removals and access."""
        return self._state.previous

    @property
    def outdated(self) -> bool:
        """Whether the live generation has another model or recipe than the configured ones."""
        live = self.live
        return (live.embedding.name, live.recipe) != self._configured

    def written(self) -> tuple[Generation, ...]:
        """What ingestion writes to: the live one, then the one being built."""
        state = self._state
        return tuple(generation for generation in (state.live, state.building) if generation)

    def kept(self) -> tuple[Generation, ...]:
        """All that are open: removals and changes of access go to each, so that no roll-back brings back a reader."""
        return _kept(self._state)

    def begin(self, embedding: EmbeddingProvider, recipe: str) -> Generation:
        """Start a new, empty generation beside the live one.

        Raises:
            InvalidRequest: one is being built.
            SetupFailed, StoreUnavailable: it cannot be created; all is as it was.
        """
        with self._switching:
            state = self._state
            if state.building:
                raise InvalidRequest("The index is being rebuilt already: wait until it is done, or abandon it.")
            number = state.last + 1
            shutil.rmtree(self._folder / f"g{number}", ignore_errors=True)
            self._models[embedding.name] = embedding
            building = self._open(f"g{number}", embedding, recipe)
            self._become(_State(state.live, building, state.previous, number))
            return building

    def switch(self) -> None:
        """Let readers search what was built, from the next question on; what was live can be rolled back to.

        Raises:
            InvalidRequest: nothing is being built.
        """
        with self._switching:
            state = self._state
            if state.building is None:
                raise InvalidRequest("No rebuilt index is there to switch to: begin one first.")
            self._become(_State(state.building, None, state.live, state.last))

    def roll_back(self) -> None:
        """Let readers search the previous generation again; doing it twice comes back.

        Raises:
            InvalidRequest: there is none.
        """
        with self._switching:
            state = self._state
            if state.previous is None:
                raise InvalidRequest("There is no earlier index to go back to.")
            self._become(_State(state.previous, state.building, state.live, state.last))

    def abandon(self) -> None:
        """Stop building and delete what was built; does nothing when nothing is being built."""
        with self._switching:
            state = self._state
            if state.building:
                self._become(_State(state.live, None, state.previous, state.last))

    def close(self) -> None:
        """Release the files."""
        for generation in self.kept():
            generation.index.close()

    def _become(self, new: _State) -> None:
        """First on disk, then for readers, then without what is no longer named."""
        write_pointer(self._folder, _pointer(new))
        old, self._state = self._state, new
        named = {generation.id for generation in _kept(new)}
        for generation in _kept(old):
            if generation.id not in named:
                generation.index.close()
        self._delete_unnamed()

    def _reopen(self, pointer: Pointer) -> _State:
        live = self._opened(pointer.live)
        return _State(live, self._spare(pointer.building), self._spare(pointer.previous), pointer.last)

    def _spare(self, record: GenerationRecord | None) -> Generation | None:
        """A generation that is not searched; given up where it cannot be opened, since readers must not wait for it."""
        if record is None:
            return None
        try:
            return self._opened(record)
        except SetupFailed as error:
            log.warning("The index %s, which is not searched, is deleted. %s", record.id, error.message)
            return None

    def _opened(self, record: GenerationRecord) -> Generation:
        if record.embedding not in self._models:
            self._models[record.embedding] = self._load(record.embedding)
        return self._open(record.id, self._models[record.embedding], record.recipe)

    def _open(self, generation: str, embedding: EmbeddingProvider, recipe: str) -> Generation:
        return Generation(generation, QdrantEdgeIndex(self._folder / generation, embedding), embedding, recipe)

    def _delete_unnamed(self) -> None:
        named = {generation.id for generation in self.kept()}
        for folder in self._folder.glob("g[0-9]*"):
            if folder.name not in named:
                shutil.rmtree(folder, ignore_errors=True)


def _kept(state: _State) -> tuple[Generation, ...]:
    return tuple(generation for generation in (state.live, state.building, state.previous) if generation)


def _pointer(state: _State) -> Pointer:
    return Pointer(_record(state.live), _maybe(state.building), _maybe(state.previous), state.last)


def _maybe(generation: Generation | None) -> GenerationRecord | None:
    return None if generation is None else _record(generation)


def _record(generation: Generation) -> GenerationRecord:
    return GenerationRecord(generation.id, generation.embedding.name, generation.recipe)
