"""What the SMTP door says, as a table (RFC 5321 section 4.2, RFC 3463).

What lives here: pure translation of outcomes into reply lines.
"""

import re
from collections.abc import Sequence

from models.codes import Code
from models.states import Verdict
from storage.ledger.recording import Recorded

NOT_NOW = "451 4.3.0 cannot take this now, please try again"
SENDER_NOT_KNOWN_NOW = "451 4.4.3 cannot ask DNS who sent this now, please try again"
NO_SPACE = "452 4.3.1 no space to take this now, please try again"
TOO_LARGE = f"552 5.3.4 {Code.FILE_TOO_LARGE}"
NO_SUCH_ADDRESS = "550 5.1.1 no connection has this address"
NO_RELAYING = "550 5.7.1 we take mail for our own addresses only"
TOO_MANY_RECIPIENTS = "452 4.5.3 too many recipients in one mail"
TLS_FIRST = "530 5.7.0 STARTTLS first"
TOO_MANY_CONNECTIONS = "421 4.7.0 too many connections, please try again later"
TOO_MANY_COMMANDS = "421 4.7.0 too much for one session, please connect again"
TOO_SLOW = "421 4.4.2 too slow or silent for too long, closing"
CLOSING = "421 4.3.2 closing for now, please try again"
BAD_LOGIN_TRY_LATER = "454 4.7.0 cannot check the login now, please try again"

_LINE = 499  # octets, of the 512 that RFC 5321 section 4.5.3.1.5 allows with codes, a last semicolon and line end

#: What stands behind a code of aiosmtpd's own replies, which have no enhanced one (RFC 3463).
_ENHANCED = {
    "220": "2.0.0", "221": "2.0.0", "250": "2.0.0", "252": "2.0.0", "451": "4.3.0", "454": "4.7.0", "500": "5.5.2",
    "501": "5.5.4", "502": "5.5.1", "503": "5.5.1", "504": "5.5.4", "530": "5.7.0", "535": "5.7.8", "538": "5.7.11",
    "552": "5.3.4", "553": "5.1.3", "554": "5.7.0", "555": "5.5.4",
}  # fmt: skip
_BARE = re.compile(r"(\d{3}) (?![245]\.\d{1,3}\.\d{1,3} )")


def with_enhanced_code(reply: str) -> str:
    """Put the enhanced code into a reply that has none; 3xx replies and the words of EHLO have none by right."""
    bare = _BARE.match(reply)
    enhanced = _ENHANCED.get(bare[1]) if bare is not None else None
    return f"{reply[:4]}{enhanced} {reply[4:]}" if enhanced else reply


def final_reply(outcomes: Sequence[Recorded]) -> str:
    """Say what became of a mail: 250 as soon as one connection took, knew or ignored it, else 550 or 552."""
    if all(outcome.verdict is Verdict.REJECTED for outcome in outcomes):
        if all(outcome.code is Code.FILE_TOO_LARGE for outcome in outcomes):
            return TOO_LARGE
        return _reply("550", "5.6.0", [f"{outcome.code} {outcome.trace_id}" for outcome in outcomes])
    return _reply("250", "2.0.0", [_word(outcome) for outcome in outcomes])


def _word(outcome: Recorded) -> str:
    match outcome.verdict:
        case Verdict.IGNORED | Verdict.REJECTED:
            return f"{outcome.verdict} {outcome.code} {outcome.trace_id}"
        case _:
            return f"{outcome.verdict} {outcome.trace_id}"


def _reply(code: str, enhanced: str, words: list[str]) -> str:
    """Join the words with ``; ``, over several lines where one would be too long."""
    lines: list[str] = []
    line = ""
    for word in words:
        joined = f"{line}; {word}" if line else word
        if len(joined) > _LINE:
            lines.append(line + ";")
            joined = word
        line = joined
    lines.append(line)
    return "\r\n".join(
        f"{code}{' ' if place == len(lines) else '-'}{enhanced} {text}" for place, text in enumerate(lines, 1)
    )
