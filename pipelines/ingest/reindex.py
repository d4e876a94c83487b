"""Builds a new generation of the index beside the one that is searched, and switches when it is whole."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from pipelines.errors import RaglineError
from pipelines.ingest.work import Workers
from pipelines.providers.base import EmbeddingProvider
from pipelines.stores.generations import Generation, Generations
from pipelines.stores.registry import Registry

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0


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
        self._changing = threading.Lock()
        self._stopping = threading.Event()
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
            SetupFailed, StoreUnavailable: it cannot be begun.
        """
        embedding, recipe = self._configured()
        with self._changing:
            building = self._generations.building
            if building is None or (building.embedding.name, building.recipe) != (embedding.name, recipe):
                self._abandon()
                building = self._generations.begin(embedding, recipe)
            self._registry.mark_stale(building.id)
        self._workers.wake()
        return self.state()

    def abandon(self) -> IndexState:
        """Build no further, and delete what was built."""
        with self._changing:
            self._abandon()
        return self.state()

    def roll_back(self) -> IndexState:
        """Search the earlier generation again, at once; what has changed since is read anew in the background.

        Raises:
            InvalidRequest: there is no earlier one.
        """
        with self._changing:
            self._generations.roll_back()
            self._is_behind = True
            self._registry.mark_stale(self._generations.live.id)
        self._workers.wake()
        return self.state()

    def state(self) -> IndexState:
        """How the index stands."""
        generations = self._generations
        building, previous = generations.building, generations.previous
        return IndexState(
            live=generations.live.id,
            recipe=generations.live.recipe,
            building=building.id if building else "",
            waiting=self._registry.unfinished() if building else 0,
            previous=previous.id if previous else "",
            outdated=generations.outdated,
        )

    def _abandon(self) -> None:
        building = self._generations.building
        if building is not None:
            self._generations.abandon()
            self._registry.forget_indexed(building.id)

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_EVERY_S):
            try:
                with self._changing:
                    self._complete()
            except RaglineError as error:
                log.warning("The rebuilt index waits: %s", error.message)

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
