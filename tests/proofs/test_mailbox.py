"""P5 in short: killed a few times between fetch and move."""

import random

from tests.proofs.mailbox import kill_under_mailbox
from tests.proofs.needs import need


def test_no_mail_of_a_mailbox_is_lost_or_doubled_when_mailgate_is_killed() -> None:
    need("dovecot")
    seed = random.randrange(1_000_000)
    print("seed", seed)  # shown when the test fails
    run = kill_under_mailbox(mails=30, kills=5, seed=seed)
    assert run.good, str(run)
