"""Generations of the index, side by side in one store: another model or chunking is built beside the one searched.

A store and the configured model go in; what readers search, what ingestion writes and what can be rolled back to come
out. Which generation is which stands in one small record, replaced in one step, so that a crash leaves the state before
or after; generations that it does not name are deleted at the next start.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pipelines.errors import InvalidRequest, RaglineError, SetupFailed, StoreUnavailable
from pipelines.providers.base import EmbeddingProvider
from pipelines.stores.base import ChunkIndex
from pipelines.stores.generation_records import GenerationRecord, Pointer
from pipelines.stores.generation_store import FolderGenerations, GenerationStore

log = logging.getLogger(__name__)

FOLLOW_S = 2.0
"""How often a process looks for a switch that another one has made."""


@dataclass(frozen=True, slots=True)
class Generation:
    """An index with the model that made its vectors. `recipe` tells how its chunks were made; "" when not known."""

    id: str
    index: ChunkIndex
    embedding: EmbeddingProvider
    recipe: str


NO_GENERATIONS: Mapping[str, Generation] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class _State:
    """What one assignment swaps; `last` is the number of the newest generation that there ever was."""

    live: Generation
    building: Generation | None
    previous: Generation | None
    last: int


class Generations:
    """The generations in `store`, or under a folder, which one process may have open. Thread-safe: readers never wait.

    `embedding` and `recipe` are the configured ones. The live generation goes on with the model and recipe it was
    built with, even where the settings now say otherwise (`outdated`); `load` gets such a model by its name. Where the
    store is shared, what another process begins, switches to or rolls back to is followed by readers within `FOLLOW_S`,
    and by whoever is about to write at once. Only one process at a time may change the generations.

    Raises:
        SetupFailed: another process has the folder open, it is damaged, or the live generation's model is gone.
        StoreUnavailable: the engine failed, or the server does not answer.
    """

    def __init__(
        self,
        store: GenerationStore | Path,
        *,
        embedding: EmbeddingProvider,
        recipe: str,
        load: Callable[[str], EmbeddingProvider],
    ) -> None:
        self._store = FolderGenerations(store) if isinstance(store, Path) else store
        self._configured = (embedding.name, recipe)
        self._load = load
        self._models = {embedding.name: embedding}
        self._switching = threading.Lock()
        self._closing = threading.Event()
        # From here on no other process has a folder open: the engine locks the live generation.
        self._state, self._pointer = self._start(embedding, recipe)
        self._delete_unnamed()
        self._follower = threading.Thread(target=self._follow, name="generations", daemon=True)
        if self._store.shared:
            self._follower.start()

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

    @property
    def pointer(self) -> Pointer:
        """Which generations there are, also those that only other processes can open; as old as the last look."""
        return self._pointer

    def look(self) -> None:
        """Take over what another process has made of the generations; raises `StoreUnavailable`, `SetupFailed`."""
        if self._store.shared:
            with self._switching:
                self._refresh()

    def named(self) -> frozenset[str]:
        """The ids of all generations that there are now; raises `StoreUnavailable`, `SetupFailed`."""
        self.look()
        return self._pointer.ids

    def written(self) -> tuple[Generation, ...]:
        """What ingestion writes to, as it is now: the live one, then the one being built.

        Raises:
            StoreUnavailable: nobody knows now, or this process cannot open one of them.
        """
        state = self._as_it_is()
        return tuple(generation for generation in (state.live, state.building) if generation)

    def kept(self) -> tuple[Generation, ...]:
        """All that there are now: removals and changes of access go to each, so that no switch brings back a reader.

        One missed here would be searched with its former readers one day. So it must be asked for after the registry
        was told of the change: a document that is published later is published to its new readers. The previous one
        is left out where this process cannot open it; whoever goes back to it puts its readers right first.

        Raises:
            StoreUnavailable: nobody knows now, or this process cannot open the live one or the one being built.
        """
        return _kept(self._as_it_is())

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
            self._store.delete(f"g{number}")
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
        """Release the files or the connection."""
        self._closing.set()
        if self._follower.is_alive():
            self._follower.join()
        for generation in _kept(self._state):
            generation.index.close()
        self._store.close()

    def _start(self, embedding: EmbeddingProvider, recipe: str) -> tuple[_State, Pointer]:
        pointer = self._store.read()
        state = self._reopen(pointer) if pointer else _State(self._open("g1", embedding, recipe), None, None, 1)
        # What this process cannot open, another one may have open.
        if pointer and (self._store.shared or pointer == _pointer(state)):
            return state, pointer
        try:
            self._store.write(_pointer(state), pointer)
        except StoreUnavailable:
            # Another process was first.
            pointer = self._store.read()
            if pointer is None:
                raise
            return self._reopen(pointer), pointer
        return state, _pointer(state)

    def _as_it_is(self) -> _State:
        """The state as the store says it at this moment, for who writes."""
        try:
            self.look()
        except SetupFailed as error:
            raise StoreUnavailable(_left_to_others(error.message)) from error
        with self._switching:
            state, building = self._state, self._pointer.building
        if self._store.shared and building and not state.building:
            raise StoreUnavailable(_left_to_others(f"It cannot open {building.id}, built with {building.embedding}."))
        return state

    def _follow(self) -> None:
        while not self._closing.wait(FOLLOW_S):
            try:
                self.look()
            except RaglineError as error:
                log.warning("The generations of the index could not be looked at: %s", error.message)

    def _refresh(self) -> None:
        """Take over what another process has made of the generations."""
        pointer = self._store.read()
        if pointer is None or pointer == self._pointer:
            return
        known = {generation.id: generation for generation in _kept(self._state)}
        self._state, self._pointer = self._reopen(pointer, known), pointer
        log.info("Questions are answered from the index %s now, as another process says", pointer.live.id)

    def _become(self, new: _State) -> None:
        """First in the store, then for readers, then without what is no longer named."""
        self._store.write(_pointer(new), self._pointer)
        old, self._state = self._state, new
        self._pointer = _pointer(new)
        named = {generation.id for generation in _kept(new)}
        for generation in _kept(old):
            if generation.id not in named:
                generation.index.close()
        self._delete_unnamed()

    def _reopen(self, pointer: Pointer, known: Mapping[str, Generation] = NO_GENERATIONS) -> _State:
        """The state that the pointer describes, with those of its generations that are open already."""
        live, building, previous = (
            known.get(record.id) if record else None for record in (pointer.live, pointer.building, pointer.previous)
        )
        return _State(
            live or self._opened(pointer.live),
            building or self._spare(pointer.building),
            previous or self._spare(pointer.previous),
            pointer.last,
        )

    def _spare(self, record: GenerationRecord | None) -> Generation | None:
        """A generation that is not searched; given up where it cannot be opened, for readers must not wait."""
        if record is None:
            return None
        try:
            return self._opened(record)
        except SetupFailed as error:
            log.warning("The index %s, which is not searched, is given up. %s", record.id, error.message)
            return None

    def _opened(self, record: GenerationRecord) -> Generation:
        if record.embedding not in self._models:
            self._models[record.embedding] = self._load(record.embedding)
        return self._open(record.id, self._models[record.embedding], record.recipe)

    def _open(self, generation: str, embedding: EmbeddingProvider, recipe: str) -> Generation:
        return Generation(generation, self._store.open(generation, embedding), embedding, recipe)

    def _delete_unnamed(self) -> None:
        for generation in self._store.left_over(self._pointer):
            self._store.delete(generation)


def _left_to_others(why: str) -> str:
    return f"This process cannot write to the index as it is now, and leaves that to others. {why}"


def _kept(state: _State) -> tuple[Generation, ...]:
    return tuple(generation for generation in (state.live, state.building, state.previous) if generation)


def _pointer(state: _State) -> Pointer:
    return Pointer(_record(state.live), _maybe(state.building), _maybe(state.previous), state.last)


def _maybe(generation: Generation | None) -> GenerationRecord | None:
    return None if generation is None else _record(generation)


def _record(generation: Generation) -> GenerationRecord:
    return GenerationRecord(generation.id, generation.embedding.name, generation.recipe)
