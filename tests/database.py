"""A real PostgreSQL for tests: one server a run, a fresh database a test."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from pipelines.native.layout import Layout
from pipelines.native.postgres import create_cluster, server_command
from pipelines.provision.databases import ServerUrl
from pipelines.settings import inherited_environment
from tests.unit.native.parts_for_tests import free_port


@contextmanager
def running_server(folder: Path) -> Iterator[ServerUrl]:
    """Start a server whose data lies in `folder`, without a care for power cuts, and stop it at the end."""
    layout = Layout.of(folder)
    layout.prepare()
    server = ServerUrl("127.0.0.1", free_port(), "ragline", secrets.token_urlsafe(16), "ragline")
    create_cluster(layout.postgres_data, server.password)
    command = (*server_command(layout.postgres_data, server.port), "-c", "fsync=off", "-c", "max_connections=200")
    process = subprocess.Popen(command, cwd="/", env=inherited_environment(), stderr=subprocess.DEVNULL)
    try:
        _await(server)
        yield server
    finally:
        process.send_signal(2)
        process.wait(20)


def fresh_database(server: ServerUrl) -> str:
    """The URL of a new, empty database."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(server.of("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return server.of(name)


def _await(server: ServerUrl) -> None:
    tries = Retrying(
        stop=stop_after_delay(30),
        wait=wait_fixed(0.05),
        retry=retry_if_exception_type(psycopg.OperationalError),
        reraise=True,
    )
    for attempt in tries:
        with attempt:
            psycopg.connect(server.of("postgres"), connect_timeout=2).close()
