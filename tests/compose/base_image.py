"""The image that all stand-ins are built on: a small Debian 12 made from packages, because CI has no registry.

It stands in for no vendor's image. The machine's own extra certificates are in it, so that pip works in a build.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from pipelines.errors import SetupFailed
from tests.compose.docker import docker, has_image, run

BASE = "ragline-stand-in/base:1"

_RELEASE = "bookworm"
_PACKAGES = ("ca-certificates", "curl", "python3", "python3-venv", "wget")
_CERTIFICATES = Path("/usr/local/share/ca-certificates")


def ensure_base_image() -> str:
    """Make the image, which takes half a minute, unless it is there; its tag comes back.

    Raises:
        SetupFailed: this is not a Debian machine, or a package could not be fetched.
    """
    if not has_image(BASE):
        with tempfile.TemporaryDirectory() as folder:
            _import(_root_file_system(Path(folder)))
    return BASE


def _root_file_system(folder: Path) -> Path:
    _need_mmdebstrap()
    archive = folder / "base.tar"
    run(
        "mmdebstrap",
        *("--quiet", "--variant=minbase", f"--include={','.join(_PACKAGES)}"),
        # interpreters that are mounted in may lie under /root
        '--customize-hook=chmod 755 "$1/root"',
        *(f'--customize-hook=copy-in "{file}" {_CERTIFICATES}' for file in sorted(_CERTIFICATES.glob("*.crt"))),
        '--customize-hook=chroot "$1" update-ca-certificates',
        *(_RELEASE, str(archive), package_mirror()),
    )
    return archive


def _import(archive: Path) -> None:
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    docker("import", "--change", f"ENV PATH={path} LANG=C.UTF-8", str(archive), BASE)


def _need_mmdebstrap() -> None:
    if shutil.which("mmdebstrap"):
        return
    if not shutil.which("apt-get"):
        raise SetupFailed("The stand-in images are made from Debian's packages: run these tests on Debian 12.")
    run("apt-get", "update", "-qq")
    run("apt-get", "install", "-y", "-qq", "--no-install-recommends", "mmdebstrap")


def package_mirror() -> str:
    """The mirror that this machine's own packages come from; raises SetupFailed when there is none."""
    for line in run("apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages").split(
        "\n"
    ):
        uri, _, codename = line.partition(" ")
        if codename == _RELEASE:
            return uri
    raise SetupFailed(f"This machine's package sources name no mirror of Debian {_RELEASE}.")
