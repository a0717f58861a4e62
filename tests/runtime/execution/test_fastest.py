"""The fastest of several ways, by a clock that only stands in for one."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from deepface.runtime.execution.fastest import Fastest
from tests.interleaved import OneAtATime, at_once


class Machine:
    """Runs work; ``rates`` says how many seconds each way takes for an amount of one."""

    def __init__(self, patience: float = 10.0, **rates: float) -> None:
        self.now = 0.0
        self.rates = rates
        self.started: set[str] = set()
        self.fastest = Fastest(patience, lambda: self.now)

    def run(self, times: int = 1, kind: str = "", amount: float = 1.0) -> list[str]:
        used = []
        for _ in range(times):
            with self.fastest.choose(kind, amount, list(self.rates)) as way:
                used.append(way)
                self.now += self.rates[way] * amount
                if way not in self.started:
                    self.started.add(way)
                    self.now += 5.0  # compiles
        return used


def test_a_short_program_pays_for_nothing() -> None:
    machine = Machine(patience=10.0, host=1.0, device=0.1)
    assert machine.run(4) == ["host"] * 4
    assert not machine.fastest.tries_others
    assert machine.run() == ["host"]
    assert machine.now == 10.0
    assert machine.fastest.tries_others
    assert machine.run() == ["device"]


@pytest.mark.parametrize(("device", "best"), [(0.1, "device"), (0.9, "device"), (1.1, "host")])
def test_the_fastest_is_used_whatever_its_start_costs(device: float, best: str) -> None:
    machine = Machine(patience=0.0, host=1.0, device=device)
    assert machine.run(6) == ["host"] * 3 + ["device"] * 3
    assert set(machine.run(20)) == {best}


def test_each_kind_of_work_is_judged_by_itself() -> None:
    machine = Machine(patience=0.0, host=1.0, device=2.0)
    machine.run(6, "small")
    machine.rates["device"] = 0.5
    machine.run(6, "large")
    assert set(machine.run(10, "small")) == {"host"}
    assert set(machine.run(10, "large")) == {"device"}


def test_time_is_taken_per_amount() -> None:
    machine = Machine(patience=0.0, host=1.0, device=0.8)
    for amount in (1.0, 1.0, 1.0, 1.9, 1.9, 1.9):
        machine.run(1, amount=amount)
    assert machine.run() == ["device"]


def test_a_loaded_machine_misleads_only_for_a_while() -> None:
    machine = Machine(patience=0.0, host=1.0, device=10.0)
    machine.run(6)
    machine.rates["device"] = 0.1
    used = Counter(machine.run(1000))
    assert used["host"] < 510  # ten seconds are two per cent of five hundred
    assert Counter(machine.run(100))["device"] >= 98


def test_trying_again_costs_next_to_nothing() -> None:
    machine = Machine(patience=0.0, host=1.0, device=10.0)
    machine.run(6)
    before = machine.now
    used = Counter(machine.run(3000))
    assert 3 <= used["device"] <= 6
    assert machine.now - before < 1.03 * used["host"]


def test_one_slow_run_changes_nothing() -> None:
    machine = Machine(patience=0.0, host=1.0, device=0.5)
    machine.run(8)
    machine.rates["device"] = 30.0
    assert machine.run() == ["device"]
    machine.rates["device"] = 0.5
    assert machine.run(2) == ["device"] * 2


def test_a_way_that_fails_is_given_up() -> None:
    machine = Machine(patience=0.0, host=1.0, device=0.1)
    failures = 0
    for _ in range(300):
        try:
            with machine.fastest.choose("", 1.0, ["host", "device"]) as way:
                machine.now += 1.0
                if way == "device":
                    raise ValueError
        except ValueError:
            failures += 1
    assert failures == 3


def test_only_ways_that_are_there() -> None:
    machine = Machine(patience=0.0, host=1.0, device=0.1)
    machine.run(10)
    with machine.fastest.choose("", 1.0, ["host"]) as way:
        assert way == "host"


def test_threads() -> None:
    machine = Machine(patience=0.0, host=1.0, device=0.5)
    inside = threading.Barrier(4)

    def work() -> None:
        with machine.fastest.choose("", 1.0, ["host", "device"]) as way:
            used.append(way)
            inside.wait()

    used: list[str] = []
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(used) == ["device"] + ["host"] * 3


def test_one_thread_at_a_time_counts() -> None:
    """Before the run, when ways are looked up, and after it, when they are compared."""
    alone = OneAtATime()

    class Way:
        def __eq__(self, other: object) -> bool:
            alone()
            return self is other

        def __hash__(self) -> int:
            alone()
            return 0

    chooser, way = Fastest(60.0), Way()

    def work(_: int) -> None:
        with chooser.choose("", 1.0, [way]):
            pass

    at_once(work, threads=4)
