"""Installs what is missing: the locked requirements go in; n8n, Open WebUI and a prepared embedding model come out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path

from pipelines.native.command import run_logged
from pipelines.native.disk import disk_errors_explained
from pipelines.native.layout import Layout
from pipelines.native.n8n import node_folder
from pipelines.native.preflight import check_compiler
from pipelines.native.steps import Steps
from pipelines.native.torch import install_torch
from pipelines.providers.sentence_transformers import prepare_model
from pipelines.settings import StackSettings, inherited_environment

N8N_FILES = ("package.json", "package-lock.json", ".npmrc")


@dataclass(frozen=True, slots=True)
class Installation:
    """One thing to install. It is done when `stamp` says `inputs`; the stamp is written last."""

    title: str
    stamp: Path
    inputs: str
    install: Callable[[], None]

    @property
    def done(self) -> bool:
        return self.stamp.exists() and self.stamp.read_text() == self.inputs


def missing(settings: StackSettings, layout: Layout) -> list[Installation]:
    """What is not installed yet, or of another version."""
    return [wanted for wanted in _all(settings, layout) if not wanted.done]


def install(wanted: Sequence[Installation], layout: Layout, steps: Steps) -> None:
    """Install all of `wanted`, side by side. What was interrupted is done anew the next time.

    Raises:
        SetupFailed: one of them failed; the others are finished first.
    """

    def one(installation: Installation) -> None:
        with steps.step(f"Installing {installation.title}"), disk_errors_explained(layout.state):
            installation.stamp.unlink(missing_ok=True)
            installation.install()
            installation.stamp.write_text(installation.inputs)

    if any(installation.stamp == _n8n_stamp(layout) for installation in wanted):
        check_compiler()
    with ThreadPoolExecutor() as workers:
        for finished in [workers.submit(one, installation) for installation in wanted]:
            finished.result()


def _all(settings: StackSettings, layout: Layout) -> Iterable[Installation]:
    requirements = layout.checkout / "requirements"
    workflows = layout.checkout / "workflows"
    yield Installation(
        "n8n (about 3 minutes)",
        _n8n_stamp(layout),
        _fingerprint(*(workflows / name for name in N8N_FILES)),
        lambda: _install_n8n(layout, workflows),
    )
    yield Installation(
        "Open WebUI",
        layout.open_webui_env / ".ready",
        _fingerprint(requirements / "open-webui.txt"),
        lambda: _install_open_webui(layout, requirements / "open-webui.txt"),
    )
    if settings.embeds_elsewhere() and not _reranks_here(settings):
        return
    yield Installation(
        "the embedding model",
        settings.models_dir.resolve() / ".ready",
        f"{settings.embedding_model} {settings.embedding_backend} {_fingerprint(requirements / 'torch.txt')}",
        lambda: _install_model(settings, layout),
    )


def _n8n_stamp(layout: Layout) -> Path:
    return layout.n8n_env / ".ready"


def _install_n8n(layout: Layout, workflows: Path) -> None:
    log = layout.log("install-n8n")
    layout.n8n_env.mkdir(parents=True, exist_ok=True)
    for name in N8N_FILES:
        (layout.n8n_env / name).write_bytes((workflows / name).read_bytes())
    _npm(layout, log, "ci")
    # n8n loads this driver even when it uses PostgreSQL, and its package carries no binary (see DECISIONS.md)
    _npm(layout, log, "rebuild", "sqlite3", "--build-from-source", "--ignore-scripts=false", "--foreground-scripts")


def _npm(layout: Layout, log: Path, *arguments: str) -> None:
    node = node_folder()
    environment = {
        "PATH": f"{node / 'bin'}:{inherited_environment(everything=True).get('PATH', '')}",
        # the headers to build against are in the package; node-gyp would download them
        "npm_config_nodedir": str(node),
        "npm_config_python": sys.executable,
    }
    npm = node / "lib/node_modules/npm/bin/npm-cli.js"
    command = (str(node / "bin/node"), str(npm), *arguments)
    run_logged(command, log, what="n8n", folder=layout.n8n_env, environment=environment)


def _install_open_webui(layout: Layout, requirements: Path) -> None:
    log = layout.log("install-open-webui")
    target = str(layout.open_webui_env)
    make = (str(layout.uv), "venv", "--quiet", "--clear", "--python", sys.executable, target)
    fill = (str(layout.uv), "pip", "install", "--quiet", "--python", f"{target}/bin/python", "--no-deps")
    run_logged(make, log, what="Open WebUI")
    run_logged((*fill, "--require-hashes", "-r", str(requirements)), log, what="Open WebUI")


def _reranks_here(settings: StackSettings) -> bool:
    """Whether a reranker will be prepared on this machine, which takes torch too."""
    return bool(settings.rerank_model) and not settings.rerank_model.startswith("bedrock/")


def _install_model(settings: StackSettings, layout: Layout) -> None:
    log = layout.log("install-model")
    install_torch(layout, log)
    models_dir = settings.models_dir.resolve()
    models_dir.mkdir(parents=True, exist_ok=True)
    if settings.embeds_elsewhere():
        return
    # in a process of its own: torch stays in memory for as long as its process lives, and it has much to say
    with ProcessPoolExecutor(1, get_context("spawn"), _write_to, (log,)) as process:
        process.submit(prepare_model, settings.embedding_model, settings.embedding_backend, models_dir).result()


def _write_to(log: Path) -> None:
    with log.open("a") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())


def _fingerprint(*files: Path) -> str:
    return sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()
