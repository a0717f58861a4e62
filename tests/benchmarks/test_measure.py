from functools import partial

from benchmarks.measure import Spread, alternate, speed_up


def test_spread_gives_median_and_quartiles() -> None:
    assert Spread.of([5, 1, 4, 2, 3]) == Spread(3, 2, 4)
    assert Spread.of([7]) == Spread(7, 7, 7)


def test_spread_as_columns() -> None:
    assert Spread(1.236, 1, 2).columns("ms") == {"ms": 1.24, "ms_q1": 1, "ms_q3": 2}


def test_speed_up_is_the_median_of_the_pairs_ratios() -> None:
    # The second round ran on a machine ten times slower: the medians of the seconds say 2 / 10.
    assert speed_up([2, 20, 2], [1, 10, 1]).median == 2
    assert speed_up([2, 20, 2], [1, 10, 10]).median == 2


def test_rounds_alternate_and_begin_one_further_on_each_time() -> None:
    order: list[str] = []

    def note(name: str) -> int:
        order.append(name)
        return len(order)

    results = alternate({name: partial(note, name) for name in "abc"}, rounds=3)
    assert "".join(order) == "abcbcacab"
    assert results == {"a": [1, 6, 8], "b": [2, 4, 9], "c": [3, 5, 7]}
