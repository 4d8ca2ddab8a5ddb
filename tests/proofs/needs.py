"""What a proof needs of the machine: programs, and the right to use them.

A test without its program is skipped and says so; with ``CI=true`` it fails instead.
"""

import os
import shutil
from pathlib import Path

import pytest

_SBIN = "/usr/sbin:/sbin"


def find(program: str) -> str | None:
    """Find a program, also where only root looks for one."""
    return shutil.which(program) or shutil.which(program, path=_SBIN)


def missing(*programs: str) -> list[str]:
    """List what is not there; postfix also wants root, since it changes users."""
    gone = [program for program in programs if find(program) is None]
    if "postfix" in programs and not gone and os.geteuid() != 0:
        gone.append("root (for postfix)")
    if "dovecot" in programs and not gone and not Path("/usr/lib/dovecot/imap").exists():
        gone.append("dovecot-imapd")
    return gone


def need(*programs: str) -> None:
    """Skip the test that calls this when a program is missing; fail it under ``CI=true``."""
    gone = missing(*programs)
    if not gone:
        return
    said = f"missing: {', '.join(gone)}"
    if os.environ.get("CI") == "true":
        pytest.fail(said)
    pytest.skip(said)
