"""The object store away under load, in short: once silent, once refusing."""

import random

from tests.proofs.store_away import take_the_store_away


def test_nothing_is_lost_or_doubled_while_the_store_goes_away() -> None:
    seed = random.randrange(1_000_000)
    print("seed", seed)  # shown when the test fails
    run = take_the_store_away(outages=2, seconds=3, seed=seed, request="2s", between=4)
    assert run.good, str(run)
    print(run)
