"""The four parts of the stack: settings go in, what each is started with comes out, in the order of their needs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path

from pipelines.native import n8n, open_webui, postgres
from pipelines.native.layout import MARKER, Layout
from pipelines.provision.databases import ServerUrl
from pipelines.settings import StackSettings, aws_environment, inherited_environment

POSTGRES, PIPELINES, N8N, OPEN_WEBUI = "postgres", "pipelines", "n8n", "open-webui"


@dataclass(frozen=True, slots=True)
class Port:
    """A port a part listens on, and the setting that moves it."""

    number: int
    setting: str


@dataclass(frozen=True, slots=True)
class Part:
    """One process the process manager looks after.

    `environment` is all it gets. `health_url` answers when the part can do its work. `needs` are the parts that must
    be healthy before it is started. Times in seconds.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    ports: tuple[Port, ...]
    health_url: str
    needs: tuple[str, ...] = ()
    stop_signal: str = "TERM"
    stop_group: bool = True
    start_timeout_s: float = 180


def stack_parts(settings: StackSettings, layout: Layout) -> tuple[Part, ...]:
    """Every part of the stack, those first that others need. PostgreSQL only where no `DATABASE_URL` is given."""
    server = postgres.server_url(settings)
    base = {**inherited_environment(), MARKER: str(layout.state)}
    pipelines = _pipelines(settings, layout, base)
    neighbours = (_n8n(settings, layout, base, server), _open_webui(settings, layout, base, server))
    if settings.database_url.get_secret_value():
        return (pipelines, *neighbours)
    return (_postgres(settings, layout, base), pipelines, *neighbours)


def waves(parts: Sequence[Part]) -> list[list[Part]]:
    """The parts in groups: each group can start once the one before it is healthy."""
    by_name = {part.name: part for part in parts}
    order = TopologicalSorter({part.name: [need for need in part.needs if need in by_name] for part in parts})
    order.prepare()
    groups: list[list[Part]] = []
    while order.is_active():
        ready = order.get_ready()
        groups.append([by_name[name] for name in sorted(ready)])
        order.done(*ready)
    return groups


def _postgres(settings: StackSettings, layout: Layout, base: Mapping[str, str]) -> Part:
    return Part(
        name=POSTGRES,
        command=postgres.server_command(layout.postgres_data, settings.postgres_port),
        environment=base,
        folder=Path("/"),
        ports=(Port(settings.postgres_port, "POSTGRES_PORT"),),
        health_url=postgres.server_url(settings).of("postgres"),
        stop_signal="INT",
        # a server process that is signalled directly only cancels its query: the postmaster ends them in order
        stop_group=False,
        start_timeout_s=60,
    )


def _pipelines(settings: StackSettings, layout: Layout, base: Mapping[str, str]) -> Part:
    own = {
        "STATE_DIR": str(layout.state),
        "REGISTRY_URL": postgres.registry_url(settings),
        "PYTHONUNBUFFERED": "1",
    }
    aws = aws_environment() if settings.calls_aws() else {}
    return Part(
        name=PIPELINES,
        command=(str(Path(sys.executable).parent / "ragline"), "serve"),
        environment={**base, **aws, **settings.environment(), **own},
        folder=layout.checkout,
        ports=(Port(settings.pipelines_port, "PIPELINES_PORT"),),
        health_url=f"http://127.0.0.1:{settings.pipelines_port}/health",
        needs=(POSTGRES,),
    )


def _n8n(settings: StackSettings, layout: Layout, base: Mapping[str, str], server: ServerUrl) -> Part:
    return Part(
        name=N8N,
        command=n8n.command(layout.n8n_env),
        environment={**base, **n8n.environment(settings, layout, server)},
        folder=layout.data("n8n"),
        ports=(Port(settings.n8n_port, "N8N_PORT"), Port(settings.n8n_broker_port, "N8N_BROKER_PORT")),
        health_url=f"http://127.0.0.1:{settings.n8n_port}/healthz/readiness",
        needs=(POSTGRES, PIPELINES),
    )


def _open_webui(settings: StackSettings, layout: Layout, base: Mapping[str, str], server: ServerUrl) -> Part:
    return Part(
        name=OPEN_WEBUI,
        command=open_webui.command(layout.open_webui_env, settings.open_webui_port),
        environment={**base, **open_webui.environment(settings, layout, server)},
        folder=layout.data("open-webui"),
        ports=(Port(settings.open_webui_port, "OPEN_WEBUI_PORT"),),
        health_url=f"http://127.0.0.1:{settings.open_webui_port}/ready",
        needs=(POSTGRES, PIPELINES),
    )
