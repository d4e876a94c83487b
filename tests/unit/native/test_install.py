from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.errors import SetupFailed
from pipelines.native.install import Installation, install, missing
from pipelines.native.layout import Layout
from pipelines.native.steps import Steps
from tests.unit.native.conftest import MakeSettings


def steps() -> Steps:
    return Steps(Console(file=io.StringIO()))


def test_what_was_interrupted_is_done_again_and_what_is_done_is_not(layout: Layout, tmp_path: Path) -> None:
    attempts: list[str] = []

    def fails_once() -> None:
        attempts.append("attempt")
        if len(attempts) == 1:
            raise SetupFailed("The network went away.")

    wanted = Installation("a part", tmp_path / ".ready", "lock 1", fails_once)

    with pytest.raises(SetupFailed, match="network went away"):
        install([wanted], layout, steps())
    assert not wanted.done

    install([wanted], layout, steps())
    assert wanted.done
    assert not replace(wanted, inputs="lock 2").done


def test_an_update_that_fails_does_not_pass_for_the_old_version(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / ".ready").write_text("lock 1")

    def fail() -> None:
        raise SetupFailed("No.")

    with pytest.raises(SetupFailed):
        install([Installation("a part", tmp_path / ".ready", "lock 2", fail)], layout, steps())

    assert not (tmp_path / ".ready").exists()


def test_the_others_are_finished_when_one_fails(layout: Layout, tmp_path: Path) -> None:
    def fail() -> None:
        raise SetupFailed("No.")

    good = Installation("good", tmp_path / "good", "1", lambda: None)
    bad = Installation("bad", tmp_path / "bad", "1", fail)

    with pytest.raises(SetupFailed):
        install([bad, good], layout, steps())

    assert good.done


def test_everything_is_missing_at_first_and_changes_with_what_it_is_made_from(
    make_settings: MakeSettings, layout: Layout
) -> None:
    wanted = missing(make_settings(), layout)
    assert len(wanted) == 3

    for installation in wanted:
        installation.stamp.parent.mkdir(parents=True, exist_ok=True)
        installation.stamp.write_text(installation.inputs)
    assert missing(make_settings(), layout) == []

    (again,) = missing(make_settings(embedding_model="/models/another"), layout)
    assert again.title == "the embedding model"


def test_for_a_model_that_runs_elsewhere_nothing_is_installed(make_settings: MakeSettings, layout: Layout) -> None:
    elsewhere = {"embedding_model": "ollama/nomic-embed-text"}
    assert len(missing(make_settings(**elsewhere), layout)) == 2
    assert len(missing(make_settings(**elsewhere, rerank_model="/models/reranker"), layout)) == 3
    assert len(missing(make_settings(**elsewhere, rerank_model="bedrock/amazon.rerank-v1:0"), layout)) == 2
