"""Keeps the ledger's entries in memory and writes them behind the answers: tallies go in, sums of today come out.

Nobody who answers waits for the database. What is kept is one tally for each user and model, so memory does not grow
with calls. A process that is killed loses what came in its last second; while Postgres is down everything is kept and
tried again each second.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from pipelines.errors import RaglineError
from pipelines.stores.ledger import Ledger, LedgerKey, Tally

WRITE_EVERY_S = 1.0
READ_EVERY_S = 5.0
"""How old is what is known of the other processes' spending, at most, beside the second in which they write it."""
CLOSE_S = 5.0
"""How long the end of the process waits for the last write."""

NOTHING = Decimal(0)

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class DayCosts:
    """What calls of one day have cost, in US dollars."""

    day: dt.date
    by_user: dict[str, Decimal] = field(default_factory=dict)
    total: Decimal = NOTHING

    def add(self, user_id: str, cost: Decimal) -> None:
        """One call's cost more."""
        self.by_user[user_id] = self.by_user.get(user_id, NOTHING) + cost
        self.total += cost


class LedgerWriter:
    """One thread between the answers and the ledger. `add` and the sums may be called from any thread.

    `reads`: the sums of today include what other processes have spent; without it they are not looked up.
    """

    def __init__(self, ledger: Ledger, *, reads: bool, today: Callable[[], dt.date]) -> None:
        self._ledger = ledger
        self._reads = reads
        self._today = today
        self._lock = threading.Lock()
        self._waiting: dict[LedgerKey, Tally] = {}
        self._batch: dict[LedgerKey, Tally] = {}
        self._number = 0
        # What Postgres said at the last look, and what was spent here and is not in it.
        self._stored = DayCosts(today())
        self._since = DayCosts(today())
        self._look_at = 0.0
        self._failing = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)

    def start(self) -> None:
        """Look up what was spent today, then write in the background; raises `StoreUnavailable`."""
        self.catch_up()
        self._thread.start()

    def add(self, key: LedgerKey, tally: Tally) -> None:
        """Add what one call took."""
        with self._lock:
            self._waiting[key] = self._waiting.get(key, Tally()) + tally
            if self._since.day != key.day:
                self._since = DayCosts(key.day)
            self._since.add(key.user_id, tally.cost_usd)

    def spent_by(self, user_id: str) -> Decimal:
        """What this user's calls have cost today, as far as it is known here."""
        return sum((costs.by_user.get(user_id, NOTHING) for costs in self._of_today()), NOTHING)

    def spent_by_all(self) -> Decimal:
        """What all calls have cost today, as far as it is known here."""
        return sum((costs.total for costs in self._of_today()), NOTHING)

    def catch_up(self) -> None:
        """Write what waits, and look what was spent if that is due.

        Raises `StoreUnavailable`: then everything is kept, and the next time sends the same batch again.
        """
        with self._lock:
            if self._waiting and not self._batch:
                self._batch, self._waiting = self._waiting, {}
                self._number += 1
        if self._batch:
            self._ledger.add(self._number, self._batch)
            with self._lock:
                self._batch = {}
        if self._reads and time.monotonic() >= self._look_at:
            self._look()
            self._look_at = time.monotonic() + READ_EVERY_S

    def close(self) -> None:
        """Write the last entries, for some seconds at most, and say if that failed."""
        self._closing.set()
        self._thread.join(CLOSE_S)
        with self._lock:
            lost = sum(tally.calls for tallies in (self._batch, self._waiting) for tally in tallies.values())
        if lost:
            logger.error("%d model calls are not in the ledger: its PostgreSQL did not answer to the end", lost)
        if not self._thread.is_alive():
            self._ledger.close()

    def _look(self) -> None:
        # Everything written here is in what comes back; what waits since is not.
        day = self._today()
        stored = DayCosts(day)
        for user_id, cost in self._ledger.spent(day).items():
            stored.add(user_id, cost)
        with self._lock:
            self._stored = stored
            self._since = DayCosts(self._today())
            for key, tally in self._waiting.items():
                if key.day == self._since.day:
                    self._since.add(key.user_id, tally.cost_usd)

    def _of_today(self) -> list[DayCosts]:
        today = self._today()
        with self._lock:
            return [costs for costs in (self._stored, self._since) if costs.day == today]

    def _run(self) -> None:
        while not self._closing.wait(WRITE_EVERY_S):
            self._try()
        self._try()

    def _try(self) -> None:
        try:
            self.catch_up()
        except RaglineError as error:
            if not self._failing:
                logger.warning("The ledger waits: %s", error.message)
            self._failing = True
            return
        if self._failing:
            logger.info("The ledger is written again, and nothing was lost")
        self._failing = False
