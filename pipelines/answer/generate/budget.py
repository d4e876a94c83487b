"""What was spent, and how much may be: calls are recorded in the ledger, and refused once the day's money is spent.

A day is a day in UTC. What is known of other processes' spending is some seconds old, and a call that has begun is not
ended: a budget is overrun by the calls in flight at that moment, and by what other processes spent in those seconds.
While Postgres is down, budgets go on with what this process knows.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from pipelines.answer.generate.ledger_writer import LedgerWriter
from pipelines.answer.generate.model_names import spoken
from pipelines.answer.generate.spending import Spending, Spent
from pipelines.cost import PriceList
from pipelines.domain import Usage
from pipelines.errors import BudgetSpent
from pipelines.stores.ledger import Ledger, LedgerKey, Tally

MAX_ID = 200
"""Longer ids are cut: whoever holds the internal key may send any."""
MAX_TOKENS = 10**12
"""More than any call has; a provider that reports more, or less than none, must not stop the ledger."""


@dataclass(frozen=True, slots=True)
class Budgets:
    """What a day's answers may cost in US dollars, one user's and all together; 0 is no limit."""

    per_user: float = 0
    in_all: float = 0

    def __bool__(self) -> bool:
        return self.per_user > 0 or self.in_all > 0


def utc_now() -> dt.datetime:
    """The time, by the clock of this machine."""
    return dt.datetime.now(dt.UTC)


class MeteredSpending(Spending):
    """Records every call in the ledger and holds the budgets.

    `free` are the names of models in the reader's list that cost nothing, to be recommended when the money is spent.
    """

    def __init__(
        self,
        ledger: Ledger,
        prices: PriceList,
        budgets: Budgets,
        *,
        free: Sequence[str] = (),
        now: Callable[[], dt.datetime] = utc_now,
    ) -> None:
        self._prices = prices
        self._budgets = budgets
        self._free = tuple(free)
        self._now = now
        self.writer = LedgerWriter(ledger, reads=bool(budgets), today=self._today)

    def start(self) -> None:
        """Look up what was spent today, then write in the background; raises `StoreUnavailable`."""
        self.writer.start()

    def check(self, user_id: str, model: str) -> None:
        # An id without a model, such as `default`, means nothing that can be priced: it is asked again when it does.
        if not self._budgets or "/" not in model:
            return
        price = self._prices.find(model)
        if price is None:
            raise BudgetSpent(
                f"{_capitalised(spoken(model))} has no known price, so the budget for model answers cannot be kept; "
                "an administrator can add it to prices.json (PRICES_FILE)."
            )
        if price.is_free:
            return
        user_id = _kept(user_id)
        per_user, in_all = self._budgets.per_user, self._budgets.in_all
        if per_user and self.writer.spent_by(user_id) >= Decimal(str(per_user)):
            raise self._spent(_own_budget(user_id, per_user))
        if in_all and self.writer.spent_by_all() >= Decimal(str(in_all)):
            raise self._spent(
                f"The daily budget of {_dollars(in_all)} for everybody's model answers is spent; "
                "an administrator can raise BUDGET_USD_PER_DAY"
            )

    def record(self, spent: Spent) -> None:
        key = LedgerKey(self._today(), _kept(spent.user_id), _kept(spent.model))
        self.writer.add(key, Tally(calls=1, cached_calls=1) if spent.cached else _tally(spent))

    def close(self) -> None:
        """Write the last entries."""
        self.writer.close()

    def _today(self) -> dt.date:
        return self._now().date()

    def _spent(self, what: str) -> BudgetSpent:
        now = self._now()
        midnight = dt.datetime.combine(now.date() + dt.timedelta(days=1), dt.time(), dt.UTC)
        left_s = (midnight - now).total_seconds()
        until = "you can still read your chats and add documents"
        if self._free:
            until = f"choose a model that costs nothing: {' or '.join(self._free)}"
        message = f"{what}; it begins anew at 00:00 UTC, {_in(left_s)}. Until then {until}."
        return BudgetSpent(message, retry_after=max(1.0, left_s))


def _own_budget(user_id: str, dollars: float) -> str:
    if user_id:
        return f"Your daily budget of {_dollars(dollars)} for model answers is spent"
    return f"The daily budget of {_dollars(dollars)} that callers without an account share is spent"


def _tally(spent: Spent) -> Tally:
    usage: Usage = spent.usage
    return Tally(
        calls=1,
        prompt_tokens=_bounded(usage.prompt_tokens),
        cache_read_tokens=_bounded(usage.cache_read_tokens),
        cache_write_tokens=_bounded(usage.cache_write_tokens),
        completion_tokens=_bounded(usage.completion_tokens),
        estimated_calls=int(usage.estimated),
        unpriced_calls=int(spent.cost_usd is None),
        # To a millionth of a millionth: finer than one token of any model.
        cost_usd=Decimal(f"{max(0.0, spent.cost_usd or 0):.12f}"),
    )


def _kept(name: str) -> str:
    """An id as PostgreSQL can keep it."""
    return name.replace("\0", "").encode("utf-8", "replace").decode()[:MAX_ID]


def _bounded(tokens: int) -> int:
    return min(max(0, tokens), MAX_TOKENS)


def _dollars(amount: float) -> str:
    return f"${amount:,.2f}" if round(amount, 2) == amount else f"${amount:g}"


def _in(seconds: float) -> str:
    minutes = int(seconds // 60)
    if minutes < 1:
        return "in less than a minute"
    amount, unit = (minutes // 60, "hour") if minutes >= 60 else (minutes, "minute")
    return f"in {amount} {unit}{'' if amount == 1 else 's'}"


def _capitalised(words: str) -> str:
    return words[:1].upper() + words[1:]
