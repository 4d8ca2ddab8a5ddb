"""The kinds of values that settings have.

What lives here: durations, ports and the like, and how each is read from text.
"""

import re
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_duration(value: object) -> timedelta:
    """Turn ``2s``, ``5m``, ``1h`` or ``90d`` into a timedelta; ValueError for anything else."""
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"(\d{1,9})([smhd])", str(value).strip())
    if match is None:
        raise ValueError("a duration is a whole number with its unit: 2s, 5m, 1h, 90d")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Port = Annotated[int, Field(ge=0, le=65535)]
Positive = Annotated[int, Field(gt=0)]
Networks = tuple[IPv4Network | IPv6Network, ...]


def _check_dns_server(text: str) -> str:
    host, port = text, "53"
    if text.startswith("[") or text.count(":") == 1:
        host, _, port = text.rpartition(":")
    ip_address(host.strip("[]"))
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError("a port is a number from 1 to 65535")
    return text


DnsServer = Annotated[str, AfterValidator(_check_dns_server)]


class Section(BaseModel):
    """A table of the file: every key known, nothing changed after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)
