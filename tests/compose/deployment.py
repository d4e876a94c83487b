"""The real docker-compose.yml, started unchanged by the `docker compose` that people use.

    with deployed("ragline-test-up") as stack:        # a .env of its own, free ports, stand-in images
        stack.up()                                    # returns when every part is healthy and every one-shot has ended
        with stack.admin() as admin:
            print(stack.ask(admin, "What may a hotel cost?").text)
        stack.kill("pipelines")                       # as a crash would; what restarts it is the restart policy
        stack.wait_healthy("pipelines")

`overlays=("scale",)` adds compose/scale.yml, and beside stand-ins.yml also stand-ins.scale.yml if there is one.
Whatever happens, at the end nothing of the project is left: containers, networks, volumes.
"""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from pipelines.demo import Heard, ask
from pipelines.errors import SetupFailed
from pipelines.provision.open_webui import OpenWebUI
from tests.compose import containers
from tests.compose.containers import Container, Usage
from tests.compose.docker import CHECKOUT, docker, run
from tests.compose.pipelines_image import build_pipelines_image
from tests.compose.stand_ins import MOUNTS, ensure_stand_ins
from tests.stack import FAST, HANDBOOK, MODEL, SLOW

Images = Literal["stand-in", "real"]

ONE_SHOTS = ("check-settings", "prepare", "provision", "ollama-pull", "open-webui-first")
"""What ends with 0 and stays ended."""

PIPELINES_IMAGE = "ragline-test/pipelines:checkout"

PATIENCE_S = 300.0
"""How long a part may take on a machine that others load; what a person may expect is in the tests."""


