"""Readiness and metrics while Postgres stands still: told in time, and over as soon as it goes on."""

import json
import signal

from tests.house import wait_until
from tests.postgres import server
from tests.storage.support import Store
from tests.watch.support import get, samples, watched

DATABASES = ["postgres"]


def test_a_postgres_that_stands_still_is_told_and_the_page_goes_on(store: Store) -> None:
    with watched(store, check_time="1s") as door:
        assert get(door.port, "/readyz")[0] == 200
        assert samples(get(door.port, "/metrics")[1])["mailgate_imports_unended", "status=queued"] == 0
        server().signal_all(signal.SIGSTOP)
        try:
            status, body = get(door.port, "/readyz")
            assert (status, json.loads(body)["checks"]["database"]) == (503, "no answer within 1 s")
            assert get(door.port, "/healthz")[0] == 200
            page = samples(get(door.port, "/metrics")[1])
        finally:
            server().signal_all(signal.SIGCONT)
        assert page["mailgate_check_ok", "check=database"] == 0
        assert page["mailgate_imports_unended", "status=queued"] == 0  # as it was read last
        wait_until(lambda: get(door.port, "/readyz")[0] == 200)
