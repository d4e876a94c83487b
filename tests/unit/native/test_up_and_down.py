"""`up` and `down` over small parts that really run; only what they are made of is replaced."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Iterator

import pytest
from rich.console import Console

from pipelines.errors import SetupFailed
from pipelines.native import up as up_module
from pipelines.native.down import down
from pipelines.native.health import healthy
from pipelines.native.layout import Layout
from pipelines.native.parts import Part
from pipelines.native.processes import stack_processes
from pipelines.native.supervisor import Supervisor
from pipelines.settings import StackSettings
from tests.unit.native.conftest import MakeSettings
from tests.unit.native.parts_for_tests import discard, server_part


class SmallStack:
    """Two parts, of which `n8n` needs `pipelines`."""

    def __init__(self, settings: StackSettings, layout: Layout) -> None:
        self.settings = settings
        self.layout = layout
        self.supervisor = Supervisor(layout)
        self.parts = [server_part(layout, "pipelines"), server_part(layout, "n8n", "pipelines")]
        self.provisioned = 0
        self.provisioning_fails = False
        self.fingerprint = "of these keys"

    def up(self) -> str:
        said = io.StringIO()
        up_module.up(
            self.settings, Console(file=said, width=200), provision=self._provision, fingerprint=self.fingerprint
        )
        return said.getvalue()

    def down(self) -> str:
        said = io.StringIO()
        down(self.settings.state_dir, Console(file=said, width=200))
        return said.getvalue()

    def pids(self) -> dict[str, int]:
        return {name: state.pid for name, state in Supervisor(self.layout).states().items()}

    def change(self, name: str) -> None:
        self.parts = [
            part
            if part.name != name
            else server_part(self.layout, name, *part.needs, port=part.ports[0].number, CHANGED="1")
            for part in self.parts
        ]

    def _provision(self) -> None:
        self.provisioned += 1
        if self.provisioning_fails:
            raise SetupFailed("n8n refused.")


@pytest.fixture
def small(make_settings: MakeSettings, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallStack]:
    stack = SmallStack(make_settings(database_url="postgresql://ann:x@db.example.org/docs"), layout)

    def parts(settings: StackSettings, layout: Layout) -> list[Part]:
        return stack.parts

    monkeypatch.setattr(up_module, "stack_parts", parts)
    monkeypatch.setattr(up_module, "missing", lambda settings, layout: [])
    monkeypatch.setattr(up_module, "ensure_databases", lambda server: None)
    yield stack
    discard(layout)


def test_up_starts_everything_and_says_where_it_is(small: SmallStack) -> None:
    said = small.up()

    assert all(healthy(part) for part in small.parts)
    assert "Ragline is running." in said
    assert small.settings.open_webui_admin_password.get_secret_value() in said
    assert small.provisioned == 1


def test_up_again_changes_nothing(small: SmallStack) -> None:
    small.up()
    before = small.pids()

    assert "running already" in small.up()
    assert small.pids() == before
    assert small.provisioned == 1


def test_a_changed_setting_restarts_only_the_part_it_belongs_to(small: SmallStack) -> None:
    small.up()
    before = small.pids()
    small.change("n8n")

    small.up()

    after = small.pids()
    assert after["pipelines"] == before["pipelines"]
    assert after["n8n"] != before["n8n"]
    assert small.provisioned == 2


def test_other_keys_are_provisioned_without_a_restart(small: SmallStack) -> None:
    small.up()
    before = small.pids()
    small.fingerprint = "of other keys"

    small.up()
    small.up()

    assert small.pids() == before
    assert small.provisioned == 2


def test_a_provisioning_that_failed_is_done_again(small: SmallStack) -> None:
    small.provisioning_fails = True
    with pytest.raises(SetupFailed, match="n8n refused"):
        small.up()
    small.provisioning_fails = False

    small.up()

    assert small.provisioned == 2


def test_up_takes_over_what_a_killed_process_manager_left(small: SmallStack) -> None:
    small.up()
    before = small.pids()
    daemon = small.supervisor.pid()
    assert daemon is not None
    os.kill(daemon, signal.SIGKILL)

    assert "Ragline is running." in small.up()
    assert not set(before.values()) & set(small.pids().values())


def test_down_stops_what_a_killed_process_manager_left(small: SmallStack) -> None:
    small.up()
    daemon = small.supervisor.pid()
    assert daemon is not None
    os.kill(daemon, signal.SIGKILL)

    assert "Everything is stopped" in small.down()
    assert stack_processes(small.layout) == []
    assert not any(healthy(part) for part in small.parts)


def test_down_leaves_nothing_and_can_be_repeated(small: SmallStack) -> None:
    small.up()

    small.down()

    assert stack_processes(small.layout) == []
    assert list(small.layout.run.iterdir()) == []
    assert "Nothing was running" in small.down()


def test_a_part_more_is_started_beside_the_others(small: SmallStack) -> None:
    small.up()
    small.parts = [*small.parts, server_part(small.layout, "open-webui", "pipelines")]

    small.up()

    assert all(healthy(part) for part in small.parts)


def test_two_at_once_are_one_too_many(small: SmallStack) -> None:
    with up_module._alone(small.layout), pytest.raises(SetupFailed, match="Another `make up` is at work"):
        small.up()
