"""Builds a new generation of the index beside the one that is searched, and switches when it is whole.

Every replica of pipelines watches over a rebuild, whichever began it, and any of them may end it: one at a time, under
a lock in the registry that a killed one does not keep.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pipelines.errors import RaglineError, StoreUnavailable
from pipelines.ingest.reconcile import put_readers_right
from pipelines.ingest.work import Workers
from pipelines.providers.base import EmbeddingProvider
from pipelines.stores.generations import Generation, Generations
from pipelines.stores.registry import THE_INDEX, Registry

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
WAIT_S = 20.0
"""How long a person's word waits for another process that puts the index right, or ends a rebuild."""


@dataclass(frozen=True, slots=True)
class IndexState:
    """Which generation readers search, which is being built and how many documents it lacks, which can come back."""

    live: str
    recipe: str
    building: str
    waiting: int
    previous: str
    outdated: bool


class Reindex:
    """Rebuilds with `embedding` and `recipe`, those of the settings; the workers do the work."""

    def __init__(
        self,
        generations: Generations,
        registry: Registry,
        workers: Workers,
        *,
        configured: Callable[[], tuple[EmbeddingProvider, str]],
    ) -> None:
        self._generations = generations
        self._registry = registry
        self._workers = workers
        self._configured = configured
        self._stopping = threading.Event()
        self._live = generations.live.id
        self._is_behind = False
        self._watch = threading.Thread(target=self._run, name="reindex", daemon=True)

    def start(self) -> None:
        """Watch for the end of a rebuild, also of one that was begun before a restart."""
        self._watch.start()

    def stop(self) -> None:
        """Watch no longer; a rebuild goes on after the next start."""
        self._stopping.set()
        if self._watch.is_alive():
            self._watch.join()

    def begin(self) -> IndexState:
        """Build beside, while readers notice nothing.

        A rebuild with the same model and recipe that is under way goes on; any other is given up for this one.

        Raises:
            SetupFailed, StoreUnavailable: it cannot be begun, or not now.
        """
        embedding, recipe = self._configured()
        with self._alone():
            building = self._generations.building
            if building is None or (building.embedding.name, building.recipe) != (embedding.name, recipe):
                self._abandon()
                building = self._generations.begin(embedding, recipe)
            self._registry.mark_stale(building.id)
        self._workers.wake()
        return self.state()

    def abandon(self) -> IndexState:
        """Build no further, and delete what was built. Raises `StoreUnavailable` where that cannot be now."""
        with self._alone():
            self._abandon()
        return self.state()

    def roll_back(self) -> IndexState:
        """Search the earlier generation again, at once; what has changed since is read anew in the background.

        Raises:
            InvalidRequest: there is no earlier one.
            StoreUnavailable: it cannot be now.
        """
        with self._alone():
            if previous := self._generations.previous:
                # A process that could not open it has told it nothing of removals and changes of access.
                put_readers_right(previous, self._generations.kept, self._registry)
            self._generations.roll_back()
            self._is_behind = True
            self._registry.mark_stale(self._generations.live.id)
        self._workers.wake()
        return self.state()

    def state(self) -> IndexState:
        """How the index stands now, whichever replica is asked."""
        self._generations.look()
        pointer = self._generations.pointer
        return IndexState(
            live=pointer.live.id,
            recipe=pointer.live.recipe,
            building=pointer.building.id if pointer.building else "",
            waiting=self._registry.unfinished() if pointer.building else 0,
            previous=pointer.previous.id if pointer.previous else "",
            outdated=self._generations.outdated,
        )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Of all processes, only this one changes the generations until the block ends, and knows how they are now."""
        with self._registry.alone(THE_INDEX, wait_s=WAIT_S) as alone:
            if not alone:
                raise StoreUnavailable(
                    "The index is being put right or switched by another process just now: try again.", retry_after=5
                )
            self._generations.look()
            yield

    def _abandon(self) -> None:
        building = self._generations.building
        if building is not None:
            self._generations.abandon()
            self._registry.forget_indexed(building.id)

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_EVERY_S):
            try:
                self._look()
            except RaglineError as error:
                log.warning("The rebuilt index waits: %s", error.message)

    def _look(self) -> None:
        live = self._generations.live.id
        if live != self._live:
            # Whoever has switched or rolled back may not live to bring it up to date.
            self._live, self._is_behind = live, True
        if self._generations.building or self._is_behind:
            with self._registry.alone(THE_INDEX, wait_s=0) as alone:
                if alone:
                    self._generations.look()
                    self._complete()

    def _complete(self) -> None:
        """Switch once every document is in the new generation; after a roll-back, bring the old one up to date."""
        building = self._generations.building
        if not (building or self._is_behind) or self._registry.unfinished():
            return
        # Documents that were being worked on when the rebuild or the roll-back began may have been missed.
        if sum(self._registry.mark_stale(generation.id) for generation in self._generations.written()):
            self._workers.wake()
            return
        self._is_behind = False
        if building:
            self._switch(building)

    def _switch(self, building: Generation) -> None:
        dropped = self._generations.previous
        self._generations.switch()
        log.info("Questions are answered from the rebuilt index %s now", building.id)
        if dropped is not None:
            self._registry.forget_indexed(dropped.id)
