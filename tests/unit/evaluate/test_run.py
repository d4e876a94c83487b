"""A whole evaluation over three small documents: the real stages, the real index, the real retriever."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from pipelines.answer.retrieve import Retriever
from pipelines.domain import EVERYONE, group_scope
from pipelines.errors import InvalidRequest, SetupFailed
from pipelines.evaluate import build_index
from pipelines.evaluate.ablations import ABLATIONS
from pipelines.evaluate.build_index import FolderIndex, open_folder_index
from pipelines.evaluate.read_questions import read_questions
from pipelines.evaluate.results import QuestionResult, Results
from pipelines.evaluate.run import Evaluation, evaluate
from pipelines.ingest.run import IngestPath
from tests.fakes.word_embedding import WordEmbedding

OpenPath = Callable[[], IngestPath]


def opened(
    folder: Path, open_path: OpenPath, *, recipe: str = "words", anew: bool = False
) -> AbstractContextManager[FolderIndex]:
    kept_in = folder.parent / "eval"
    return open_folder_index(
        folder, kept_in=kept_in, embedding=WordEmbedding(), recipe=recipe, path=open_path, anew=anew
    )


async def run(folder: Path, file: Path, index: FolderIndex) -> Results:
    evaluation = Evaluation(folder, file, "all", ("bm25", "dense", "hybrid", "understand"), limit=5)
    return await evaluate(evaluation, read_questions(file), index, Retriever(index, limit=5))


def by_id(results: Results, ablation: str) -> dict[str, QuestionResult]:
    (run,) = (run for run in results.runs if run.ablation == ablation)
    return {question.id: question for question in run.questions}


async def test_every_ablation_finds_the_right_documents(
    folder: Path, questions_file: Path, open_path: OpenPath
) -> None:
    with opened(folder, open_path) as index:
        results = await run(folder, questions_file, index)
    about = results.about
    assert (about.asked, about.with_document, about.with_page, about.unanswerable) == (4, 3, 3, 1)
    assert (about.documents, about.folder, about.questions) == (3, "documents", "questions.json")
    for ablation in ("bm25", "hybrid", "understand"):
        found = by_id(results, ablation)
        assert found["hotel"].passages[0] == "travel.md"
        assert found["leave"].measures["page_hit@1"] == 1
        assert found["dogs"].measures == {}
    # The closed document is found, because the asker of this question is a member of its group.
    assert by_id(results, "understand")["band"].passages[0] == "hr/pay.md"
    assert "hr/pay.md" not in by_id(results, "understand")["hotel"].passages
    overall = {each.measure: each for each in results.summaries if (each.ablation, each.group) == ("understand", "all")}
    assert (overall["page_hit@5"].mean, overall["page_hit@5"].n) == (1, 3)
    assert {each.worse for each in results.differences} == {"bm25", "dense", "hybrid"}
    assert {(each.group, each.value) for each in results.summaries} == {
        ("all", "all"),
        ("evidence", "table"),
        ("format", "md"),
        ("kind", "number"),
        ("kind", "question"),
    }


async def test_an_index_is_kept_and_its_access_follows_the_questions(
    folder: Path, open_path: OpenPath, unused_path: OpenPath
) -> None:
    with opened(folder, open_path) as index:
        assert index.built_s is not None
        index.open_to({"hr/pay.md": "hr"})
    with opened(folder, unused_path) as index:
        assert index.built_s is None
        assert access(index) == {"hr/pay.md": (group_scope("hr"),), "leave.md": (EVERYONE,), "travel.md": (EVERYONE,)}
        index.open_to({})
        assert set(access(index).values()) == {(EVERYONE,)}


def access(index: FolderIndex) -> dict[str, tuple[str, ...]]:
    keys = {document.id: document.key for document in index.documents}
    return {keys[row.document.id]: row.document.access for row in index.live.index.documents()}


def test_an_index_is_built_anew_when_a_document_or_the_recipe_changes_or_on_request(
    folder: Path, open_path: OpenPath
) -> None:
    def built(**how: object) -> bool:
        with opened(folder, open_path, **how) as index:  # type: ignore[arg-type]
            return index.built_s is not None

    assert built()
    assert not built()
    assert built(anew=True)
    assert built(recipe="other words")
    (folder / "leave.md").write_text("# Leave\n\nAnnual leave is 30 working days.")
    assert built()


def test_an_index_whose_building_was_cut_off_is_not_taken_for_whole(folder: Path, open_path: OpenPath) -> None:
    with opened(folder, open_path):
        pass
    for record in (folder.parent / "eval").glob("*/built.json"):
        record.unlink()
    with opened(folder, open_path) as index:
        assert index.built_s is not None
        assert len(index.documents) == 3


def test_two_runs_do_not_build_the_same_index_at_once(folder: Path, open_path: OpenPath) -> None:
    with opened(folder, open_path), pytest.raises(SetupFailed, match="Another evaluation"), opened(folder, open_path):
        pass


def test_only_the_last_few_indexes_are_kept(folder: Path, open_path: OpenPath, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_index, "KEPT", 2)
    for number in range(4):
        with opened(folder, open_path, recipe=f"words {number}"):
            pass
    assert len(list((folder.parent / "eval").iterdir())) == 2


def test_a_document_that_cannot_be_read_is_named_and_the_others_are_taken(folder: Path, open_path: OpenPath) -> None:
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 broken")
    with opened(folder, open_path) as index:
        assert list(index.refused) == ["broken.pdf"]
        assert sorted(document.key for document in index.documents) == ["hr/pay.md", "leave.md", "travel.md"]


def test_a_folder_that_is_not_there_or_holds_nothing_is_refused(tmp_path: Path, open_path: OpenPath) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "none", tmp_path / "empty"):
        with pytest.raises(InvalidRequest), opened(folder, open_path):
            pass


def test_each_ablation_has_a_name() -> None:
    assert list(ABLATIONS) == ["bm25", "dense", "hybrid", "understand", "rerank"]
