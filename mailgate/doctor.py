"""The doctor: looks for what would hurt, and names one fix for each finding.

What lives here: the examinations. Each returns findings and changes nothing (the blob store is tried with one blob,
which is deleted again).
"""

import fcntl
import shutil
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from urllib.parse import urlsplit

import sqlalchemy as sa

from intake.provisioning import is_generated
from mailgate.app import make_signer
from mailgate.authenticity import is_installed
from mailgate.findings import Finding, examine_ftp, is_open_to_others
from mailgate.house import NotReady, open_blobs, open_house
from mailgate.settings import Settings, SettingsError
from mailgate.settings.values import Networks
from mailgate.tls import certificate_ends
from models.connection import Rule
from storage.blobs import DiskBlobs
from storage.descriptors import DataTypesWrong, load_data_types
from storage.ledger import Ledger, LedgerBusy
from storage.ledger.clock import database_now
from storage.ledger.connections import list_all
from storage.ledger.defence import list_bans
from storage.ledger.history import open_alarms
from storage.ledger.nodes import list_nodes
from transfer.sftp_keys import HostKeyFault, host_key_fingerprints

_WIDE = {4: 16, 6: 48}  #: a network with a shorter prefix is no handful of balancers
_SOON = timedelta(days=21)
_SKEW = 60.0  # seconds


def examine(settings: Settings) -> list[Finding]:
    """Run every examination; an empty list means that all is well."""
    findings: list[Finding] = []
    for look in _EXAMINATIONS:
        findings.extend(look(settings))
    return findings


def _ports(settings: Settings) -> Iterator[Finding]:
    wanted = [
        ("smtp.port", settings.smtp.host, settings.smtp.port),
        ("smtp.tls_port", settings.smtp.host, settings.smtp.tls_port),
        ("smtp.lmtp_port", settings.smtp.host, settings.smtp.lmtp_port),
        ("sftp.port", settings.sftp.host, settings.sftp.port),
        ("ftp.port", settings.ftp.host, settings.ftp.port),
        ("ftp.implicit_port", settings.ftp.host, settings.ftp.implicit_port),
        ("metrics.port", settings.metrics.host, settings.metrics.port if settings.metrics.enabled else 0),
    ]
    running = _is_served(settings)
    for name, host, port in wanted:
        if not port or running:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                yield Finding(
                    subject="port",
                    finding=f"{name} {host}:{port} cannot be opened: {error.strerror}",
                    fix=f"end what listens there, or set another {name}",
                )


def _disk(settings: Settings) -> Iterator[Finding]:
    if not settings.data_dir.is_dir():
        yield Finding(subject="disk", finding=f"{settings.data_dir} is missing", fix="run `mailgate init`")
        return
    free = shutil.disk_usage(settings.data_dir).free
    reserve = settings.limits.minimum_free_bytes
    if free < 2 * reserve:
        yield Finding(
            subject="disk",
            finding=f"{free:,} bytes are free; below {reserve:,} every delivery is refused for now",
            fix="make room, shorten [retention], or move data_dir",
        )
    if settings.data_dir.stat().st_mode & 0o077:
        yield Finding(
            subject="disk",
            finding=f"{settings.data_dir} can be read by others on this machine",
            fix=f"chmod 700 {settings.data_dir}",
        )


def _database(settings: Settings) -> Iterator[Finding]:
    if not settings.database_url and not settings.database_path.exists():
        yield Finding(subject="database", finding=f"{settings.database_path} is missing", fix="run `mailgate init`")
        return
    away = "start it, and mend database_url" if settings.database_url else "stop the service, restore a backup"
    try:
        with open_house(settings) as house:
            for alarm in house.ledger.read_now(open_alarms):
                yield Finding(
                    subject=f"alarm {alarm.kind}", finding=alarm.message, fix=_ALARM_FIXES.get(alarm.kind, "")
                )
            yield from _bans(house.ledger)
            for row in house.ledger.read_now(list_all):
                yield from _connection(settings, row.ref.rule)
            yield from (_postgres if settings.database_url else _sqlite)(house.ledger)
    except NotReady as error:
        fix = "run `mailgate migrate`" if "schema" in str(error) else away
        yield Finding(subject="database", finding=str(error), fix=fix)
    except (sa.exc.DatabaseError, LedgerBusy) as error:
        said = error.orig if isinstance(error, sa.exc.DatabaseError) else error
        yield Finding(subject="database", finding=f"the database cannot be read: {said}", fix=away)


