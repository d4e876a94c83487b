"""The databases of the stack, on a real PostgreSQL."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import conninfo, sql

from pipelines.errors import SetupFailed
from pipelines.native.layout import Layout
from pipelines.native.postgres import create_cluster, server_command
from pipelines.provision.databases import N8N_DATABASE, OPEN_WEBUI_DATABASE, ServerUrl, ensure_databases
from pipelines.settings import inherited_environment
from tests.unit.native.parts_for_tests import free_port

text = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1)


@given(user=text, password=text)
def test_any_account_survives_the_url(user: str, password: str) -> None:
    server = ServerUrl("db.example.org", 5433, user, password, "docs", "sslmode=require")

    read = conninfo.conninfo_to_dict(server.of("n8n"))

    assert (read["user"], read["password"], read["dbname"]) == (user, password, "n8n")
    assert ServerUrl.parse(server.of("docs")) == server


@pytest.mark.parametrize(
    "url",
    ["postgresql://db.example.org/docs", "postgresql://ann:x@/docs", "postgresql://a:b@h", "postgresql://a:b/c@h/docs"],
)
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


@pytest.fixture
def empty_server(postgres_server: ServerUrl) -> Iterator[ServerUrl]:
    """The server without what a test before may have made on it."""
    yield postgres_server
    with psycopg.connect(postgres_server.of("postgres"), autocommit=True) as connection:
        for name in (postgres_server.database, N8N_DATABASE, OPEN_WEBUI_DATABASE):
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))


def test_what_is_missing_is_made_once_and_no_statement_runs_for_ever(empty_server: ServerUrl) -> None:
    made = ["ragline", "n8n", "open_webui"]

    assert ensure_databases(empty_server) == made
    assert ensure_databases(empty_server) == []

    for name in made:
        with psycopg.connect(empty_server.of(name)) as connection:
            assert connection.execute("SHOW statement_timeout").fetchone() == ("5min",)


def test_two_that_create_at_once_do_not_get_into_each_others_way(empty_server: ServerUrl) -> None:
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.extend(ensure_databases(empty_server))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(made) == ["n8n", "open_webui", "ragline"]


def test_a_wrong_password_is_one_sentence_at_once(postgres_server: ServerUrl) -> None:
    wrong = ServerUrl(postgres_server.host, postgres_server.port, postgres_server.user, "wrong", "ragline")
    began = time.monotonic()

    with pytest.raises(SetupFailed, match="check DATABASE_URL or POSTGRES_PASSWORD") as refused:
        ensure_databases(wrong, patience_s=30)

    assert time.monotonic() - began < 5
    assert "\n" not in refused.value.message


def test_an_account_that_may_not_create_databases_is_one_sentence(postgres_server: ServerUrl) -> None:
    with psycopg.connect(postgres_server.of("postgres"), autocommit=True) as connection:
        connection.execute("CREATE ROLE reader LOGIN PASSWORD 'reader'")
    limited = ServerUrl(postgres_server.host, postgres_server.port, "reader", "reader", "another")

    with pytest.raises(SetupFailed, match="may not create databases: create another, n8n, open_webui"):
        ensure_databases(limited)


def test_a_server_that_is_still_starting_is_waited_for(tmp_path: Path) -> None:
    tmp_path.parent.chmod(0o755)  # the server may run as another user
    layout = Layout.of(tmp_path)
    layout.prepare()
    late = ServerUrl("127.0.0.1", free_port(), "ragline", "its-password", "ragline")
    create_cluster(layout.postgres_data, late.password)
    command = (*server_command(layout.postgres_data, late.port), "-c", "fsync=off")
    with ThreadPoolExecutor(1) as waiting:
        made = waiting.submit(ensure_databases, late, patience_s=30)
        time.sleep(0.5)
        server = subprocess.Popen(command, cwd="/", env=inherited_environment(), stderr=subprocess.DEVNULL)
        try:
            assert made.result(30) == ["ragline", "n8n", "open_webui"]
        finally:
            server.send_signal(2)
            server.wait(20)


def test_a_server_that_is_not_there_is_given_up_in_time() -> None:
    began = time.monotonic()

    with pytest.raises(SetupFailed, match="check DATABASE_URL"):
        ensure_databases(ServerUrl("127.0.0.1", free_port(), "ragline", "x", "ragline"), patience_s=1.5)

    assert 1 < time.monotonic() - began < 5
