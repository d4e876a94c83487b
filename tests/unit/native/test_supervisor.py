from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from pipelines.errors import SetupFailed
from pipelines.native.health import await_healthy, healthy
from pipelines.native.layout import MARKER, Layout
from pipelines.native.parts import Part
from pipelines.native.processes import stack_processes
from pipelines.native.supervisor import Supervisor, configuration
from pipelines.native.up import _write_launch_file
from pipelines.settings import inherited_environment
from tests.unit.native.parts_for_tests import discard, ending_part, server_part


def eventually(condition: Callable[[], object]) -> None:
    Retrying(wait=wait_fixed(0.1), stop=stop_after_delay(15), retry=retry_if_result(lambda met: not met))(condition)


@contextmanager
def supervised(layout: Layout, *parts: Part) -> Iterator[Supervisor]:
    supervisor = Supervisor(layout)
    supervisor.launch(parts, {**inherited_environment(), MARKER: str(layout.state)})
    try:
        for part in parts:
            _write_launch_file(part, layout)
            supervisor.start(part.name)
        yield supervisor
    finally:
        discard(layout)


def test_a_killed_part_is_started_again(layout: Layout) -> None:
    part = server_part(layout, "n8n")
    with supervised(layout, part) as supervisor:
        await_healthy([part], supervisor, layout.log, lambda _: None)
        first = supervisor.state("n8n").pid
        os.kill(first, signal.SIGKILL)

        eventually(lambda: supervisor.state("n8n").pid not in (0, first) and healthy(part))


def test_a_part_that_ends_while_it_starts_is_reported_with_its_last_words(layout: Layout) -> None:
    part = ending_part(layout, "n8n")
    with supervised(layout, part) as supervisor, pytest.raises(SetupFailed) as caught:
        await_healthy([part], supervisor, layout.log, lambda _: None)

    assert "n8n stopped while it was starting" in caught.value.message
    assert "the database is not there" in caught.value.message


def test_a_part_that_answers_but_is_not_ready_is_not_healthy(layout: Layout) -> None:
    part = replace(
        server_part(layout, "n8n", ANSWER="n8n is starting up. Please wait", TYPE="text/html"), start_timeout_s=1
    )
    with supervised(layout, part) as supervisor, pytest.raises(SetupFailed, match="was not ready after 1 seconds"):
        await_healthy([part], supervisor, layout.log, lambda _: None)


def test_nothing_is_left_after_a_shutdown(layout: Layout) -> None:
    part = server_part(layout, "n8n")
    with supervised(layout, part) as supervisor:
        assert len(stack_processes(layout)) == 2
        supervisor.shutdown()
        supervisor.clear()

        assert stack_processes(layout) == []
        assert list(layout.run.iterdir()) == []
        assert not layout.socket_folder.exists()
        assert supervisor.states() == {}


def test_the_socket_is_found_again_when_the_temporary_folder_is_another_one(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with supervised(layout, server_part(layout, "n8n")):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

        assert Supervisor(layout).running()


def test_the_configuration_names_no_secret(layout: Layout) -> None:
    part = server_part(layout, "n8n", PASSWORD="very-secret")

    text = configuration([part], layout, layout.socket_folder / "control")

    assert "very-secret" not in text


def test_a_state_folder_with_odd_characters_works(tmp_path: Path) -> None:
    layout = Layout.of(tmp_path / "it's odd")
    layout.prepare()
    part = server_part(layout, "n8n")

    with supervised(layout, part) as supervisor:
        await_healthy([part], supervisor, layout.log, lambda _: None)