def _sqlite(ledger: Ledger) -> Iterator[Finding]:
    with ledger.engine.connect() as connection:
        if connection.execute(sa.text("PRAGMA quick_check(1)")).scalar() != "ok":
            yield Finding(
                subject="database", finding="the database file is damaged", fix="stop the service, restore a backup"
            )


def _postgres(ledger: Ledger) -> Iterator[Finding]:
    with ledger.engine.connect() as connection:
        for name in ("fsync", "full_page_writes", "synchronous_commit"):
            if connection.exec_driver_sql(f"SHOW {name}").scalar() == "off":
                yield Finding(
                    subject="database", finding=f"Postgres runs with {name} = off: what it said yes to may be lost",
                    fix=f"set {name} = on",
                )  # fmt: skip
    apart = abs((ledger.read_now(database_now) - datetime.now(UTC)).total_seconds())
    if apart > 30:
        yield Finding(
            subject="clock", finding=f"this machine's clock and that of the database are {apart:.0f} seconds apart",
            fix="let NTP keep both",
        )  # fmt: skip
    for node in ledger.read_now(list_nodes):
        if not node.alive:
            yield Finding(
                subject="node", finding=f"{node.id} ({', '.join(node.roles)}) was seen last at {node.seen_at:%H:%M:%S}"
                " UTC and did not say that it ends; its work was handed on", fix="look at its log, and start it again",
            )  # fmt: skip


def _bans(ledger: Ledger) -> Iterator[Finding]:
    bans = ledger.read_now(list_bans, datetime.now(UTC))
    if bans:
        some = ", ".join(ban.address for ban in bans[:5]) + (", …" if len(bans) > 5 else "")
        yield Finding(
            subject="bans", finding=f"no password is taken from {len(bans)} addresses now: {some}",
            fix="see `mailgate ban list`; `mailgate ban lift ADDRESS` where one is a client's",
        )  # fmt: skip


def _connection(settings: Settings, rule: Rule) -> Iterator[Finding]:
    if rule.takes_files:
        return
    open_to_all = not rule.allowed_senders and rule.authenticity == "off"
    remote = rule.remote
    if remote is not None and remote.tls == "off" and not _is_here(remote.host):
        yield Finding(
            subject=f"connection {rule.name}",
            finding="the mailbox's password and the files travel in clear",
            fix='set tls to "implicit" or "starttls" under [connection.remote]',
        )
    if open_to_all and remote is not None:
        yield Finding(
            subject=f"connection {rule.name}",
            finding="anybody who can write to its mailbox can send it files",
            fix="set allowed_senders or authenticity",
        )
    elif open_to_all and not is_generated(rule.address, rule.name):
        yield Finding(
            subject=f"connection {rule.name}",
            finding="anybody who guesses its hand-chosen address can send it files",
            fix="set allowed_senders or authenticity, or leave address out to have one generated",
        )
    if rule.authenticity == "dmarc":
        yield from _proof(settings, rule)


def _proof(settings: Settings, rule: Rule) -> Iterator[Finding]:
    trusted = rule.remote.trusted_authserv if rule.remote is not None else settings.smtp.trusted_authserv
    if not is_installed():
        yield Finding(
            subject=f"connection {rule.name}",
            finding="it demands DMARC, and what checks that is not installed: its mail is refused for now",
            fix='pip install "mailgate[authenticity]"',
        )
    elif not settings.dns.lookups and not trusted:
        yield Finding(
            subject=f"connection {rule.name}",
            finding="it demands DMARC, and neither DNS nor another server is asked: all its mail is ignored",
            fix="set [dns] lookups = true, or [smtp] trusted_authserv and trusted_proxies",
        )


def _blob_store(settings: Settings) -> Iterator[Finding]:
    if settings.blob_url:
        yield from _object_store(settings)
        return
    if not settings.data_dir.is_dir():
        return  # _disk says so; trying would make it
    try:
        blobs = DiskBlobs(settings.blob_dir)
        writer = blobs.create(datetime.now(UTC))
        writer.write(b"mailgate doctor")
        blobs.commit([writer])
        blobs.delete(writer.id)
    except OSError as error:
        yield Finding(
            subject="blob store",
            finding=f"{settings.blob_dir} takes no files: {error}",
            fix="mend its permissions or disk",
        )


