from __future__ import annotations

import io

import pytest
from rich.console import Console

from pipelines.errors import SetupFailed
from pipelines.native.layout import Layout
from pipelines.native.logs import log_files, logs
from pipelines.native.status import show_status, status
from tests.unit.native.conftest import MakeSettings


def test_a_stack_that_does_not_run_has_a_line_for_each_part(make_settings: MakeSettings) -> None:
    said = io.StringIO()

    assert not show_status(make_settings(), Console(file=said, width=120))

    assert [part.state for part in status(make_settings())] == ["stopped"] * 4
    for name in ("postgres", "pipelines", "n8n", "open-webui"):
        assert name in said.getvalue()


def test_the_log_of_one_part(layout: Layout, capfd: pytest.CaptureFixture[str]) -> None:
    layout.log("n8n").write_text("Editor is now accessible\n")

    logs(layout.state, "n8n", follow=False)

    assert capfd.readouterr().out == "Editor is now accessible\n"


def test_every_part_but_no_installation(layout: Layout) -> None:
    for name in ("n8n", "postgres", "install-n8n"):
        layout.log(name).touch()

    assert log_files(layout, None) == [layout.log("n8n"), layout.log("postgres")]


def test_a_part_without_a_log_names_those_that_have_one(layout: Layout) -> None:
    layout.log("n8n").touch()

    with pytest.raises(SetupFailed, match="no log of qdrant; there is one of: n8n"):
        log_files(layout, "qdrant")


def test_no_log_at_all_is_said(layout: Layout) -> None:
    with pytest.raises(SetupFailed, match="nothing has been started"):
        log_files(layout, None)
