from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from pipelines.native.health import await_healthy, healthy
from pipelines.native.layout import Layout
from pipelines.native.parts import Part, stack_parts
from pipelines.native.postgres import create_cluster, server_url
from pipelines.native.supervisor import ProcessState, Supervisor
from pipelines.provision.databases import ensure_databases
from pipelines.settings import StackSettings
from tests.unit.native.conftest import MakeSettings
from tests.unit.native.parts_for_tests import free_port


def test_a_real_server_is_made_started_and_given_its_databases(make_settings: MakeSettings, layout: Layout) -> None:
    settings = make_settings(postgres_port=free_port())
    server = server_url(settings)
    # what a killed initdb leaves behind
    layout.data("postgres.new").mkdir()
    (layout.data("postgres.new") / "half").touch()

    create_cluster(layout.postgres_data, server.password)
    create_cluster(layout.postgres_data, server.password)

    with running_postgres(settings, layout) as part:
        assert healthy(part)
        assert ensure_databases(server) == ["ragline", "n8n", "open_webui"]
        with psycopg.connect(server.of("open_webui")) as connection:
            assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)

    assert not healthy(part)


@contextmanager
def running_postgres(settings: StackSettings, layout: Layout) -> Iterator[Part]:
    part = stack_parts(settings, layout)[0]
    process = subprocess.Popen(part.command, cwd="/", env=dict(part.environment), stderr=subprocess.DEVNULL)
    try:
        await_healthy([part], Alive(layout, process), layout.log, lambda _: None)
        yield part
    finally:
        process.send_signal(2)
        assert process.wait(20) == 0


class Alive(Supervisor):
    """Watches one process without a process manager."""

    def __init__(self, layout: Layout, process: subprocess.Popen[bytes]) -> None:
        super().__init__(layout)
        self._process = process

    def state(self, name: str) -> ProcessState:
        return ProcessState("RUNNING" if self._process.poll() is None else "EXITED", self._process.pid, 0, "")