@dataclass(frozen=True)
class Deployment:
    """One project of `docker compose`. `folder` holds its .env and its documents."""

    project: str
    folder: Path
    files: tuple[Path, ...]
    variables: dict[str, str] = field(repr=False)
    """The environment of `docker compose`; it goes before .env, and may be changed between two `up`."""
    compose_program: tuple[str, ...] = ("docker", "compose")

    # --- what runs ---------------------------------------------------------------------------------------------------

    def up(self, *arguments: str, wait: bool = True, timeout_s: float = PATIENCE_S) -> float:
        """`docker compose up -d`, again at any time; returns the seconds until everything was ready.

        Raises:
            SetupFailed: compose refused, a one-shot failed, or a part was not healthy in time; with the part's log.
        """
        began = time.monotonic()
        self.compose("up", "--detach", "--no-color", *arguments, timeout_s=timeout_s + 60)
        if wait:
            self.wait_healthy(timeout_s=timeout_s)
        return time.monotonic() - began

    def down(self, *, volumes: bool = False) -> None:
        """`docker compose down`; what is kept stays unless `volumes`."""
        self.compose("down", "--remove-orphans", "--timeout", "10", *(["--volumes"] if volumes else []))

    def compose(self, *arguments: str, timeout_s: float = 600) -> str:
        """Any command of `docker compose` on this project; returns what it printed, raises SetupFailed."""
        files = (option for file in self.files for option in ("--file", str(file)))
        options = ("--project-name", self.project, "--env-file", str(self.folder / ".env"), *files)
        return run(*self.compose_program, *options, *arguments, variables=self.variables, timeout_s=timeout_s)

    def exec(self, service: str, *command: str, user: str = "") -> str:
        """Run a command in a running container, and return what it printed; raises SetupFailed."""
        as_user = ["--user", user] if user else []
        return self.compose("exec", "--no-TTY", *as_user, service, *command)

    def logs(self, service: str) -> str:
        """What the service has printed, over its restarts."""
        return self.compose("logs", "--no-color", "--no-log-prefix", service)

    # --- how it is ---------------------------------------------------------------------------------------------------

    def containers(self, service: str = "") -> list[Container]:
        """Every container of the project or of one service, ended ones too, in the order of their names."""
        return containers.of_project(self.project, service)

    def container(self, service: str) -> Container:
        """The one container of a service that has no replicas."""
        (found,) = self.containers(service)
        return found

    def container_ids(self, service: str = "") -> list[str]:
        return [container.id for container in self.containers(service)]

    def health(self) -> dict[str, str]:
        """Each container and how it is: healthy, unhealthy, starting, running (it has no check), exited 0, exited 1."""
        return {container.name: container.health for container in self.containers()}

    def wait_healthy(self, *services: str, timeout_s: float = PATIENCE_S) -> float:
        """Wait until these services, or all of them, are ready; returns the seconds.

        Raises:
            SetupFailed: a one-shot failed, or a part was not ready in time; with the end of its log.
        """
        began = time.monotonic()
        while True:
            found = [one for one in self.containers() if not services or one.service in services]
            waiting = [one for one in found if not one.ready(once=one.service in ONE_SHOTS)]
            failed = [one for one in waiting if one.service in ONE_SHOTS and one.state == "exited"]
            late = time.monotonic() - began > timeout_s
            if failed or (waiting and late):
                raise SetupFailed(
                    "\n".join(f"{one.name} is {one.health}: {self._end(one)}" for one in failed or waiting)
                )
            if found and not waiting:
                return time.monotonic() - began
            if late:
                raise SetupFailed(f"Nothing of {', '.join(services) or self.project} runs.")
            time.sleep(0.25)

    def stats(self) -> dict[str, Usage]:
        """What each running container takes now, by its name."""
        return containers.usage(self.containers())

    def networks(self) -> dict[str, frozenset[str]]:
        """The services on each network, whose names are those of docker-compose.yml."""
        found: dict[str, set[str]] = {}
        for container in self.containers():
            for network in container.networks:
                found.setdefault(network.removeprefix(f"{self.project}_"), set()).add(container.service)
        return {network: frozenset(services) for network, services in found.items()}

    # --- what goes wrong ---------------------------------------------------------------------------------------------

    def kill(self, service: str, process: str = "") -> Container:
        """End a service's process as a crash would, and return the container as it was before.

        `process` is a part of its command line; without it, the first process below the container's init. It is killed
        from outside: `docker kill` would count as a wish to stop, and not be answered by the restart policy.
        """
        container = self.containers(service)[0]
        containers.kill(container, process)
        return container

    # --- asking ------------------------------------------------------------------------------------------------------

    @property
    def settings(self) -> dict[str, str]:
        """What .env says."""
        lines = (self.folder / ".env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))

    @property
    def open_webui_url(self) -> str:
        return f"http://127.0.0.1:{self.variables['OPEN_WEBUI_PORT']}"

    @property
    def n8n_url(self) -> str:
        return f"http://127.0.0.1:{self.variables['N8N_PORT']}"

    @property
    def documents(self) -> Path:
        """The folder that is `/documents`; what is put in is searchable after the next sync."""
        return self.folder / "documents"

    @contextmanager
    def admin(self) -> Iterator[OpenWebUI]:
        """Open WebUI's administrator. An account may sign in 15 times in three minutes: keep it for a while."""
        password = self.settings["OPEN_WEBUI_ADMIN_PASSWORD"]
        with OpenWebUI(self.open_webui_url, email="admin@example.org", password=password, timeout_s=60) as account:
            yield account

    def ask(self, account: OpenWebUI, question: str, *, model: str = MODEL) -> Heard:
        """What the account hears in the end, with its citations; raises SetupFailed for a question that is refused."""
        return [heard for _, heard in ask(account, [{"role": "user", "content": question}], model=model)][-1]

    def _end(self, container: Container) -> str:
        lines = docker("logs", "--tail", "25", container.id, both=True).strip()
        return f"\n{lines}\n"


@contextmanager
def deployed(
    project: str,
    *,
    overlays: Sequence[str] = (),
    images: Images = "stand-in",
    documents: Path = HANDBOOK,
    compose_program: Path | None = None,
    **variables: str,
) -> Iterator[Deployment]:
    """A project that is not up yet, with fresh secrets, free ports and a copy of `documents`; removed at the end.

    `variables` are those of .env.example, as in LLM_PROVIDER="extractive"; images as in N8N_IMAGE="n8n:2.39".
    """
    with TemporaryDirectory(prefix=f"{project}-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        stack = Deployment(
            project,
            folder,
            (CHECKOUT / "docker-compose.yml", *_overlays(overlays, images)),
            {**_place(folder), **_images(images), **variables},
            ("docker", "compose") if compose_program is None else (str(compose_program),),
        )
        _write_env(folder)
        shutil.copytree(documents, stack.documents, dirs_exist_ok=True)
        stack.down(volumes=True)
        try:
            yield stack
        finally:
            stack.down(volumes=True)


def _overlays(names: Sequence[str], images: Images) -> Iterator[Path]:
    yield from (CHECKOUT / f"compose/{name}.yml" for name in names)
    if images == "stand-in":
        yield MOUNTS
        yield from (file for name in names if (file := MOUNTS.with_name(f"stand-ins.{name}.yml")).exists())


def _place(folder: Path) -> dict[str, str]:
    open_webui, n8n = _free_ports(2)
    return {"OPEN_WEBUI_PORT": str(open_webui), "N8N_PORT": str(n8n), "DOCUMENTS_DIR": str(folder / "documents")}


def _images(images: Images) -> dict[str, str]:
    """Which images are run, and the smallest model that there is; pipelines is this checkout's in any case."""
    build_pipelines_image(PIPELINES_IMAGE, on_stand_in=images == "stand-in")
    if images == "real":
        return {"PIPELINES_IMAGE": PIPELINES_IMAGE, "OLLAMA_MODEL": "llama3.2:1b"}
    models = {"OLLAMA_MODEL": FAST, "LLM_CHOICES": f"ollama/{SLOW},extractive/quotes"}
    return {"PIPELINES_IMAGE": PIPELINES_IMAGE, **models, **ensure_stand_ins()}


def _write_env(folder: Path) -> None:
    """As `make env` writes it, for a checkout that is this folder."""
    (folder / "compose").mkdir()
    shutil.copy(CHECKOUT / "compose/make-env.sh", folder / "compose")
    shutil.copy(CHECKOUT / ".env.example", folder)
    run("sh", str(folder / "compose/make-env.sh"), "--native")


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()
