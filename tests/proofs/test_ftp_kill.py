"""P1 for FTP in short: killed a few times under uploading scripts."""

import random

from tests.proofs.ftp_kill import kill_under_ftp
from tests.proofs.needs import need


def test_no_upload_is_lost_or_doubled_or_taken_half_when_mailgate_is_killed() -> None:
    need("curl")
    seed = random.randrange(1_000_000)
    print("seed", seed)  # shown when the test fails
    run = kill_under_ftp(files=8, kills=2, seed=seed)
    assert run.good, str(run)
    print(run)