def _object_store(settings: Settings) -> Iterator[Finding]:
    from storage.objects import ObjectBlobs

    try:
        blobs = open_blobs(settings)
        assert isinstance(blobs, ObjectBlobs)
        ahead, safe = blobs.try_out()
    except (NotReady, OSError) as error:
        yield Finding(
            subject="blob store", finding=f"{settings.blob_url} takes no files: {error}",
            fix="look at blob_url, at [s3] endpoint, region and keys, and at the clock and the network of this machine",
        )  # fmt: skip
        return
    if not safe:
        yield Finding(
            subject="blob store", finding=f"{settings.blob_url} writes an object a second time where it must refuse",
            fix="use a store that honours If-None-Match on PUT",
        )  # fmt: skip
    if abs(ahead) > _SKEW:
        yield Finding(
            subject="clock", finding=f"the clock is {ahead:+.0f} seconds off the object store's",
            fix="set the clock, and let NTP keep it: the store refuses requests 15 minutes off",
        )  # fmt: skip
    endpoint = settings.s3.endpoint
    if endpoint.startswith("http://") and not _is_here(urlsplit(endpoint).hostname or ""):
        yield Finding(
            subject="settings", finding="files travel to the object store in clear", fix="set s3.endpoint to https://"
        )


def _certificate(settings: Settings) -> Iterator[Finding]:
    try:
        ends = certificate_ends(settings.certificate_path)
    except (OSError, ValueError) as error:
        yield Finding(
            subject="certificate", finding=f"{settings.certificate_path} cannot be read: {error}",
            fix="set [smtp] certificate and key to a PEM pair",
        )  # fmt: skip
        return
    if ends < datetime.now(UTC) + _SOON:
        yield Finding(
            subject="certificate", finding=f"the TLS certificate ends on {ends:%Y-%m-%d}", fix="renew it and restart"
        )


def _host_keys(settings: Settings) -> Iterator[Finding]:
    paths = settings.host_key_paths
    for path in paths:
        if not path.exists():
            if settings.sftp.host_keys:  # those of our own are made at the first start
                yield Finding(
                    subject="host key", finding=f"{path} is missing", fix="restore it: clients know it by heart"
                )
        elif path.stat().st_mode & 0o077:
            yield Finding(
                subject="host key", finding=f"{path} can be read by others on this machine", fix=f"chmod 600 {path}"
            )
    try:
        host_key_fingerprints(paths)
    except HostKeyFault as error:
        yield Finding(subject="host key", finding=str(error), fix="set [sftp] host_keys to keys in OpenSSH's form")


def _clock(settings: Settings) -> Iterator[Finding]:
    if not settings.data_dir.is_dir() or not any(settings.data_dir.iterdir()):
        return
    latest = max(path.stat().st_mtime for path in settings.data_dir.iterdir())
    ahead = latest - datetime.now(UTC).timestamp()
    if ahead > 60:
        yield Finding(
            subject="clock", finding=f"the clock is {ahead:.0f} seconds behind files written before",
            fix="set the clock, and let NTP keep it",
        )  # fmt: skip


def _risky_settings(settings: Settings) -> Iterator[Finding]:
    open_to_all = is_open_to_others(settings.smtp.host)
    if open_to_all and settings.smtp.certificate is None:
        yield Finding(
            subject="settings", finding="the SMTP door is open to others with the certificate made for local use",
            fix="set [smtp] certificate and key",
        )  # fmt: skip
    yield from _trust(settings)
    yield from _signing(settings)
    if settings.relay.host and settings.relay.tls == "off" and settings.relay.password:
        yield Finding(
            subject="settings",
            finding="the relay's password is sent in clear",
            fix="set [relay] tls to starttls or implicit",
        )
    if open_to_all and not settings.support_contact:
        yield Finding(
            subject="settings", finding="answers name nobody whom a client can ask", fix="set support_contact"
        )
    if settings.domain.endswith("localhost") and open_to_all:
        yield Finding(subject="settings", finding="domain is still intake.localhost", fix="set domain to your own")


def _data_types(settings: Settings) -> Iterator[Finding]:
    try:
        load_data_types(settings.data_types_dir, settings.enums)
    except DataTypesWrong as error:
        yield Finding(subject="data types", finding=str(error), fix="mend the descriptor or the setting it names")


