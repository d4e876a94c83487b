"""`make up`: settings go in, a healthy stack comes out. Run again, it starts what is missing and what has changed."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console

from pipelines.errors import SetupFailed
from pipelines.native import postgres
from pipelines.native.disk import disk_errors_explained
from pipelines.native.down import stop_leftovers
from pipelines.native.health import await_healthy, healthy
from pipelines.native.install import install, missing
from pipelines.native.layout import MARKER, Layout
from pipelines.native.parts import POSTGRES, Part, stack_parts, waves
from pipelines.native.preflight import check_machine, check_memory, check_ports
from pipelines.native.steps import Steps
from pipelines.native.supervisor import Supervisor, launch_file
from pipelines.provision.databases import ensure_databases
from pipelines.settings import StackSettings, inherited_environment

RUNNING = frozenset({"STARTING", "RUNNING"})


def up(settings: StackSettings, console: Console, *, provision: Callable[[], None], fingerprint: str = "") -> None:
    """Bring the stack up and print where it is.

    `provision` is called once the parts are healthy, unless it succeeded with the same `fingerprint` before and nothing
    was started since.

    Raises:
        SetupFailed: something is in the way; says what to do. What runs by then stays up for another try.
    """
    layout = Layout.of(settings.state_dir)
    provisioned = layout.run / "provisioned"
    with disk_errors_explained(layout.state):
        layout.prepare()
        with _alone(layout), Steps(console) as steps:
            started = _Stack(settings, layout, steps).bring_up()
            if started or not provisioned.exists() or provisioned.read_text(encoding="utf-8") != fingerprint:
                provisioned.unlink(missing_ok=True)
                with steps.step("Setting up n8n and Open WebUI"):
                    provision()
                provisioned.write_text(fingerprint, encoding="utf-8")
    _announce(settings, console, already=not started)


class _Stack:
    """The stack as it should be, against the one that runs."""

    def __init__(self, settings: StackSettings, layout: Layout, steps: Steps) -> None:
        self._settings = settings
        self._layout = layout
        self._steps = steps
        self._supervisor = Supervisor(layout)

    def bring_up(self) -> bool:
        """Install and start what is missing; whether anything was started."""
        wanted = missing(self._settings, self._layout)
        check_machine(self._layout, installing=bool(wanted))
        parts = stack_parts(self._settings, self._layout)
        if not self._supervisor.running():
            stop_leftovers(self._layout, self._supervisor)
            check_memory()
            check_ports(parts)
        install(wanted, self._layout, self._steps)
        self._make_known(parts)
        outdated = self._outdated(parts)
        self._start(parts, outdated)
        return bool(outdated)

    def _outdated(self, parts: Sequence[Part]) -> set[str]:
        """The parts that do not run, or that run with other settings than they should have."""
        states = self._supervisor.states()
        return {
            part.name
            for part in parts
            if part.name not in states
            or states[part.name].name not in RUNNING
            or launch_file(self._layout, part.name).read_text(encoding="utf-8") != _launch_text(part)
        }

    def _make_known(self, parts: Sequence[Part]) -> None:
        """Have a process manager that knows exactly these parts."""
        known = set(self._supervisor.states())
        if known and known != {part.name for part in parts}:
            # DATABASE_URL was given or taken away: one part more or less
            self._supervisor.shutdown()
        if not self._supervisor.running():
            self._supervisor.launch(parts, {**inherited_environment(), MARKER: str(self._layout.state)})

    def _start(self, parts: Sequence[Part], outdated: set[str]) -> None:
        own_database = [part for part in parts if part.name == POSTGRES]
        if own_database:
            postgres.create_cluster(self._layout.postgres_data, self._settings.postgres_password.get_secret_value())
        self._start_together(own_database, outdated)
        if outdated:
            ensure_databases(postgres.server_url(self._settings))
        for wave in waves([part for part in parts if part.name != POSTGRES]):
            self._start_together(wave, outdated)

    def _start_together(self, parts: Sequence[Part], outdated: set[str]) -> None:
        for part in parts:
            if part.name in outdated:
                self._supervisor.stop(part.name)
                check_ports([part])
                _write_launch_file(part, self._layout)
                self._supervisor.start(part.name)
        # also those that an interrupted `make up` has started
        waiting = [part for part in parts if not healthy(part)]
        if waiting:
            self._await(waiting)

    def _await(self, parts: Sequence[Part]) -> None:
        began = time.monotonic()

        def report(part: Part) -> None:
            self._steps.done(f"{part.name} is healthy", time.monotonic() - began)

        with self._steps.waiting(f"Starting {' and '.join(part.name for part in parts)}"):
            await_healthy(parts, self._supervisor, self._layout.log, report)


def _write_launch_file(part: Part, layout: Layout) -> None:
    file = launch_file(layout, part.name)
    file.touch(mode=0o600)
    file.write_text(_launch_text(part), encoding="utf-8")


def _launch_text(part: Part) -> str:
    launch = {"command": part.command, "folder": str(part.folder), "environment": dict(part.environment)}
    return json.dumps(launch, indent=1, sort_keys=True)


@contextmanager
def _alone(layout: Layout) -> Iterator[None]:
    """Keep a second `make up` of the same stack out while one is at work."""
    with (layout.state / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SetupFailed("Another `make up` is at work on this stack: wait for it to end.") from error
        yield


def _announce(settings: StackSettings, console: Console, *, already: bool) -> None:
    lines = (
        ("Open WebUI", settings.open_webui_url),
        ("  sign in", settings.open_webui_admin_email),
        ("  password", settings.open_webui_admin_password.get_secret_value()),
        ("n8n editor", settings.n8n_url),
        ("  sign in", settings.n8n_owner_email),
        ("  password", settings.n8n_owner_password.get_secret_value()),
        ("upload form", f"{settings.n8n_url}/form/upload-document"),
        ("  user", "documents"),
        ("  password", settings.upload_form_password.get_secret_value()),
    )
    console.print("\nRagline was running already." if already else "\nRagline is running.")
    for name, value in lines:
        console.print(f"  {name:<12}", end="", highlight=False)
        console.print(value, highlight=False, markup=False, soft_wrap=True)
    console.print(
        f"Documents that no rule names may be read by {settings.default_access} (DEFAULT_ACCESS).", highlight=False
    )
    console.print("The passwords are kept in .env. To stop everything: make down", highlight=False)
