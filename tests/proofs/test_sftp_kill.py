"""P1 for SFTP in short: killed a few times under uploading scripts."""

import random

from tests.proofs.needs import need
from tests.proofs.sftp_kill import kill_under_sftp


def test_no_upload_is_lost_or_doubled_or_taken_half_when_mailgate_is_killed() -> None:
    need("sftp", "ssh-keygen")
    seed = random.randrange(1_000_000)
    print("seed", seed)  # shown when the test fails
    run = kill_under_sftp(files=12, kills=3, seed=seed)
    assert run.good, str(run)
    print(run)
