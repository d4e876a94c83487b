"""How checks are run: side by side, bounded in time, and not where what they need has failed."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from pipelines.doctor.finding import Check, Finding, divided, failed, ok, skipped, warning
from pipelines.doctor.run import examine, worst
from pipelines.errors import InvalidRequest, SetupFailed
from pipelines.settings import Settings
from tests.unit.doctor.conftest import MakeSettings


def _fine(settings: Settings) -> Iterator[Finding]:
    yield ok("fine", "is there")


def _broken(settings: Settings) -> Iterator[Finding]:
    raise SetupFailed("The thing is not there; install it.")
    yield


def _slow(settings: Settings) -> Iterator[Finding]:
    yield ok("slow", "the first half")
    time.sleep(0.3)
    yield ok("slow", "the second half")


def _mistaken(settings: Settings) -> Iterator[Finding]:
    yield ok("mistaken", str({}["secret"]))


def test_a_check_that_needs_one_that_failed_is_not_made(make_settings: MakeSettings) -> None:
    checks = [
        Check("broken", _broken),
        Check("behind it", _fine, needs=("broken",)),
        Check("behind that", _fine, needs=("behind it",)),
    ]
    first, second, third = examine(make_settings(), checks)
    assert (first.state, first.seen, first.todo) == ("failed", "The thing is not there", "install it")
    assert (second.state, second.seen) == ("skipped", "needs broken: The thing is not there")
    assert (third.state, third.seen) == ("skipped", second.seen)


def test_checks_are_made_side_by_side(make_settings: MakeSettings) -> None:
    began = time.monotonic()
    found = examine(make_settings(), [Check(f"slow {number}", _slow) for number in range(8)])
    assert time.monotonic() - began < 1.2
    assert len(found) == 16
    assert all(finding.took_ms >= 290 for finding in found if finding.seen == "the second half")


def test_a_check_that_takes_too_long_is_given_up_with_what_it_found_so_far(make_settings: MakeSettings) -> None:
    first, second = examine(make_settings(), [Check("slow", _slow, limit_s=0.05)])
    assert first.state == "ok"
    assert (second.state, second.seen) == ("failed", "no answer within 0.05 s")


def test_all_together_are_bounded(make_settings: MakeSettings) -> None:
    began = time.monotonic()
    found = examine(make_settings(), [Check("slow", _slow), Check("after", _slow, needs=("slow",))], limit_s=0.1)
    assert time.monotonic() - began < 0.3
    assert [finding.state for finding in found] == ["ok", "failed", "skipped"]


def test_a_mistake_in_one_check_hides_neither_the_others_nor_says_what_it_held(make_settings: MakeSettings) -> None:
    mistaken, fine = examine(make_settings(), [Check("mistaken", _mistaken), Check("fine", _fine)])
    assert (mistaken.state, mistaken.seen) == ("failed", "could not be checked: KeyError")
    assert fine.state == "ok"


def test_only_the_named_group_is_shown_and_what_it_needs_is_looked_at(make_settings: MakeSettings) -> None:
    checks = [Check("broken", _broken), Check("fine", _fine), Check("fine too", _fine, needs=("broken",))]
    found = examine(make_settings(), checks, groups=["fine"])
    assert [finding.state for finding in found] == ["ok", "skipped"]


def test_a_part_that_the_settings_do_not_have_is_no_part(make_settings: MakeSettings) -> None:
    checks = [Check("fine", _fine), Check("other", _fine, lambda settings: bool(settings.qdrant_url))]
    with pytest.raises(InvalidRequest, match="Nothing here is called 'other'; choose from fine"):
        examine(make_settings(), checks, groups=["other"])


@pytest.mark.parametrize(
    ("findings", "code"),
    [([ok("a", "")], 0), ([warning("a", "")], 0), ([skipped("a", "")], 0), ([ok("a", ""), failed("b", "", "")], 1)],
)
def test_only_a_failure_is_one(findings: list[Finding], code: int) -> None:
    assert worst(findings) == code


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ("Ollama does not answer at x:1; start it or set Y.", ("Ollama does not answer at x:1", "start it or set Y")),
        ("It is in another region: set AWS_REGION to x.", ("It is in another region", "set AWS_REGION to x")),
        ("It answered 500: no.", ("It answered 500: no.", "")),
    ],
)
def test_our_errors_are_divided_where_they_go_over_to_what_to_do(message: str, parts: tuple[str, str]) -> None:
    assert divided(message) == parts
