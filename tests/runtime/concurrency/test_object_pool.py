"""Objects that are lent to one user at a time."""

from __future__ import annotations

import threading
from itertools import count

import pytest

from deepface.runtime.concurrency.object_pool import ObjectPool


def test_one_user_reuses_one_object() -> None:
    numbers = count()
    pool = ObjectPool(lambda: next(numbers))
    for _ in range(3):
        with pool.borrow() as item:
            assert item == 0
    assert next(numbers) == 1


def test_users_at_once_get_objects_of_their_own() -> None:
    numbers = count()
    pool = ObjectPool(lambda: next(numbers))
    everybody = threading.Barrier(4)
    taken = []

    def use() -> None:
        with pool.borrow() as item:
            everybody.wait(5)
            taken.append(item)

    users = [threading.Thread(target=use) for _ in range(4)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert sorted(taken) == [0, 1, 2, 3]


def test_an_object_comes_back_after_an_error() -> None:
    pool = ObjectPool(object)
    with pool.borrow() as first, pytest.raises(ZeroDivisionError), pool.borrow() as second:
        raise ZeroDivisionError
    with pool.borrow() as third, pool.borrow() as fourth:
        assert {id(third), id(fourth)} == {id(first), id(second)}


def test_what_cannot_be_built_shows_at_once() -> None:
    with pytest.raises(ZeroDivisionError):
        ObjectPool(lambda: 1 / 0)
