"""`ragline usage` over a real ledger: what it prints, for people and for programs."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pipelines.answer.offer import ModelOffer
from pipelines.bootstrap_spending import free_choices, open_spending
from pipelines.command_settings import read_settings
from pipelines.cost import PriceList
from pipelines.errors import BudgetSpent, SetupFailed
from pipelines.settings import Settings, StackSettings
from pipelines.stores.ledger import Ledger, LedgerKey, Tally
from pipelines.stores.postgres import migrate_database
from pipelines.usage_commands import app

TODAY = dt.datetime.now(dt.UTC).date()
NOVA, OLLAMA, GPT = "bedrock/us.amazon.nova-lite-v1:0", "ollama/llama3.2:3b", "openai/gpt"

Run = Callable[..., Result]


@pytest.fixture
def run(registry_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    for name in ("GATEWAY_API_KEY", "WEBHOOK_API_KEY", "IDENTITY_SECRET", "INTERNAL_API_KEY"):
        monkeypatch.setenv(name, "x" * 32)
    monkeypatch.setenv("DEFAULT_ACCESS", "everyone")
    monkeypatch.setenv("REGISTRY_URL", registry_url)
    return lambda *args: CliRunner().invoke(app, [str(arg) for arg in args])


@pytest.fixture
def filled(registry_url: str) -> None:
    migrate_database(registry_url)
    paid = Tally(10, 2, 16_000, 4_000, 0, 2_400, 0, 0, Decimal("1.2345"))
    ledger = Ledger(registry_url)
    ledger.add(
        1,
        {
            LedgerKey(TODAY, "u1", NOVA): paid,
            LedgerKey(TODAY, "", OLLAMA): Tally(3, 0, 900, 0, 0, 300, 3, 0, Decimal(0)),
            LedgerKey(TODAY - dt.timedelta(days=6), "u2", GPT): Tally(1, 0, 100, 0, 0, 10, 0, 1, Decimal(0)),
            LedgerKey(TODAY - dt.timedelta(days=7), "u2", NOVA): paid,
        },
    )
    ledger.close()


def test_on_the_machine_of_the_native_run_the_settings_of_the_stack_say_where_it_is(
    run: Run, filled: None, registry_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, field in StackSettings.model_fields.items():
        if field.is_required() and name != "default_access":
            monkeypatch.setenv(name.upper(), "x" * 32)
    monkeypatch.delenv("REGISTRY_URL")
    monkeypatch.setenv("DATABASE_URL", registry_url)
    said = run("--by", "model")
    assert said.exit_code == 0
    assert NOVA in said.stdout


def cells(line: str) -> list[str]:
    return line.split()


@pytest.mark.usefixtures("filled")
def test_a_week_by_user_has_a_line_each_and_a_total(run: Run) -> None:
    result = run("--by", "user")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert cells(lines[1])[-7:] == ["3", "0", "~900", "0", "~300", "$0.0000", "0"]
    assert lines[1].strip().startswith("(no account)")
    assert cells(lines[2]) == ["u1", "10", "2", "16,000", "4,000", "2,400", "$1.2345", "0"]
    assert cells(lines[3]) == ["u2", "1", "0", "100", "0", "10", "$0.0000", "1"]
    assert cells(lines[-2])[:3] == ["in", "all", "14"]
    assert "~$1.2345" in lines[-2]
    assert lines[-1].endswith("in prices.json: 1 calls.")


@pytest.mark.usefixtures("filled")
def test_programs_get_numbers(run: Run) -> None:
    told = json.loads(run("--by", "model", "--days", 8, "--json").stdout)
    assert told["since"] == (TODAY - dt.timedelta(days=7)).isoformat()
    assert [row["model"] for row in told["rows"]] == [NOVA, OLLAMA, GPT]
    assert told["rows"][0]["cost_usd"] == 2.469
    assert told["total"]["calls"] == 24
    assert told["total"]["unpriced_calls"] == 1


@pytest.mark.usefixtures("filled")
def test_one_day_is_today(run: Run) -> None:
    told = json.loads(run("--days", 1, "--json").stdout)
    assert [row["day"] for row in told["rows"]] == [TODAY.isoformat()]


def test_a_ledger_with_nothing_in_it_says_so(run: Run, registry_url: str) -> None:
    migrate_database(registry_url)
    assert run().stdout.startswith("No model was asked since")


def test_where_there_is_no_ledger_yet_it_says_what_makes_one(run: Run) -> None:
    assert isinstance(run().exception, SetupFailed)


def test_without_a_database_the_setting_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGISTRY_URL", "")
    assert "REGISTRY_URL" in str(run().exception)


def test_spending_is_wired_from_the_settings(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    del run  # its settings
    monkeypatch.setenv("BUDGET_USD_PER_USER_DAY", "0.5")
    settings = read_settings(Settings)
    prices = PriceList.load(settings.prices_file)
    spending = open_spending(settings, prices, ModelOffer(choices=("ollama", "bedrock")))
    spending.check("u1", NOVA)
    with pytest.raises(BudgetSpent, match="no known price"):
        spending.check("u1", GPT)
    spending.close()


def test_what_costs_nothing_in_the_readers_list_is_known_by_its_name_there() -> None:
    prices = PriceList.load(Path(Settings.model_fields["prices_file"].default))
    offer = ModelOffer(choices=("ollama", "bedrock", "openai", "ollama/llama3.2:3b", NOVA))
    assert free_choices(offer, prices) == ["Company documents - Ollama", "Company documents - Ollama llama3.2:3b"]
