"""T20's judge: times that differ are told apart, times that do not are not."""

import random

from tests.proofs.timing import mann_whitney


def test_the_same_times_are_not_told_apart() -> None:
    chance = random.Random(1)
    assert mann_whitney([1.0] * 50, [1.0] * 50) == 1.0
    first, second = ([chance.lognormvariate(0, 0.2) for _ in range(1000)] for _ in range(2))
    assert mann_whitney(first, second) > 0.01


def test_a_little_more_work_is_told_apart() -> None:
    chance = random.Random(2)
    first, second = ([chance.lognormvariate(0, 0.2) + more for _ in range(1000)] for more in (0.0, 0.1))
    assert mann_whitney(first, second) < 1e-6
    assert mann_whitney(second, first) == mann_whitney(first, second)


def test_the_figures_of_a_textbook() -> None:
    """U = 2 of 36, with ties."""
    assert abs(mann_whitney([3, 4, 2, 6, 2, 5], [9, 7, 5, 10, 6, 8]) - 0.0098) < 0.002
