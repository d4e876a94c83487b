"""`make env`: what must be set is written, whole or not at all, and what is there stays."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from dotenv import dotenv_values

from pipelines.settings import StackSettings

ROOT = Path(__file__).parents[2]
SHELLS = sorted({Path(found).resolve() for name in ("sh", "dash", "bash") if (found := shutil.which(name))})
MUST_BE_SET = re.findall(r"^([A-Z0-9_]+)=change-me$", (ROOT / ".env.example").read_text(encoding="utf-8"), re.MULTILINE)
NOBODY = 65534

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def checkout() -> Iterator[Path]:
    """A checkout where other users may enter, and a `docker` that is new enough beside it."""
    with TemporaryDirectory(prefix="ragline-") as parent:
        Path(parent).chmod(0o755)
        folder = Path(parent) / "a checkout"
        (folder / "compose").mkdir(parents=True)
        shutil.copy(ROOT / "compose/make-env.sh", folder / "compose")
        shutil.copy(ROOT / ".env.example", folder)
        docker_that(folder, "echo 2.26.1")
        yield folder
        folder.chmod(0o755)


def docker_that(checkout: Path, does: str) -> None:
    program = checkout.parent / "bin/docker"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!/bin/sh\n{does}\n")
    program.chmod(0o755)


@pytest.fixture(params=SHELLS, ids=lambda shell: shell.name)
def make_env(checkout: Path, request: pytest.FixtureRequest) -> Run:
    """Run the script as `make up` does, from another folder; without any DOCUMENTS_DIR but that of .env."""

    def run(*arguments: str, before: Callable[[], None] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [request.param, checkout / "compose/make-env.sh", *arguments],
            cwd="/",
            env={"PATH": f"{checkout.parent}/bin:{os.defpath}", "HOME": "/"},
            capture_output=True,
            text=True,
            preexec_fn=before,
        )

    return run


def test_what_it_writes_is_enough_to_start_and_closed_to_others(checkout: Path, make_env: Run) -> None:
    done = make_env("--native")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Wrote the settings and fresh secrets to .env\n"
    written = dotenv_values(checkout / ".env")
    assert list(written) == MUST_BE_SET
    assert written.pop("DEFAULT_ACCESS") == "everyone"
    assert len(set(written.values())) == len(written)
    assert all(re.fullmatch(r"[A-Za-z0-9]{40}", secret or "") for secret in written.values())
    assert stat.S_IMODE((checkout / ".env").stat().st_mode) == 0o600
    assert StackSettings(_env_file=checkout / ".env").n8n_encryption_key.get_secret_value()  # type: ignore[call-arg]
    assert sorted(path.name for path in checkout.iterdir()) == [".env", ".env.example", "compose", "documents"]


def test_the_second_time_it_changes_and_says_nothing(checkout: Path, make_env: Run) -> None:
    make_env("--native")
    before = (checkout / ".env").read_bytes()

    done = make_env("--native")

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (checkout / ".env").read_bytes() == before


def test_what_is_there_stays_and_a_newer_versions_names_are_added(checkout: Path, make_env: Run) -> None:
    there = (
        "# mine\nN8N_PORT=9999\nexport GATEWAY_API_KEY = 'with spaces, a # and \"quotes\"'\n"
        '  INTERNAL_API_KEY="another one" # said by hand\n# WEBHOOK_API_KEY=commented-out\n'
        "POSTGRES_PASSWORD=no-newline-after"
    )
    (checkout / ".env").write_text(there)
    (checkout / ".env").chmod(0o644)

    done = make_env("--native")

    added = [name for name in MUST_BE_SET if name not in ("GATEWAY_API_KEY", "INTERNAL_API_KEY", "POSTGRES_PASSWORD")]
    assert done.stdout == f"Added to .env: {' '.join(added)}\n"
    assert (checkout / ".env").read_text().startswith(there + "\n")
    values = dotenv_values(checkout / ".env")
    assert list(values)[-len(added) :] == added
    assert values["GATEWAY_API_KEY"] == 'with spaces, a # and "quotes"'
    assert values["INTERNAL_API_KEY"] == "another one"
    assert values["POSTGRES_PASSWORD"] == "no-newline-after"
    assert stat.S_IMODE((checkout / ".env").stat().st_mode) == 0o600


def test_files_with_the_line_ends_of_windows_are_read_alike(checkout: Path, make_env: Run) -> None:
    example = checkout / ".env.example"
    example.write_bytes(example.read_bytes().replace(b"\n", b"\r\n"))
    (checkout / ".env").write_bytes(b"GATEWAY_API_KEY=chosen-by-a-person\r\nN8N_PORT=9999\r\n")

    done = make_env("--native")

    values = dotenv_values(checkout / ".env")
    assert done.returncode == 0
    assert (values["GATEWAY_API_KEY"], values["N8N_PORT"]) == ("chosen-by-a-person", "9999")
    assert set(MUST_BE_SET) <= set(values)


@pytest.mark.parametrize(
    "written", ["change-me", "'change-me'", '"change-me"', "change-me  # later", "change-me\r", "", "''"]
)
def test_a_placeholder_is_left_and_named(checkout: Path, make_env: Run, written: str) -> None:
    make_env("--native")
    whole = (checkout / ".env").read_text()
    with (checkout / ".env").open("a", newline="") as file:
        file.write(f"IDENTITY_SECRET={written}\nN8N_OWNER_PASSWORD={written}\n")
    before = (checkout / ".env").read_bytes()

    done = make_env("--native")

    assert done.returncode == 1
    assert done.stderr == (
        "make env: .env still holds the placeholder, or nothing, for IDENTITY_SECRET N8N_OWNER_PASSWORD: delete the "
        "line and run `make env` again, or set a value of your own.\n"
    )
    assert (checkout / ".env").read_bytes() == before
    assert whole in before.decode()


@pytest.mark.parametrize(
    ("name", "least"), [("IDENTITY_SECRET", 16), ("QDRANT_API_KEY", 16), ("N8N_OWNER_PASSWORD", 8)]
)
def test_a_weak_secret_is_left_and_named(checkout: Path, make_env: Run, name: str, least: int) -> None:
    make_env()
    whole = (checkout / ".env").read_text()
    (checkout / ".env").write_text(f"{whole}{name}={'x' * (least - 1)}\n")

    done = make_env()

    assert done.returncode == 1
    assert done.stderr == (
        f"make env: {name} in .env is shorter than {least} characters: set a longer one, or delete the line and run "
        "`make env` again.\n"
    )
    (checkout / ".env").write_text(f"{whole}{name}={'x' * least}\n")
    assert make_env().returncode == 0


def test_of_several_lines_the_last_counts(checkout: Path, make_env: Run) -> None:
    (checkout / ".env").write_text("IDENTITY_SECRET=change-me\nIDENTITY_SECRET=a-value-of-my-own\n")

    assert make_env("--native").returncode == 0


def test_a_copy_of_the_example_is_refused_by_its_names(checkout: Path, make_env: Run) -> None:
    shutil.copy(checkout / ".env.example", checkout / ".env")

    done = make_env("--native")

    assert done.returncode == 1
    assert all(name in done.stderr for name in MUST_BE_SET)
    assert len(done.stderr.splitlines()) == 1


def test_a_folder_that_cannot_be_written_is_one_sentence(checkout: Path, make_env: Run) -> None:
    checkout.chmod(0o555)

    done = make_env("--native", before=_as_nobody)

    assert done.returncode == 1
    assert done.stderr == (f"make env: {checkout} cannot be written: it is read-only, or belongs to another user.\n")


def test_a_whole_env_needs_no_folder_that_can_be_written(checkout: Path, make_env: Run) -> None:
    make_env("--native")
    (checkout / ".env").chmod(0o644)
    (checkout / "documents").rmdir()
    checkout.chmod(0o555)

    done = make_env(before=_as_nobody)

    assert done.returncode == 0
    assert done.stderr == f"make env: {checkout}/documents cannot be made: make it, or set DOCUMENTS_DIR.\n"


@pytest.mark.parametrize("room", [0, 100])
@pytest.mark.parametrize("there", [None, "N8N_PORT=9999\n"])
def test_a_full_disk_leaves_things_as_they_were(checkout: Path, make_env: Run, there: str | None, room: int) -> None:
    if there:
        (checkout / ".env").write_text(there)

    done = make_env("--native", before=lambda: _no_file_above(room))

    assert done.returncode == 1
    assert done.stderr == (
        f"make env: {checkout}/.env could not be written whole: is the disk full? It is as it was.\n"
    )
    assert done.stdout == ""
    left = {".env.example", "compose", *([".env"] if there else [])}
    assert {path.name for path in checkout.iterdir()} == left
    assert not there or (checkout / ".env").read_text() == there


def test_a_folder_in_its_place_and_one_that_is_closed_are_said(checkout: Path, make_env: Run) -> None:
    (checkout / ".env").mkdir()
    assert "/.env is a folder where a file belongs" in make_env().stderr

    (checkout / ".env").rmdir()
    (checkout / ".env").symlink_to("nowhere/else")
    assert "/.env is not there, or may not be read" in make_env().stderr


def test_a_linked_file_stays_a_link(checkout: Path, make_env: Run) -> None:
    kept = checkout.parent / "kept.env"
    kept.write_text("N8N_PORT=9999\n")
    (checkout / ".env").symlink_to(kept)

    assert make_env("--native").returncode == 0

    assert (checkout / ".env").is_symlink()
    assert set(dotenv_values(kept)) == {"N8N_PORT", *MUST_BE_SET}
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_the_folder_of_documents_is_made_unless_another_is_named(checkout: Path, make_env: Run) -> None:
    (checkout / ".env").write_text("DOCUMENTS_DIR=/no/such/share\n")

    done = make_env()

    assert done.returncode == 0
    assert done.stderr == "make env: DOCUMENTS_DIR names /no/such/share, which is not there.\n"
    assert not (checkout / "documents").exists()
    (checkout / ".env").unlink()
    make_env()
    assert stat.S_IMODE((checkout / "documents").stat().st_mode) == 0o755


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("2.25.0", "make env: docker compose is 2.25.0 here and must be 2.26 or newer"),
        ("v2.9.0", "make env: docker compose is 2.9.0 here and must be 2.26 or newer"),
        ("1.29.2", "make env: docker compose is 1.29.2 here and must be 2.26 or newer"),
        ("", "make env: docker has no Compose plugin here: the containers need 2.26 or newer."),
        ("2.26.0", ""),
        ("2.26.1-4", ""),
        ("v2.40.3-desktop.1", ""),
        ("5.6.0", ""),
    ],
)
def test_an_old_compose_is_said_and_hinders_nobody(checkout: Path, make_env: Run, version: str, said: str) -> None:
    docker_that(checkout, f"echo {version}" if version else "echo \"'compose' is not a docker command.\" >&2; exit 1")

    done = make_env()

    assert done.returncode == 0
    assert done.stderr.startswith(said) if said else done.stderr == ""
    assert make_env("--native").stderr == ""


def _as_nobody() -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def _no_file_above(size: int) -> None:
    # as on a full disk, a write then fails
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
