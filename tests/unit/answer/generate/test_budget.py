"""Spending on a real PostgreSQL: what is recorded, what is refused and in which words, with a clock of the test's."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterator
from decimal import Decimal

import psycopg
import pytest
from psycopg import sql

from pipelines.answer.generate import ledger_writer
from pipelines.answer.generate.budget import Budgets, MeteredSpending
from pipelines.answer.generate.spending import Spent
from pipelines.cost import Price, PriceList
from pipelines.domain import Usage
from pipelines.errors import BudgetSpent, StoreUnavailable
from pipelines.provision.databases import ServerUrl
from pipelines.stores.ledger import Ledger, Tally
from pipelines.stores.postgres import migrate_database

NOVA = "bedrock/nova"
OLLAMA = "ollama/llama3.2:3b"
USAGE = Usage(2000, 300)
NO_LIMIT = Budgets()
TWO_DOLLARS = Budgets(per_user=2)


def _price(model: str, input_price: float) -> Price:
    return Price(
        model=model,
        input=input_price,
        output=0,
        unit="USD per 1M tokens",
        region="here",
        source="a page",
        read_on=dt.date(2026, 11, 21),
        confidence="read",
    )


PRICES = PriceList([_price(NOVA, 1), _price("ollama/*", 0)])


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = dt.datetime(2026, 11, 16, 21, 0, tzinfo=dt.UTC)

    def __call__(self) -> dt.datetime:
        return self.now


Open = Callable[..., MeteredSpending]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def url(registry_url: str) -> str:
    migrate_database(registry_url)
    return registry_url


@pytest.fixture
def spending_of(url: str, clock: Clock) -> Iterator[Open]:
    """Opens the spending of one process that writes only when the test says so; closes them all at the end."""
    ledgers: list[Ledger] = []

    def spending_of(budgets: Budgets = NO_LIMIT, free: tuple[str, ...] = ()) -> MeteredSpending:
        ledgers.append(Ledger(url))
        return MeteredSpending(ledgers[-1], PRICES, budgets, free=free, now=clock)

    yield spending_of
    for ledger in ledgers:
        ledger.close()


@pytest.fixture
def look_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_writer, "READ_EVERY_S", 0.0)


def spend(spending: MeteredSpending, cost: float | None, user: str = "u1", model: str = NOVA) -> None:
    spending.record(Spent(user, model, USAGE, cost))


def kept(url: str) -> dict[str, Tally]:
    ledger = Ledger(url)
    sums = ledger.sums("user", dt.date(2026, 1, 1))
    ledger.close()
    return dict(sums)


def refusal(spending: MeteredSpending, user: str = "u1", model: str = NOVA) -> BudgetSpent:
    with pytest.raises(BudgetSpent) as caught:
        spending.check(user, model)
    return caught.value


# --- what is recorded ---


def test_each_kind_of_call_is_counted_as_what_it_is(spending_of: Open, url: str) -> None:
    spending = spending_of()
    spending.record(Spent("u1", NOVA, Usage(2000, 300, cache_read_tokens=500, cache_write_tokens=7), 0.25))
    spending.record(Spent("u1", NOVA, Usage(100, 10, estimated=True), 0.5))
    spending.record(Spent("u1", NOVA, Usage(9, 9), None))
    spending.record(Spent("u1", NOVA, USAGE, 0.25, cached=True))
    spending.writer.catch_up()
    assert kept(url) == {"u1": Tally(4, 1, 2109, 500, 7, 319, 1, 1, Decimal("0.75"))}


def test_a_thousand_small_costs_add_up_exactly(spending_of: Open, url: str) -> None:
    spending = spending_of()
    for _ in range(1000):
        spend(spending, 0.1)
    spending.writer.catch_up()
    assert kept(url)["u1"].cost_usd == Decimal(100)


def test_what_no_provider_should_report_does_not_stop_the_ledger(spending_of: Open, url: str) -> None:
    spending = spending_of()
    spending.record(Spent("a\0b\ud800" + "x" * 1000, "m\0", Usage(-5, 10**30), -1.0))
    spending.writer.catch_up()
    ((user, tally),) = kept(url).items()
    assert user.startswith("ab?xxx")
    assert len(user) == 200
    assert tally == Tally(calls=1, completion_tokens=10**12)


def test_it_is_written_in_the_background_and_at_the_end(
    spending_of: Open, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_writer, "WRITE_EVERY_S", 0.05)
    spending = spending_of()
    spending.start()
    spend(spending, 0.5)
    ends = time.monotonic() + 10
    while not kept(url) and time.monotonic() < ends:
        time.sleep(0.02)
    assert kept(url)["u1"].calls == 1
    monkeypatch.setattr(ledger_writer, "WRITE_EVERY_S", 60.0)
    time.sleep(0.1)
    spend(spending, 0.5)
    spending.close()
    assert kept(url)["u1"].calls == 2


def test_memory_grows_with_users_and_models_and_not_with_calls(spending_of: Open) -> None:
    spending = spending_of()
    for call in range(1000):
        spend(spending, 0.1, user=f"u{call % 3}", model=(NOVA, OLLAMA)[call % 2])
    assert len(spending.writer._waiting) == 6


# --- Postgres is away ---


def _allow_connections(server: ServerUrl, url: str, *, allow: bool) -> None:
    name = url.rpartition("/")[2].partition("?")[0]
    with psycopg.connect(server.of("postgres"), autocommit=True) as connection:
        connection.execute(
            sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}").format(sql.Identifier(name), sql.Literal(allow))
        )
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])


def test_while_postgres_is_down_all_is_kept_and_then_written_once(
    spending_of: Open, url: str, postgres_server: ServerUrl
) -> None:
    spending = spending_of(TWO_DOLLARS)
    spend(spending, 0.5)
    spending.writer.catch_up()
    _allow_connections(postgres_server, url, allow=False)
    for _ in range(3):
        spend(spending, 0.5)
        with pytest.raises(StoreUnavailable):
            spending.writer.catch_up()
    assert "spent" in refusal(spending).message  # $2.00, of which Postgres knows $0.50
    _allow_connections(postgres_server, url, allow=True)
    spending.writer.catch_up()
    spending.writer.catch_up()
    assert kept(url)["u1"] == Tally(4, prompt_tokens=8000, completion_tokens=1200, cost_usd=Decimal(2))


class _LosesTheConfirmation(Ledger):
    """Commits a batch, and then says that it does not know."""

    lose = True

    def add(self, number: int, batch: object) -> None:
        super().add(number, batch)  # type: ignore[arg-type]
        if self.lose:
            raise StoreUnavailable("The connection broke after the commit.")


def test_a_batch_whose_confirmation_was_lost_is_not_counted_twice(url: str, clock: Clock) -> None:
    ledger = _LosesTheConfirmation(url)
    spending = MeteredSpending(ledger, PRICES, TWO_DOLLARS, now=clock)
    spend(spending, 1.0)
    with pytest.raises(StoreUnavailable):
        spending.writer.catch_up()
    spend(spending, 0.5)
    ledger.lose = False
    spending.writer.catch_up()  # the first batch again, which Postgres has
    spending.writer.catch_up()  # and what came since
    assert kept(url)["u1"].cost_usd == Decimal("1.5")
    assert spending.writer.spent_by("u1") == Decimal("1.5")
    ledger.close()


def test_an_outage_is_logged_once_and_what_was_lost_at_the_end_is_said(
    spending_of: Open,
    url: str,
    postgres_server: ServerUrl,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(ledger_writer, "WRITE_EVERY_S", 0.02)
    spending = spending_of()
    spending.start()
    _allow_connections(postgres_server, url, allow=False)
    with caplog.at_level(logging.WARNING):
        spend(spending, 0.5)
        time.sleep(0.4)
        spending.close()
    said = [record.getMessage() for record in caplog.records if record.name == ledger_writer.__name__]
    assert len(said) == 2
    assert said[0].startswith("The ledger waits")
    assert said[1].startswith("1 model calls are not in the ledger")
    _allow_connections(postgres_server, url, allow=True)


# --- what is refused ---


def test_without_a_budget_nothing_is_refused(spending_of: Open) -> None:
    spending = spending_of()
    spend(spending, 1000)
    spending.check("u1", NOVA)
    spending.check("u1", "openai/nobody-knows-what-it-costs")


def test_a_spent_budget_says_whose_when_it_begins_anew_and_what_can_be_done(spending_of: Open) -> None:
    spending = spending_of(TWO_DOLLARS, free=("Company documents - Ollama",))
    spend(spending, 1.999)
    spending.check("u1", NOVA)
    spend(spending, 0.001)
    error = refusal(spending)
    assert error.message == (
        "Your daily budget of $2.00 for model answers is spent; it begins anew at 00:00 UTC, in 3 hours. "
        "Until then choose a model that costs nothing: Company documents - Ollama."
    )
    assert (error.status, error.retry_after) == (429, 3 * 3600)
    spending.check("u2", NOVA)


def test_where_no_free_model_is_offered_none_is_recommended(spending_of: Open) -> None:
    spending = spending_of(TWO_DOLLARS)
    spend(spending, 2)
    assert refusal(spending).message.endswith("Until then you can still read your chats and add documents.")


def test_models_that_cost_nothing_are_never_refused(spending_of: Open) -> None:
    spending = spending_of(Budgets(per_user=2, in_all=2))
    spend(spending, 100)
    spending.check("u1", OLLAMA)


def test_everybodys_budget_names_who_can_raise_it(spending_of: Open, clock: Clock) -> None:
    clock.now = clock.now.replace(hour=23, minute=35)
    spending = spending_of(Budgets(per_user=2, in_all=2.5))
    spend(spending, 1.5, user="u1")
    spend(spending, 1, user="u2")
    error = refusal(spending, user="u3")
    assert error.message.startswith(
        "The daily budget of $2.50 for everybody's model answers is spent; an administrator can raise "
        "BUDGET_USD_PER_DAY; it begins anew at 00:00 UTC, in 25 minutes."
    )


def test_a_model_without_a_known_price_is_refused_once_there_is_a_budget(spending_of: Open) -> None:
    error = refusal(spending_of(TWO_DOLLARS), model="openai/gpt")
    assert error.message.startswith("OpenAI-compatible (gpt) has no known price")
    assert "prices.json" in error.message
    assert error.retry_after is None


@pytest.mark.parametrize("model", ["default", "", "ollama"])
def test_an_id_that_names_no_model_yet_is_left_to_the_router(spending_of: Open, model: str) -> None:
    spending_of(TWO_DOLLARS).check("u1", model)


def test_callers_without_an_account_share_one_budget(spending_of: Open) -> None:
    spending = spending_of(TWO_DOLLARS)
    spend(spending, 2, user="")
    assert "callers without an account" in refusal(spending, user="").message
    spending.check("u1", NOVA)


@pytest.mark.parametrize(("dollars", "said"), [(0.015, "$0.015"), (0.5, "$0.50"), (1500, "$1,500.00")])
def test_a_budget_is_said_as_it_was_set(spending_of: Open, dollars: float, said: str) -> None:
    spending = spending_of(Budgets(per_user=dollars))
    spend(spending, dollars)
    assert f"budget of {said} for" in refusal(spending).message


def test_cached_and_unpriced_calls_take_nothing_from_a_budget(spending_of: Open) -> None:
    spending = spending_of(TWO_DOLLARS)
    spending.record(Spent("u1", NOVA, USAGE, 100.0, cached=True))
    spend(spending, None)
    spending.check("u1", NOVA)


# --- from day to day, from process to process ---


def test_at_midnight_the_budget_begins_anew_though_nothing_was_written(spending_of: Open, clock: Clock) -> None:
    spending = spending_of(TWO_DOLLARS)
    clock.now = dt.datetime(2026, 11, 16, 23, 59, 59, tzinfo=dt.UTC)
    spend(spending, 2)
    error = refusal(spending)
    assert "in less than a minute" in error.message
    assert error.retry_after == 1
    clock.now = dt.datetime(2026, 11, 17, 0, 0, 0, tzinfo=dt.UTC)
    spending.check("u1", NOVA)
    spend(spending, 2)
    refusal(spending)


@pytest.mark.usefixtures("look_each_time")
def test_what_was_spent_over_midnight_lies_in_two_days(spending_of: Open, clock: Clock, url: str) -> None:
    spending = spending_of(TWO_DOLLARS)
    spend(spending, 1.5)
    clock.now += dt.timedelta(hours=4)
    spend(spending, 1)
    spending.writer.catch_up()
    assert spending.writer.spent_by("u1") == 1
    ledger = Ledger(url)
    assert {day: tally.cost_usd for day, tally in ledger.sums("day", dt.date(2026, 1, 1))} == {
        "2026-11-16": Decimal("1.5"),
        "2026-11-17": Decimal(1),
    }
    ledger.close()


def test_a_process_that_starts_knows_what_was_spent_today(spending_of: Open) -> None:
    before = spending_of(TWO_DOLLARS)
    spend(before, 2)
    before.writer.catch_up()
    started = spending_of(TWO_DOLLARS)
    started.start()
    refusal(started)
    started.close()


@pytest.mark.usefixtures("look_each_time")
def test_each_process_learns_what_the_others_spent_and_counts_nothing_twice(spending_of: Open) -> None:
    one, other = spending_of(TWO_DOLLARS), spending_of(TWO_DOLLARS)
    for _ in range(4):
        spend(one, 0.25)
        spend(other, 0.2)
        one.writer.catch_up()
        other.writer.catch_up()
    one.writer.catch_up()
    spend(one, 0.1)
    assert one.writer.spent_by("u1") == Decimal("1.9")
    assert one.writer.spent_by_all() == Decimal("1.9")
    spend(one, 0.1)
    refusal(one)
    other.check("u1", NOVA)  # it does not know yet
    one.writer.catch_up()
    other.writer.catch_up()
    refusal(other)
