"""What model calls cost whom: the router asks before each call and records after it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from pipelines.domain import Usage


@dataclass(frozen=True, slots=True)
class Spent:
    """What one call took. `cost_usd` is None where no price is known; `cached` calls took nothing, but are counted."""

    user_id: str
    model: str
    usage: Usage
    cost_usd: float | None
    cached: bool = False


class Spending(ABC):
    """The record of what was spent, and the limits on it. Neither method waits for a database."""

    @abstractmethod
    def check(self, user_id: str, model: str) -> None:
        """Raise `BudgetSpent` when `model` costs something and the day's money, of this user or in all, is spent."""

    @abstractmethod
    def record(self, spent: Spent) -> None:
        """Add one call to the ledger."""


class NoSpending(Spending):
    """Nothing is recorded and nothing is limited."""

    def check(self, user_id: str, model: str) -> None:
        return

    def record(self, spent: Spent) -> None:
        return


NO_SPENDING = NoSpending()
