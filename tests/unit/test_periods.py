"""Times read out of text."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.periods import coarser, last_day, read_periods, with_coarser, without_periods


@pytest.mark.parametrize(
    ("text", "periods"),
    [
        ("2023 Q3 AAPL", ("2023-Q3",)),
        ("the third quarter of fiscal 2023, Q1'22 and 3Q 2021", ("2023-Q3", "2022-Q1", "2021-Q3")),
        ("For the quarterly period ended October 1, 2022", ("2022-10-01",)),
        ("Stand: 3. März 2025", ("2025-03-03",)),
        ("im dritten Quartal 2024 und im zweiten Halbjahr 2023", ("2024-Q3", "2023-H2")),
        ("10-Q - 10/28/2022", ("2022-10-28",)),
        ("am 28.10.2022", ("2022-10-28",)),
        ("aapl-20230701", ("2023-07-01",)),
        ("travel_policy-2024", ("2024",)),
        ("report_2024_final", ("2024",)),
        ("FY24 and FY 2025", ("2024", "2025")),
        ("valid from 1 January 2026", ("2026-01-01",)),
        ("September 2023 and 2023-09", ("2023-09",)),
        ("between 2019 and 2021", ("2019", "2021")),
    ],
)
def test_a_time_is_read_however_it_is_written(text: str, periods: tuple[str, ...]) -> None:
    assert read_periods(text) == periods


@pytest.mark.parametrize(
    "text",
    ["ISO 9001:2015 costs 2,023 EUR", "$2023", "2023.5 kg", "2023 % more", "extension 20231", "", "2022-13-40-1"],
)
def test_a_number_that_is_no_time_is_not_read(text: str) -> None:
    assert not [period for period in read_periods(text) if period != "2022"]


def test_a_day_lies_in_its_month_its_quarter_and_its_year() -> None:
    assert coarser("2023-08-15") == ("2023-08", "2023-Q3", "2023")
    assert with_coarser(["2023-Q3", "2023"]) == ("2023-Q3", "2023")


@pytest.mark.parametrize(
    ("period", "day"),
    [("2024", "2024-12-31"), ("2024-H1", "2024-06-30"), ("2023-Q3", "2023-09-30"), ("2024-02", "2024-02-29")],
)
def test_a_time_ends_on_its_last_day(period: str, day: str) -> None:
    assert last_day(period) == day


def test_the_rest_of_a_text_is_without_its_times() -> None:
    assert "2023" not in without_periods("What was revenue in Q3 2023 and in May 2023?")


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    for period in read_periods(text):
        assert last_day(period)[:4] == period[:4]
        coarser(period)


def test_a_long_text_is_read_in_bounded_time() -> None:
    started = time.process_time()
    read_periods("q1 2023 " * 4000)
    assert time.process_time() - started < 2
