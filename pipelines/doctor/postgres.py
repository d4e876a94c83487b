"""PostgreSQL: the address of the registry goes in; whether it connects, is new enough and migrated, comes out."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

import psycopg

from pipelines.doctor.finding import Finding, failed, ok, skipped, warning
from pipelines.native.postgres import registry_url, server_url
from pipelines.provision.databases import N8N_DATABASE, OPEN_WEBUI_DATABASE, ServerUrl
from pipelines.settings import Settings, StackSettings

OLDEST = 16
CONNECT_S = 5


def is_own(settings: Settings) -> bool:
    """Whether it is the server that the native run starts."""
    given = settings.registry_url.get_secret_value()
    if isinstance(settings, StackSettings):
        given = given or settings.database_url.get_secret_value()
    return not given


def look_at_postgres(settings: Settings) -> Iterator[Finding]:
    """Whether the registry's database can be used; and, where `DATABASE_URL` is given, that others may be made."""
    if not isinstance(settings, StackSettings) and not settings.registry_url.get_secret_value():
        yield skipped("postgres", "REGISTRY_URL is not among the settings of this process")
        return
    setting = "REGISTRY_URL" if settings.registry_url.get_secret_value() else "DATABASE_URL"
    url = registry_url(settings) if isinstance(settings, StackSettings) else settings.registry_url.get_secret_value()
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_S, autocommit=True) as connection:
            yield from _examined(connection, settings)
    except (psycopg.Error, UnicodeError) as error:
        yield _unusable(error, "POSTGRES_PASSWORD" if is_own(settings) else setting, own=is_own(settings))


def _examined(connection: psycopg.Connection, settings: Settings) -> Iterator[Finding]:
    version = connection.info.server_version // 10_000
    place = f"{connection.info.host}:{connection.info.port}/{connection.info.dbname}"
    if version < OLDEST:
        yield failed("postgres", f"{place} is PostgreSQL {version}", f"use {OLDEST} or newer")
        return
    yield ok("postgres", f"{place} is PostgreSQL {version}")
    yield _migrations(connection)
    if isinstance(settings, StackSettings) and settings.database_url.get_secret_value():
        yield from _may_create(connection, server_url(settings))


def _migrations(connection: psycopg.Connection) -> Finding:
    shipped = {file.name for file in files("pipelines.stores.migrations").iterdir() if file.name.endswith(".sql")}
    found = connection.execute("SELECT to_regclass('migration') IS NOT NULL").fetchone()
    applied: set[str] = set()
    if found and found[0]:
        applied = {str(name) for (name,) in connection.execute("SELECT name FROM migration")}
    if newer := sorted(applied - shipped):
        return failed("postgres schema", f"was written by a newer version of Ragline ({newer[0]})", "upgrade this one")
    if missing := shipped - applied:
        return warning(
            "postgres schema", f"lacks {len(missing)} of {len(shipped)} migrations", "starting the stack applies them"
        )
    return ok("postgres schema", f"all {len(shipped)} migrations are applied")


def _may_create(connection: psycopg.Connection, server: ServerUrl) -> Iterator[Finding]:
    """n8n and Open WebUI keep their own databases on the server of `DATABASE_URL`."""
    row = connection.execute("SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    present = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
    missing = [name for name in (N8N_DATABASE, OPEN_WEBUI_DATABASE) if name not in present]
    if missing and not (row and row[0]):
        yield failed(
            "postgres rights",
            f"{server.user} may not create databases, and {', '.join(missing)} is missing",
            f"as an administrator: {'; '.join(f'CREATE DATABASE {name} OWNER {server.user}' for name in missing)}",
        )
    else:
        yield ok("postgres rights", "the databases of n8n and Open WebUI are there, or may be made")


def _unusable(error: Exception, setting: str, *, own: bool) -> Finding:
    said = next(iter(str(error).strip().splitlines()), type(error).__name__).rstrip(".")
    if "password authentication failed" in said:
        return failed("postgres", "it refuses the user or the password", f"check {setting} in .env")
    if "does not exist" in said:
        return failed("postgres", said, f"create it, or name another in {setting}")
    todo = (
        "start the stack; where that fails, the log of postgres says why"
        if own
        else f"check that it runs, and {setting}"
    )
    return failed("postgres", f"does not answer ({said})", todo)
