"""The formats of a questions file, and what is said of a broken one."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.domain import Message
from pipelines.errors import InvalidRequest
from pipelines.evaluate.questions import GoldenQuestion, Questions, RightPlace
from pipelines.evaluate.read_questions import read_questions

GOLDEN = Path(__file__).parents[2] / "documents" / "questions.json"


def read(folder: Path, name: str, text: str) -> Questions:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return read_questions(file)


def test_the_golden_questions_of_this_project_are_a_questions_file() -> None:
    questions = read_questions(GOLDEN).questions
    kinds = {question.kind for question in questions}
    assert {"single", "table", "followup", "restricted", "unanswerable"} <= kinds
    by_id = {question.id: question for question in questions}
    assert by_id["band-e5"].group == "people-team"
    assert by_id["band-e5"].evidence == "table"
    assert by_id["hotel-then-lisbon"].history[0].role == "user"
    assert by_id["price-300-h"].right == ()


def test_json_names_one_page_several_pages_or_whole_documents(tmp_path: Path) -> None:
    text = """[
      {"id": 1, "question": "One?", "document": "a.pdf", "page": 3},
      {"question": "Two?", "pages": [{"document": "a.pdf", "page": 1, "grade": 2}, {"document": "*b*"}]},
      {"question": "Three?", "documents": ["a.pdf", "b.pdf"], "kind": "broad"},
      {"question": "And?", "history": [{"role": "user", "content": "One?"}]}
    ]"""
    one, two, three, four = read(tmp_path, "q.json", text).questions
    assert (one.id, one.right) == ("1", (RightPlace("a.pdf", 3),))
    assert two.right == (RightPlace("a.pdf", 1, 2), RightPlace("*b*"))
    assert (three.kind, three.right) == ("broad", (RightPlace("a.pdf"), RightPlace("b.pdf")))
    assert (four.history, four.right) == ((Message("user", "One?"),), ())


def test_an_object_says_which_folders_are_closed(tmp_path: Path) -> None:
    text = '{"access": {"hr": "people"}, "questions": [{"question": "One?", "document": "hr/a.pdf"}]}'
    assert read(tmp_path, "q.json", text).access == {"hr": "people"}


def test_json_lines_have_a_question_a_line(tmp_path: Path) -> None:
    questions = read(tmp_path, "q.jsonl", '{"question": "One?"}\n\n{"question": "Two?", "document": "a"}\n').questions
    assert [question.text for question in questions] == ["One?", "Two?"]


def test_csv_has_several_pages_in_a_cell(tmp_path: Path) -> None:
    text = '\ufeffquestion,document,page,kind\n"One, or two?",a.pdf,3; 4,table\nTwo?,a.pdf;b.pdf,,\nThree?,,,\n'
    one, two, three = read(tmp_path, "q.csv", text).questions
    assert (one.text, one.kind) == ("One, or two?", "table")
    assert one.right == (RightPlace("a.pdf", 3), RightPlace("a.pdf", 4))
    assert two.right == (RightPlace("a.pdf"), RightPlace("b.pdf"))
    assert three.right == ()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("q.txt", "One?", "must be .json, .jsonl or .csv"),
        ("q.json", "[]", "holds no questions"),
        ("q.json", '"One?"', "must be a list"),
        ("q.json", '[\n{"question": "One?"},\n]', "line 3: it is not JSON"),
        ("q.json", '[{"question": "One?"}, {"id": "b"}]', "question 2: question: Field required"),
        ("q.json", '[{"question": "  "}]', "question 1: question: "),
        ("q.json", '["One?"]', "question 1: "),
        ("q.json", '[{"question": "One?", "document": "a", "page": 0}]', "question 1: page: "),
        ("q.json", '[{"question": "One?", "page": 3}]', "page is given without a document"),
        ("q.json", '[{"question": "One?", "pages": [{"page": 3}]}]', "question 1: pages.0.document: "),
        ("q.json", '{"access": ["hr"], "questions": [{"question": "One?"}]}', "`access` must name a group"),
        ("q.json", '[{"id": "a", "question": "One?"}, {"id": "a", "question": "Two?"}]', "two questions have the id a"),
        ("q.jsonl", '{"question": "One?"}\n{"question"', "line 2: it is not JSON"),
        ("q.jsonl", '{"question": "One?"}\n\n{}', "line 3: question: "),
        ("q.csv", "question,document,page\nOne?,a.pdf,x\n", "line 2: pages.0.page: "),
        ("q.csv", "question,document,page\nOne?,a.pdf;b.pdf;c.pdf,1;2\n", "names 3 documents and 2 pages"),
        ("q.csv", "question,document\nOne?,a.pdf,3\n", "line 2: it has more cells"),
        ("q.csv", "text\nOne?\n", "line 2: question: Field required"),
    ],
)
def test_a_broken_file_is_refused_with_its_place(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        read(tmp_path, name, text)
    assert said in raised.value.message


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="cannot be read"):
        read_questions(tmp_path / "none.json")
    (tmp_path / "q.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidRequest, match="not UTF-8"):
        read_questions(tmp_path / "q.json")


def test_the_halves_are_fixed_and_share_no_question() -> None:
    questions = read_questions(GOLDEN)
    develop, report = questions.of("develop"), questions.of("report")
    assert set(develop) | set(report) == set(questions.of("all"))
    assert not set(develop) & set(report)
    halves = {question.id: question.half for question in questions.questions}
    # Written down, so that a change of the rule cannot pass unseen.
    assert (halves["pay-day"], halves["probation-notice"], halves["band-e5"]) == HALVES


def test_a_question_asked_twice_is_in_one_half_whatever_its_id_and_spacing() -> None:
    first = GoldenQuestion("a", "How many  days?", "single", ())
    assert first.half == GoldenQuestion("b", "how many days?", "table", (RightPlace("a"),)).half


HALVES = ("develop", "develop", "report")
