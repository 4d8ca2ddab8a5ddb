"""The certificate of the FTP door: read anew when its files change, for connections that begin after that.

What lives here: the TLS context. One context serves a control connection and its data connections, so that a client
can take up the session of the first on the others, as some demand.
"""

import ssl
from pathlib import Path

from mailgate.observe import get_logger

log = get_logger("ftp")
Stamp = tuple[tuple[int, int, int], ...]


class Certificate:
    """The pair of certificate and key on the disk; at the beginning it must be sound."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._paths = (certificate, key)
        self._seen = self._stamp()
        self._context = make_context(certificate, key)

    def context(self) -> ssl.SSLContext:
        """Give the context for a new control connection; where new files cannot be read, the former one."""
        try:
            stamp = self._stamp()
            if stamp == self._seen:
                return self._context
            self._seen = stamp  # a pair that is half written is looked at again when the other half has come
            self._context = make_context(*self._paths)
            log.info("certificate read anew", path=str(self._paths[0]))
        except (OSError, ssl.SSLError) as error:
            log.warning("the new certificate cannot be used: the former one stays", reason=str(error))
        return self._context

    def _stamp(self) -> Stamp:
        stats = [path.stat() for path in self._paths]
        return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in stats)


def make_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Make the TLS context of the door: version 1.2 at least, no renegotiation."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.load_cert_chain(certificate, key)
    return context
