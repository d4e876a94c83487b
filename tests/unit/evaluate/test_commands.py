"""`ragline eval run` and `compare` as the shell calls them: what they print, write, and how they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines import bootstrap_documents
from pipelines.errors import InvalidRequest
from pipelines.evaluate.ablations import chosen
from pipelines.evaluate.gate import read_floor, too_low
from pipelines.evaluate.results import read_results, write_results
from pipelines.evaluate_commands import app
from pipelines.settings import SECRETS
from tests.fakes.word_embedding import WordEmbedding
from tests.unit.evaluate.rankings import results


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bootstrap_documents, "load_configured_embedding", lambda settings: WordEmbedding())
    settings = {name.upper(): "a-secret-of-this-test" for name in SECRETS}
    for name, value in {**settings, "DEFAULT_ACCESS": "nobody", "STATE_DIR": str(tmp_path / "state")}.items():
        monkeypatch.setenv(name, value)
    return CliRunner()


def test_a_run_prints_a_table_and_writes_what_two_runs_are_compared_by(
    runner: CliRunner, folder: Path, questions_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ["run", str(folder), "--questions", str(questions_file), "--out", str(out)]
    ran = runner.invoke(app, [*arguments, "--fail-below", "page_hit@5=0.9"], catch_exceptions=False)
    assert ran.exit_code == 0
    assert "3 documents" in ran.output
    assert "4 questions (all questions): 3 name a document, 3 a page, 1 have no answer" in ran.output
    assert all(name in ran.output for name in ("BM25 only", "dense only", "hybrid", "+ understanding"))
    assert max(len(line) for line in ran.output.splitlines() if not line.startswith("wrote")) <= 100
    assert read_results(out / "results.json").about.asked == 4
    assert (out / "results.svg").read_text().startswith("<?xml")
    assert (out / "results.png").read_bytes().startswith(b"\x89PNG")

    file = str(out / "results.json")
    compared = runner.invoke(app, ["compare", file, file], catch_exceptions=False)
    assert compared.exit_code == 0
    assert "no difference that 3 questions could show" in compared.output


def test_questions_that_changed_are_listed_with_their_ranks(runner: CliRunner, tmp_path: Path) -> None:
    write_results(results({"understand": [1, 2, None, 3]}), tmp_path / "a.json")
    write_results(results({"understand": [1, 1, 4, None]}), tmp_path / "b.json")
    compared = runner.invoke(app, ["compare", str(tmp_path / "a.json"), str(tmp_path / "b.json")])
    assert compared.exit_code == 0
    lines = [" ".join(line.split()) for line in compared.output.splitlines()]
    assert "2 → 1 page What about q1?" in lines
    assert "- → 4 page What about q2?" in lines
    assert "3 → - page What about q3?" in lines


def test_a_measure_below_its_floor_ends_with_exit_code_1(runner: CliRunner, folder: Path, tmp_path: Path) -> None:
    questions = tmp_path / "wrong.json"
    questions.write_text(json.dumps([{"question": "What may a hotel in Lisbon cost?", "document": "leave.md"}]))
    arguments = ["run", str(folder), "--questions", str(questions), "--ablations", "bm25"]
    failed = runner.invoke(app, [*arguments, "--fail-below", "page_hit@1=0.9"])
    assert failed.exit_code == 1
    assert "page_hit@1 of BM25 only is 0.000, below 0.9." in failed.output


def test_a_floor_is_a_measure_and_a_number() -> None:
    assert (read_floor("page_hit@5=0.95").measure, read_floor("page_hit@5=0.95").least) == ("page_hit@5", 0.95)
    for text in ("page_hit@7=0.5", "page_hit@5", "page_hit@5=x", "page_hit@5=95", "page_hit@5=nan"):
        with pytest.raises(InvalidRequest):
            read_floor(text)


def test_a_floor_holds_for_the_fullest_ablation() -> None:
    run = results({"bm25": [None, None], "understand": [1, 7]})
    assert list(too_low(run, [read_floor("page_hit@10=1"), read_floor("page_hit@5=0.5")])) == []
    assert len(list(too_low(run, [read_floor("page_hit@5=0.51")]))) == 1


def test_ablations_are_named_and_ordered() -> None:
    assert chosen("understand, bm25", reranked=False) == ("bm25", "understand")
    assert chosen("", reranked=False) == ("bm25", "dense", "hybrid", "understand")
    assert chosen("", reranked=True)[-1] == "rerank"
    for names in ("bm25,sparse", "bm25,rerank"):
        with pytest.raises(InvalidRequest):
            chosen(names, reranked=False)
