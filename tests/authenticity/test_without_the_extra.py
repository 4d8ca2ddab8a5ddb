"""Without the extra: everything starts, replies are signed, and what needs the extra says so."""

import subprocess
import sys

PROGRAM = """
import sys
for name in ("dns", "spf", "publicsuffixlist", "idna"):
    sys.modules[name] = None
import mailgate.app, mailgate.cli, mailgate.doctor, intake.provisioning
from mailgate.authenticity import is_installed
from mailgate.settings import Settings
assert not is_installed()
assert mailgate.app.make_checker(Settings()) is None
from datetime import UTC, datetime
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mailgate.authenticity import Signer
signer = Signer("acme.example", "s", Ed25519PrivateKey.generate())
signed = signer.sign(b"From: a@b.example\\r\\n\\r\\nx\\r\\n", datetime.now(UTC))
assert signed.startswith(b"DKIM-Signature: ")
print("fine")
"""


def test_everything_but_the_check_works() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("fine\n", "")
