"""Whether a model is asked."""

from __future__ import annotations

from pipelines.answer.generate.circuit import FAILURES, FIRST_PAUSE_S, LONGEST_PAUSE_S, Circuit
from pipelines.errors import ModelFailed, ModelUnavailable

DOWN = ModelUnavailable("It is down.")


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock) -> Circuit:
    """A circuit that has just opened."""
    circuit = Circuit(clock)
    for _ in range(FAILURES):
        circuit.failed(DOWN)
    assert circuit.state == "open"
    return circuit


def test_one_failure_does_not_open_it() -> None:
    circuit = Circuit(Clock())
    for _ in range(FAILURES - 1):
        circuit.failed(DOWN)
        assert (circuit.state, circuit.refuses, circuit.error) == ("closed", False, DOWN)


def test_it_opens_on_repeated_failure_and_says_why_and_since_when() -> None:
    clock = Clock()
    circuit = Circuit(clock)
    clock.now += 5
    for _ in range(FAILURES):
        circuit.failed(DOWN)
    assert (circuit.state, circuit.refuses, circuit.error, circuit.since) == ("open", True, DOWN, 105)
    assert circuit.probe_in_s == FIRST_PAUSE_S


def test_what_ends_late_does_not_put_off_the_probe() -> None:
    clock = Clock()
    circuit = opened(clock)
    clock.now += 1
    circuit.failed(ModelFailed("A call that began before."))
    assert (circuit.probe_in_s, circuit.error) == (FIRST_PAUSE_S - 1, DOWN)


def test_the_pause_before_a_probe_grows_up_to_a_bound() -> None:
    clock = Clock()
    circuit = opened(clock)
    pauses = []
    for _ in range(10):
        pauses.append(circuit.probe_in_s)
        clock.now += circuit.probe_in_s
        circuit.probed(DOWN)
    assert pauses[:4] == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S, 4 * FIRST_PAUSE_S, 8 * FIRST_PAUSE_S]
    assert pauses[-1] == LONGEST_PAUSE_S


def test_after_a_good_probe_one_call_tries_and_the_others_are_refused() -> None:
    circuit = opened(Clock())
    circuit.probed(None)
    assert (circuit.state, circuit.refuses) == ("half_open", False)
    assert circuit.begin_trial()
    assert circuit.refuses
    assert not circuit.begin_trial()


def test_a_trial_that_fails_opens_it_again_for_longer() -> None:
    clock = Clock()
    circuit = opened(clock)
    circuit.probed(None)
    circuit.begin_trial()
    circuit.failed(DOWN)
    circuit.end_trial()
    assert (circuit.state, circuit.probe_in_s) == ("open", 2 * FIRST_PAUSE_S)


def test_a_trial_that_was_given_up_leaves_the_next_call_to_try() -> None:
    circuit = opened(Clock())
    circuit.probed(None)
    assert circuit.begin_trial()
    circuit.end_trial()
    assert not circuit.refuses
    assert circuit.begin_trial()
