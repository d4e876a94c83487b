"""A process that records calls of a model until it is killed: `python -m tests.crash.ledger_child <database url>`.

After each call it says its number and the moment, so that whoever kills it knows what was recorded when.
"""

from __future__ import annotations

import sys
import time

from pipelines.answer.generate.budget import Budgets, MeteredSpending
from pipelines.answer.generate.spending import Spent
from pipelines.cost import PriceList
from pipelines.domain import Usage
from pipelines.stores.ledger import Ledger
from pipelines.stores.postgres import migrate_database

EVERY_S = 0.005


def main() -> None:
    """Record one call after another."""
    url = sys.argv[1]
    migrate_database(url)
    spending = MeteredSpending(Ledger(url), PriceList(()), Budgets())
    spending.start()
    number = 0
    while True:
        number += 1
        spending.record(Spent("u1", "bedrock/nova", Usage(100, 10), 0.001))
        print(number, time.monotonic(), flush=True)
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main()
