"""Which documents a question means, what is right in them, and who may read them."""

from __future__ import annotations

import pytest

from pipelines.errors import InvalidRequest
from pipelines.evaluate.build_index import FolderDocument
from pipelines.evaluate.questions import GoldenQuestion, Questions, RightPlace
from pipelines.evaluate.resolve import JudgedQuestion, resolve, restricted

DOCUMENTS = (
    FolderDocument("1", "2022 Q3.pdf", paged=True),
    FolderDocument("2", "2023 Q1.pdf", paged=True),
    FolderDocument("3", "rules/leave.md", paged=False),
    FolderDocument("4", "rules/hr/pay.docx", paged=False),
)


def judge(*right: RightPlace) -> JudgedQuestion:
    (found,) = resolve([GoldenQuestion("q", "Q?", "single", right)], DOCUMENTS)
    return found


def test_a_document_is_named_by_its_path_its_file_name_or_a_pattern() -> None:
    assert judge(RightPlace("rules/leave.md")).documents == {"rules/leave.md": 1}
    assert judge(RightPlace("leave.md")).documents == {"rules/leave.md": 1}
    assert judge(RightPlace("*202* Q*")).documents == {"2022 Q3.pdf": 1, "2023 Q1.pdf": 1}


def test_a_page_that_is_not_named_is_not_known() -> None:
    found = judge(RightPlace("2022 Q3.pdf"))
    assert (found.pages, found.formats) == ({}, ("pdf",))
    assert judge(RightPlace("2022 Q3.pdf", 7, 2)).pages == {"2022 Q3.pdf#7": 2}


def test_a_document_without_pages_is_one_page() -> None:
    assert judge(RightPlace("leave.md")).pages == {"rules/leave.md": 1}
    assert judge(RightPlace("leave.md", 1)).pages == {"rules/leave.md": 1}


def test_a_document_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"Question q names 2024\.pdf"):
        judge(RightPlace("2024.pdf"))


def test_a_question_of_a_group_closes_its_document_to_all_others() -> None:
    question = GoldenQuestion("q", "Q?", "restricted", (RightPlace("pay.docx"),), group="hr-team")
    assert restricted(Questions((question,)), DOCUMENTS) == {"rules/hr/pay.docx": "hr-team"}


def test_a_folder_is_closed_with_all_that_lies_below_it() -> None:
    closed = restricted(Questions((), {"rules/": "staff", "rules/hr": "hr-team"}), DOCUMENTS)
    assert closed == {"rules/leave.md": "staff", "rules/hr/pay.docx": "hr-team"}
