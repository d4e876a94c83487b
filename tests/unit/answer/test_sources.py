"""Open WebUI's shape of a citation, there and back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipelines.answer.sources import read_sources, to_source
from pipelines.domain import Citation
from pipelines.errors import WorkflowFailed

PAGED = Citation(1, "doc-1", 3, "Travel policy p.3", ("first", "second"), (0.8, 0.7))
UNPAGED = Citation(2, "doc-2", None, "Notes", ("text",), (0.5,))


def test_citations_survive_the_way_through_the_workflow() -> None:
    assert read_sources([to_source(PAGED), to_source(UNPAGED)]) == (PAGED, UNPAGED)


def test_pages_count_from_zero_in_open_webui() -> None:
    assert to_source(PAGED)["metadata"][0]["page"] == 2
    assert "page" not in to_source(UNPAGED)["metadata"][0]


def test_all_passages_of_a_citation_share_one_key_so_that_they_share_one_number() -> None:
    assert {entry["source"] for entry in to_source(PAGED)["metadata"]} == {"doc-1#3"}


def test_two_sources_of_one_page_are_one_citation_because_open_webui_counts_them_so() -> None:
    again = replace(PAGED, passages=("third",), relevances=(0.6,))
    read = read_sources([to_source(each) for each in (PAGED, UNPAGED, again)])
    assert [(each.number, each.passages) for each in read] == [(1, ("first", "second", "third")), (2, ("text",))]


@pytest.mark.parametrize("values", [None, {}, "x", [1], [{"source": "x"}], [{"source": {"id": "a" * 600, "name": ""}}]])
def test_anything_else_that_a_workflow_sends_is_an_error(values: object) -> None:
    with pytest.raises(WorkflowFailed):
        read_sources(values)