def _trust(settings: Settings) -> Iterator[Finding]:
    smtp = settings.smtp
    if smtp.trusted_authserv and not smtp.trusted_proxies:
        yield Finding(
            subject="settings", finding="smtp.trusted_authserv counts only for mail from smtp.trusted_proxies",
            fix="set [smtp] trusted_proxies to the addresses of those servers",
        )  # fmt: skip
    if any(network.prefixlen == 0 for network in smtp.trusted_proxies):
        yield Finding(
            subject="settings", finding="smtp.trusted_proxies trusts every address there is",
            fix="name the addresses of your own mail servers",
        )  # fmt: skip
    if smtp.lmtp_port and not _is_here(smtp.host) and not smtp.trusted_proxies:
        yield Finding(
            subject="settings", finding="LMTP is open to others, and smtp.trusted_proxies names no server of yours",
            fix="name it there and let a firewall keep all others out, or listen on loopback",
        )  # fmt: skip
    for key, networks in _balancers(settings).items():
        for network in networks:
            if network.prefixlen < _WIDE[network.version]:
                yield Finding(
                    subject="settings", finding=f"{key} has {network}: whoever is in it says who he is, and must",
                    fix="name the addresses of your balancers alone",
                )  # fmt: skip


def _balancers(settings: Settings) -> dict[str, Networks]:
    """Give every setting that names balancers, by its key."""
    return {
        f"{name}.proxy_protocol_from": section.proxy_protocol_from
        for name, section in settings
        if hasattr(section, "proxy_protocol_from")
    }


def _watching(settings: Settings) -> Iterator[Finding]:
    if settings.metrics.enabled and settings.metrics.host in {"0.0.0.0", "::"}:  # noqa: S104 - looked for, not bound
        yield Finding(
            subject="settings", finding="metrics and health are shown to everyone who reaches this machine",
            fix="set [metrics] host to an address of your monitoring's network, or keep others out with a firewall",
        )  # fmt: skip
    if settings.traces.endpoint and find_spec("opentelemetry") is None:
        yield Finding(
            subject="settings", finding="traces.endpoint is set, and what sends traces is not installed",
            fix='pip install "mailgate[otel]"',
        )  # fmt: skip


def _signing(settings: Settings) -> Iterator[Finding]:
    relay = settings.relay
    try:
        signer = make_signer(settings)
    except SettingsError as error:
        yield Finding(
            subject="settings", finding=str(error), fix="give relay.dkim_key a private key that only mailgate can read"
        )
        return
    if signer is None:
        return
    if signer.weak:
        yield Finding(
            subject="settings", finding="relay.dkim_key has fewer than 2048 bits",
            fix="make a new key, publish it under another selector, and set both",
        )  # fmt: skip
    sender = settings.reply_from.rpartition("@")[2].lower()
    if sender != relay.dkim_domain.lower() and not sender.endswith("." + relay.dkim_domain.lower()):
        yield Finding(
            subject="settings", finding=f"replies are from {sender} and signed for {relay.dkim_domain}: DMARC fails",
            fix="set relay.dkim_domain to the domain of relay.from",
        )  # fmt: skip


def _is_here(host: str) -> bool:
    return host.lower() in {"localhost", "127.0.0.1", "::1"}


def _is_served(settings: Settings) -> bool:
    """Tell whether a service holds its lock, or a node of this machine lives; ports are its own then."""
    if settings.database_url:
        return _has_node_here(settings)
    try:
        with (settings.data_dir / "service.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _has_node_here(settings: Settings) -> bool:
    try:
        with open_house(settings) as house:
            seen = house.ledger.read_now(list_nodes)
    except (NotReady, LedgerBusy):
        return False
    return any(node.alive and node.id.startswith(f"{socket.gethostname()}/") for node in seen)


_ALARM_FIXES = {
    "ADDRESS_BANNED": "ask the client what changed on its side, then `mailgate ban lift ADDRESS`",
    "IMPORT_PARKED": "look at `mailgate upload show ID`, mend the cause, then `mailgate upload replay ID`",
    "RESULT_LATE": "see whether the worker role runs, and whether a long import is before it",
    "ANSWER_UNDELIVERABLE": "mend return_address or the relay, then `mailgate upload resend ID`",
    "MAILBOX_FAILING": "look at `mailgate connection test NAME`, and mend the login, the folder or the network",
    "UPLOAD_LOST": "look at the disk and at who deletes in data_dir; its client was told to upload the file again",
    "UPLOAD_STUCK": "look at the disk and at the log of the service: the file is taken as soon as that is mended",
    "ANSWERS_DELAYED": "nothing is lost; raise [limits] answers_per_hour if this address may get more",
}
_EXAMINATIONS: tuple[Callable[[Settings], Iterator[Finding]], ...] = (
    _disk, _database, _blob_store, _certificate, _host_keys, _clock, _ports, _risky_settings, _watching, examine_ftp,
    _data_types,
)  # fmt: skip
