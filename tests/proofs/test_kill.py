"""P1 in short: killed a few times, under postfix and under a script."""

import random

from tests.proofs.kill import kill_under_postfix, kill_under_script
from tests.proofs.needs import need


def _seed() -> int:
    seed = random.randrange(1_000_000)
    print("seed", seed)  # shown when the test fails
    return seed


def test_no_file_is_lost_or_doubled_when_postfix_sends_and_mailgate_is_killed() -> None:
    need("postfix", "postqueue")
    run = kill_under_postfix(mails=15, kills=4, seed=_seed())
    assert run.good, str(run)


def test_no_file_is_lost_or_doubled_when_clients_hang_up_and_mailgate_is_killed() -> None:
    run = kill_under_script(mails=15, kills=4, seed=_seed())
    assert run.good, str(run)
