"""The dashboard, the rules and the page about them name what the service exports, and nothing else."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mailgate.observe.metrics import REGISTRY
from mailgate.tls import write_local_certificate
from mailgate.watch.checks import Health
from mailgate.watch.figures import FigureCollector
from tests.storage.support import Store, in_loop

DATABASES = ["sqlite"]

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "mailgate.rules.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "mailgate.json"
PAGE = ROOT / "docs" / "watching.md"
OTHERS = {"up", "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"}
_NAME = re.compile(r"\b(?:mailgate_\w+|process_\w+|up)\b")
_MATCHED = re.compile(r"(\w+)\{([^}]*)\}")


def exported(store: Store) -> dict[str, set[str]]:
    """Give every series that the service can show, with its labels."""
    found: dict[str, set[str]] = {}
    for instrument in list(REGISTRY._names_to_collectors.values()):
        labels = set(getattr(instrument, "_labelnames", ()))
        for name in REGISTRY._collector_to_names[instrument]:
            if name.startswith("mailgate_") and not name.endswith("_created"):
                found[name] = labels | ({"le"} if name.endswith("_bucket") else set())
    write_local_certificate(store.settings.certificate_path, store.settings.key_path, "intake.test")
    collector = FigureCollector(store.ledger, store.settings)
    in_loop(collector.refresh(Health(checks={"x": "ok"})))
    for family in collector.collect():
        found[family.name] = set(getattr(family, "_labelnames", ()))
    collector.close()
    for base in [name.removesuffix("_total") for name in found if name.endswith("_total")]:
        found.pop(base, None)  # a counter is asked for as its total
    return found


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [one for one in json.loads(DASHBOARD.read_text())["panels"] if one["type"] != "row"]


def expressions() -> list[str]:
    return [rule["expr"] for rule in rules()] + [target["expr"] for panel in panels() for target in panel["targets"]]


def test_each_name_and_label_in_rules_and_dashboard_is_exported(store: Store) -> None:
    known = exported(store)
    for expression in expressions():
        assert _NAME.search(expression), expression
        for name in _NAME.findall(re.sub(r'"[^"]*"', '""', expression)):
            assert name in known or name in OTHERS, (name, expression)
        for name, inner in _MATCHED.findall(expression):
            asked = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inner)) - {"instance", "job"}
            assert asked <= known.get(name, set()), (name, inner)


def test_the_page_tells_of_each_metric_and_no_other(store: Store) -> None:
    table = PAGE.read_text().partition("## Metrics")[2].partition("## Health")[0]
    told = set(re.findall(r"`(mailgate_\w+)`", table))
    known = {re.sub(r"_(bucket|count|sum)$", "", name) for name in exported(store)}
    assert told == known


def test_the_page_tells_of_each_alert_and_no_other() -> None:
    told = re.findall(r"^\| `(Mailgate\w+)` \|", PAGE.read_text(), re.MULTILINE)
    assert told == [rule["alert"] for rule in rules()]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_a_rule_says_how_urgent_it_is_and_what_it_saw(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}


def test_the_dashboard_can_be_imported() -> None:
    found = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in found["panels"]]
    assert len(ids) == len(set(ids))
    places = set()
    for panel in found["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & places, panel["title"]
        places |= cells
    variables = {one["name"] for one in found["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(found["panels"]))) - {"__rate_interval"}
    assert used == variables


def test_every_refusal_and_outcome_that_the_page_names_is_said_in_the_code() -> None:
    code = "\n".join(
        path.read_text()
        for room in ("mailgate", "transfer", "intake", "imports")
        for path in (ROOT / room).rglob("*.py")
    )
    table = PAGE.read_text().partition("## Metrics")[2].partition("## Health")[0]
    for row in table.splitlines():
        if row.startswith(("| `mailgate_refusals", "| `mailgate_uploads_ended", "| `mailgate_step")):
            for word in re.findall(r"`([a-z_]+)`", row.rpartition(" | ")[2]):
                assert f'"{word}"' in code, word
