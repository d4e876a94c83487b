"""What the README says of retrieval, measured again: with the real embedding model, on the real documents."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.settings import inherited_environment

CHECKOUT = Path(__file__).parents[2]
ENVIRONMENT = inherited_environment(everything=True)
STATE_DIR = CHECKOUT / ENVIRONMENT.get("STATE_DIR", ".ragline")
DOCUMENTS = CHECKOUT / "tests" / "documents"
SEC = CHECKOUT.parent / "shared" / "eval" / "sec-10-q"

SECRETS = ("GATEWAY_API_KEY", "INTERNAL_API_KEY", "WEBHOOK_API_KEY", "IDENTITY_SECRET")


def ragline_eval(*arguments: str, out: Path) -> dict[str, Any]:
    """Run the command as a person would; what it wrote comes back, and a missed floor fails."""
    command = [sys.executable, "-c", "from pipelines.cli import main; main()", "eval", *arguments, "--out", str(out)]
    values = {"STATE_DIR": str(STATE_DIR), "DEFAULT_ACCESS": "everyone", **dict.fromkeys(SECRETS, "e" * 32)}
    done = subprocess.run(
        command, env={**ENVIRONMENT, **values}, cwd=CHECKOUT, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    (results,) = (json.loads(file.read_text("utf-8")) for file in out.glob("*.json"))
    return dict(results)


def test_the_right_page_of_the_handbook_is_among_the_first_five(tmp_path: Path) -> None:
    questions = str(DOCUMENTS / "questions.json")
    ragline_eval(
        *("run", str(DOCUMENTS / "handbook"), "--questions", questions),
        *("--ablations", "understand", "--fail-below", "page_hit@5=0.95"),
        out=tmp_path,
    )


def test_the_extractive_default_declines_every_unanswerable_question_of_the_handbook(tmp_path: Path) -> None:
    questions = str(DOCUMENTS / "questions.json")
    ragline_eval(
        *("answers", str(DOCUMENTS / "handbook"), "--questions", questions),
        *("--fail-below", "declined=1.0", "--fail-below", "facts=0.9"),
        out=tmp_path,
    )


def test_another_organisations_documents_which_nothing_is_tuned_to_are_found_too(tmp_path: Path) -> None:
    questions = str(DOCUMENTS / "clinic-questions.json")
    ragline_eval(
        *("run", str(DOCUMENTS / "clinic"), "--questions", questions),
        *("--ablations", "understand", "--fail-below", "page_hit@5=0.9"),
        out=tmp_path,
    )


@pytest.mark.timeout(1200)
def test_what_is_shipped_beats_bm25_and_vectors_alone_on_quarterly_reports(tmp_path: Path) -> None:
    """Over all questions and over the half that no setting was chosen by."""
    questions = tmp_path / "questions.json"
    mapping = ["-m", "tests.evals.sec_10_q", "--docs", str(SEC), "--out", str(questions)]
    subprocess.run([sys.executable, *mapping], cwd=CHECKOUT, check=True, timeout=300)
    for half in ("all", "report"):
        results = ragline_eval(
            *("run", str(SEC / "docs"), "--questions", str(questions), "--half", half),
            *("--ablations", "bm25,dense,understand"),
            out=tmp_path / half,
        )
        for worse in ("bm25", "dense"):
            (difference,) = (
                each for each in results["differences"] if (each["worse"], each["measure"]) == (worse, "page_hit@10")
            )
            assert difference["p"] < 0.05 and difference["low"] > 0, difference
    shipped = next(run for run in results["runs"] if run["ablation"] == "understand")
    single = [each["measures"]["document_hit@5"] for each in shipped["questions"] if each["kind"] != "multi-document"]
    assert sum(single) / len(single) >= 0.9
