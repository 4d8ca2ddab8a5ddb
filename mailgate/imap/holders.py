"""Who holds the lease of a mailbox: named so that another process of this machine can tell when it is gone.

What lives here: the names. A service that was killed need not be waited for: its lease is taken over at the next start.
"""

import os
import secrets
import socket

_ours: set[str] = set()


def new_holder(node_id: str = "") -> str:
    """Give a name for one holder of this process: that of its node, where it is one."""
    name = node_id or f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(8)}"
    _ours.add(name)
    return name


def is_gone(holder: str) -> bool:
    """Tell whether a holder was a process of this machine that is no more; when in doubt it is not."""
    host, _, rest = holder.partition("/")
    number = rest.partition("/")[0]
    if host != socket.gethostname() or not number.isdigit() or holder in _ours:
        return False
    if int(number) == os.getpid():
        return True  # a former process had our number
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
