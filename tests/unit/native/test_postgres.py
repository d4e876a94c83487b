from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import conninfo

from pipelines.errors import SetupFailed
from pipelines.native.health import await_healthy, healthy
from pipelines.native.layout import Layout
from pipelines.native.parts import Part, stack_parts
from pipelines.native.postgres import ServerUrl, create_cluster, ensure_databases, server_url
from pipelines.native.supervisor import ProcessState, Supervisor
from pipelines.settings import StackSettings
from tests.unit.native.conftest import MakeSettings
from tests.unit.native.parts_for_tests import free_port

text = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1)


@given(user=text, password=text)
def test_any_account_survives_the_url(user: str, password: str) -> None:
    server = ServerUrl("db.example.org", 5433, user, password, "docs", "sslmode=require")

    read = conninfo.conninfo_to_dict(server.of("n8n"))

    assert (read["user"], read["password"], read["dbname"]) == (user, password, "n8n")
    assert ServerUrl.parse(server.of("docs")) == server


@pytest.mark.parametrize("url", ["postgresql://db.example.org/docs", "postgresql://ann:x@/docs", "postgresql://a:b@h"])
def test_a_url_with_a_piece_missing_is_one_sentence(url: str) -> None:
    with pytest.raises(SetupFailed, match="DATABASE_URL must have the form"):
        ServerUrl.parse(url)


@pytest.mark.parametrize(
    ("query", "encrypted", "verified"),
    [("", False, False), ("sslmode=require", True, False), ("sslmode=verify-full&x=1", True, True)],
)
def test_the_sslmode_tells_n8n_how_to_connect(query: str, encrypted: bool, verified: bool) -> None:
    server = ServerUrl.parse(f"postgresql://ann:x@db.example.org/docs?{query}")

    assert (server.encrypted, server.verified) == (encrypted, verified)


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
        ensure_databases(server, ("ragline", "n8n"))
        ensure_databases(server, ("ragline", "n8n", "open_webui"))
        with psycopg.connect(server.of("open_webui")) as connection:
            assert connection.execute("SHOW server_encoding").fetchone() == ("UTF8",)
            connection.execute("CREATE ROLE reader LOGIN PASSWORD 'reader'")

        wrong = ServerUrl(server.host, server.port, server.user, "wrong", "ragline")
        with pytest.raises(SetupFailed, match="check DATABASE_URL or POSTGRES_PASSWORD"):
            ensure_databases(wrong, ("ragline",))
        limited = ServerUrl(server.host, server.port, "reader", "reader", "ragline")
        with pytest.raises(SetupFailed, match="may not create databases"):
            ensure_databases(limited, ("another",))

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
