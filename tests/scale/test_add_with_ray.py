"""`ragline add --engine ray` against a pipelines that is served, on a Ray of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scale.deployment import Deployment, make_deployment
from tests.unit.ingest.make_documents import pdf


@pytest.fixture
def share(tmp_path: Path) -> Path:
    """A folder that pipelines keeps in line with, and has not looked at yet."""
    folder = tmp_path / "share"
    folder.mkdir()
    for name in ("kettles", "ladders", "mirrors"):
        (folder / f"{name}.md").write_text(f"# {name}\n\nWe sell {name} on Mondays.")
    (folder / "locked.pdf").write_bytes(pdf(["secret"], password="x"))
    return folder


@pytest.fixture
def deployment(tmp_path: Path, registry_url: str, share: Path) -> Iterator[Deployment]:
    made = make_deployment(tmp_path, registry_url, document_sources=str(share), ingest_workers=2)
    with made.served():
        yield made


def test_a_back_fill_ends_as_if_pipelines_had_read_it_itself(
    deployment: Deployment, share: Path, tmp_path: Path
) -> None:
    sent = tmp_path / "sent"
    sent.mkdir()
    (sent / "ropes.md").write_text("# ropes\n\nWe sell ropes on Fridays.")

    done = deployment.run("add", "--engine", "ray", str(share), str(sent))

    assert [line for line in done.stdout.splitlines() if line] == [
        f"locked.pdf: {_problem(deployment, share)}",
        "4 added, 0 unchanged, 1 with a problem",
    ], done.stderr
    assert done.stderr == ""
    assert done.returncode == 2
    names = ("kettles.md", "ladders.md", "mirrors.md")
    readable = {f"file://{share.resolve()}/{name}": 1 for name in names}
    assert deployment.index() == ({**readable, f"upload://{sent.resolve()}/ropes.md": 1}, 4)
    assert deployment.found("When do we sell ladders?") == "ladders"

    (share / "locked.pdf").unlink()
    again = deployment.run("add", "--engine", "ray", str(share), str(sent))
    assert again.stdout.strip() == "0 added, 4 unchanged, 0 with a problem", again.stdout + again.stderr

    with deployment.documents() as documents:
        (report,) = documents.sync([])
    assert (report.added, report.changed, report.removed, report.unchanged) == (0, 0, 1, 3)


def _problem(deployment: Deployment, share: Path) -> str:
    with deployment.documents() as documents:
        (failed,) = documents.list(state="failed")
    assert failed.origin == f"file://{share.resolve()}/locked.pdf"
    return failed.problem
