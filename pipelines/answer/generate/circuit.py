"""Whether a model is asked: what became of its calls goes in, ask it or leave it alone comes out.

    closed ──3 failures in a row──▶ open ──a probe went well──▶ half_open ──a call went well──▶ closed
                                     ▲                              │
                                     └──────────a call failed───────┘

A state machine that is told what happened and asks nobody; `health` probes, and closes a circuit by
forgetting it. After Nygard, "Release It!" (2007), ch. 5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pipelines.errors import RaglineError

State = Literal["closed", "open", "half_open"]

FAILURES = 3
"""One failure may be the question's own, and a second chance; three in a row are the model's."""
FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 60.0
"""The pause before a probe doubles up to this: so soon is a model found again, whatever it was down for."""


class Circuit:
    """One model's circuit, or that of all models of a provider; times are those of `clock`, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self._pause_s = FIRST_PAUSE_S
        self._probe_at = 0.0
        self._trying = False
        self.state: State = "closed"
        self.since = clock()
        self.error: RaglineError | None = None

    @property
    def refuses(self) -> bool:
        """Whether no call is made now: it is open, or half open and the one trial call is under way."""
        return self.state == "open" or (self.state == "half_open" and self._trying)

    @property
    def probe_in_s(self) -> float:
        """How long it is until the next probe is due; 0 when it is."""
        return max(0.0, self._probe_at - self._clock())

    def begin_trial(self) -> bool:
        """Say that a call begins; whether it is the trial call, after which `end_trial` is owed."""
        if self.state != "half_open" or self._trying:
            return False
        self._trying = True
        return True

    def end_trial(self) -> None:
        """Say that the trial call is over; one that neither went well nor failed leaves the next call to be it."""
        self._trying = False

    def failed(self, error: RaglineError) -> None:
        """Say that a call failed. One that began before the circuit opened changes nothing."""
        if self.state == "open":
            return
        self.error = error
        self._failures += 1
        if self.state == "half_open" or self._failures >= FAILURES:
            self._enter("open")
            self._pause()

    def probed(self, error: RaglineError | None) -> None:
        """Say what a probe of the open circuit came to; None: it went well."""
        if self.state != "open":
            return
        if error is None:
            self._enter("half_open")
        else:
            self.error = error
            self._pause()

    def _pause(self) -> None:
        self._probe_at = self._clock() + self._pause_s
        self._pause_s = min(LONGEST_PAUSE_S, self._pause_s * 2)

    def _enter(self, state: State) -> None:
        if state != self.state:
            self.state = state
            self.since = self._clock()
