"""Builds the image of pipelines where no registry can be reached: on the stand-in base, from this checkout.

What this machine's network asks for is given to the build as a person in a company's network would give it: the extra
certificates in a copy of compose/certificates, the folder with torch's CPU build as pip's configuration.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from threading import Thread

from pipelines.settings import inherited_environment
from tests.compose.base_image import ensure_base_image
from tests.compose.docker import CHECKOUT, build

CONTEXT = (
    ".dockerignore",
    "compose/certificates",
    "pipelines",
    "pyproject.toml",
    "README.md",
    "requirements",
    "workflows",
)
"""Where .dockerignore chooses from."""

CERTIFICATES = Path("/usr/local/share/ca-certificates")


def build_pipelines_image(tag: str, *, on_stand_in: bool = True) -> None:
    """Build the image as `tag`: a minute or two the first time, seconds when nothing or only code has changed.

    With `on_stand_in` false it is built on the image of Python that the Dockerfile names.

    Raises:
        SetupFailed: it cannot be built; says what the build said.
    """
    base = ["--build-arg", f"PYTHON_IMAGE={ensure_base_image()}"] if on_stand_in else []
    with _alone(), TemporaryDirectory(prefix="ragline-image-") as name:
        context = _context(Path(name) / "context")
        with _pip_configuration(Path(name) / "pip.conf") as pip_configuration:
            build(
                *("--progress", "plain", "--tag", tag),
                *("--file", str(context / "pipelines/Dockerfile")),
                *base,
                *("--network", "host", "--secret", f"id=pip,src={pip_configuration}"),
                str(context),
            )


@contextmanager
def _alone() -> Iterator[None]:
    """Wait for another build of this image: two at once can end the engine (Docker 20.10, moby/buildkit#2303)."""
    with (Path(gettempdir()) / "ragline-image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _context(folder: Path) -> Path:
    """A copy of what a build may see, with this machine's certificates in it."""
    for part in CONTEXT:
        source, target = CHECKOUT / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    for certificate in CERTIFICATES.glob("*.crt"):
        shutil.copy(certificate, folder / "compose/certificates")
    return folder


@contextmanager
def _pip_configuration(file: Path) -> Iterator[Path]:
    """A file that tells pip of the wheels that this machine's pip is told of; a folder is served to the build."""
    told = inherited_environment(everything=True).get("PIP_FIND_LINKS", "")
    if not Path(told).is_dir() or not told:
        file.write_text(f"[global]\nfind-links = {told}\n" if told else "")
        yield file
        return
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=told)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        file.write_text(f"[global]\nfind-links = http://127.0.0.1:{server.server_port}/\n")
        try:
            yield file
        finally:
            server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""
