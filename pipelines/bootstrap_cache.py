"""Wires what is kept for a while: settings go in, the records of a turn and the kept answers come out.

Where `CACHE_URL` names a server, several replicas share all of it; else each process has its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.answer.answered_turns import AnsweredTurns
from pipelines.answer.cache.kept_answers import KeptAnswers
from pipelines.answer.departures import Departures
from pipelines.answer.generate.model_calls import InProcessModelCalls, ModelCalls
from pipelines.answer.generate.shared_model_calls import SharedModelCalls
from pipelines.answer.retrievals import Retrievals
from pipelines.errors import SetupFailed
from pipelines.settings import Settings
from pipelines.stores.cache import Cache, LayeredCache, MemoryCache

NOTES_BYTES = 8 * 2**20
"""For the records of recent turns, some 200 bytes each."""


@dataclass(frozen=True, slots=True)
class Caches:
    """What several steps of a turn know of it, and answers that may be given again (`kept`; None where none are)."""

    calls: ModelCalls
    retrievals: Retrievals
    turns: AnsweredTurns
    departures: Departures | None
    kept: KeptAnswers | None
    shared: Cache | None

    async def close(self) -> None:
        """Release connections."""
        if self.shared:
            await self.shared.close()


def open_caches(settings: Settings) -> Caches:
    """What the settings describe; raises `SetupFailed`. Connects to nothing."""
    shared = open_shared_cache(settings)
    near = MemoryCache(NOTES_BYTES)
    notes = LayeredCache(near, shared) if shared else near
    answers = shared or MemoryCache(settings.answer_cache_mb * 2**20)
    return Caches(
        calls=SharedModelCalls(shared) if shared else InProcessModelCalls(),
        retrievals=Retrievals(notes),
        turns=AnsweredTurns(notes),
        # within one process n8n's own stop reaches the model
        departures=Departures(shared) if shared else None,
        kept=KeptAnswers(answers, settings.answer_cache_ttl_s) if settings.answer_cache_mb else None,
        shared=shared,
    )


def open_shared_cache(settings: Settings) -> Cache | None:
    """The cache at `CACHE_URL`, if one is set; raises `SetupFailed`."""
    url = settings.cache_url.get_secret_value()
    if not url:
        return None
    try:
        # Imported here: its client is an extra, and a quarter of a second at every start.
        from pipelines.stores.valkey import ValkeyCache
    except ImportError as error:
        raise SetupFailed("CACHE_URL needs the client of Valkey: pip install 'ragline[cache]'.") from error
    return ValkeyCache(url)
