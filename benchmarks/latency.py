"""From the final dot to the answers: a ten-row CSV by mail on an idle service, replies to the outbox folder.

What is timed: from the moment before the client writes the final dot until the receipt, and the result, stand whole in
the outbox.
"""

import random
import statistics
import time
from pathlib import Path

from benchmarks.peers import ADDRESS, mailgate
from benchmarks.smtp import Client

_MAILS = 40
_HEADER = "CampaignId,ActionTrackerId,EventDate,OrderId,ClickId,CustomerStatus,CurrencyCode,Amount"


def _mail(number: int) -> bytes:
    rows = "".join(f"1000,2001,NOW,A-{number}-{row},c-{row},NEW,EUR,1.00\r\n" for row in range(10))
    return (
        f"From: a@acme.example\r\nTo: {ADDRESS}\r\nMessage-ID: <latency-{number}@acme.example>\r\n"
        f"MIME-Version: 1.0\r\nContent-Type: text/csv\r\n"
        f'Content-Disposition: attachment; filename="Conversions_{number}.csv"\r\n\r\n{_HEADER}\r\n{rows}'
    ).encode()


def _wait(outbox: Path, kind: str, seen: set[str]) -> float:
    while True:
        for path in outbox.glob(f"*-{kind}.eml"):
            if path.name not in seen:
                seen.add(path.name)
                return time.perf_counter()
        time.sleep(0.0005)


def main() -> None:
    """Print the medians and the slowest."""
    receipts, results = [], []
    with mailgate("smtp,worker", "batch@acme.example") as ours:
        outbox = ours.folder / "mailgate-data/outbox"
        seen: set[str] = set()
        for number in range(_MAILS + 3):
            client = Client(ours.port)
            time.sleep(0.3 + random.random() / 5)  # idle, and at any moment of the engine's polling
            started = time.perf_counter()
            client.send(_mail(number))
            receipt, result = _wait(outbox, "receipt", seen) - started, _wait(outbox, "result", seen) - started
            client.close()
            if number >= 3:
                receipts.append(receipt * 1000)
                results.append(result * 1000)
    print(f"Ten-row CSV by mail on an idle service, {_MAILS} mails, from the final dot")
    for name, times in (("receipt", receipts), ("result", results)):
        print(f"  {name:8} median {statistics.median(times):5.0f} ms, slowest {max(times):5.0f} ms")


if __name__ == "__main__":
    main()
