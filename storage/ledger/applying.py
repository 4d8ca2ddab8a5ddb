"""Apply a file of accounts, credentials and connections: creates or updates, never deletes, all or nothing.

What lives here: the one transaction of ``connection apply``. The plan was checked before; what only the ledger can
know (names and addresses already in use) is checked here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session, col, select

from models.connection import Rule
from models.faults import MailgateError
from models.states import ConnectionState
from models.tables import Account, Connection, ConnectionVersion, Credential, IntakeAddress
from storage.ledger.folders import connections_of
from storage.ledger.mailboxes import pulled


class ApplyRefused(MailgateError):
    """Say why nothing was applied."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CredentialPlan:
    """A credential as the file wants it; ``password_hash`` None leaves the password as it is."""

    name: str
    account: str
    username: str | None
    return_address: str
    password_hash: str | None
    ssh_keys: tuple[str, ...] | None = None  #: None leaves the keys as they are
    lenient: bool = False  #: its FTP clients end TLS without close_notify


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a file of connections asks for. ``Rule.address`` empty: keep the present one, or take the proposed."""

    accounts: tuple[str, ...]
    credentials: tuple[CredentialPlan, ...]
    rules: tuple[Rule, ...]
    proposed: dict[str, str]  #: name of a connection → a generated local part, used when it is new
    check_folder: Callable[[Sequence[Rule]], str | None] = lambda _rules: None  #: why one folder cannot serve them all


def apply_plan(session: Session, plan: Plan, now: datetime) -> list[Rule]:
    """Make the ledger say what the plan says; returns the rules as they now stand. Raises ApplyRefused."""
    for name in plan.accounts:
        if _account(session, name) is None:
            session.add(Account(name=name, name_key=name.casefold(), created_at=now))
    session.flush()
    for credential in plan.credentials:
        _apply_credential(session, credential, now)
    session.flush()
    rules = [_apply_rule(session, rule, plan.proposed[rule.name], now) for rule in plan.rules]
    for name in {rule.credential.casefold() for rule in rules if rule.takes_files}:
        _check_folders(session, name, plan.check_folder)
    _check_mailboxes(session)
    return rules


def _check_mailboxes(session: Session) -> None:
    """Raise ApplyRefused where connections of one mailbox disagree on how to get in, or one feeds another."""
    first: dict[tuple[str, int, str], Rule] = {}
    remotes = [(ref.rule, ref.rule.remote) for ref in pulled(session)]
    watched = {(remote.mailbox, remote.folder.casefold()) for _, remote in remotes if remote is not None}
    for rule, remote in remotes:
        if remote is None:
            continue
        other = first.setdefault(remote.mailbox, rule)
        assert other.remote is not None
        if other.remote.login != remote.login:
            raise ApplyRefused(
                f"connections {other.name!r} and {rule.name!r} share a mailbox and differ in how to log in"
            )
        for key, folder in (("processed_folder", remote.processed_folder), ("ignored_folder", remote.ignored_folder)):
            if folder and (remote.mailbox, folder.casefold()) in watched:
                raise ApplyRefused(f"connection {rule.name!r}: {key} {folder!r} is itself read for new mails")


def credentials_by_name(session: Session, names: list[str]) -> dict[str, str | None]:
    """Give the password hash of each credential that exists, by case-folded name; empty for a revoked one."""
    keys = [name.casefold() for name in names]
    found = session.exec(select(Credential).where(col(Credential.name_key).in_(keys)))
    return {one.name_key: one.password_hash if one.revoked_at is None else "" for one in found}


def revoked_among(session: Session, names: list[str]) -> list[str]:
    """List those of some credentials that are revoked: an apply does not bring their secrets back."""
    keys = [name.casefold() for name in names]
    found = session.exec(select(Credential).where(col(Credential.name_key).in_(keys)))
    return sorted(credential.name for credential in found if credential.revoked_at is not None)


def _account(session: Session, name: str) -> Account | None:
    return session.exec(select(Account).where(Account.name_key == name.casefold())).first()


def _apply_credential(session: Session, plan: CredentialPlan, now: datetime) -> None:
    account = _account(session, plan.account)
    if account is None:
        raise ApplyRefused(f"credential {plan.name!r}: there is no account {plan.account!r}")
    found = session.exec(select(Credential).where(Credential.name_key == plan.name.casefold())).first()
    if found is not None and found.account_id != account.id:
        raise ApplyRefused(f"credential {plan.name!r} belongs to another account")
    assert account.id is not None
    credential = found or Credential(
        account_id=account.id, name=plan.name, name_key=plan.name.casefold(), created_at=now
    )
    key = plan.username.casefold() if plan.username else None
    if key:
        other = session.exec(select(Credential).where(Credential.username_key == key)).first()
        if other is not None and other.name_key != credential.name_key:
            raise ApplyRefused(f"credential {plan.name!r}: the user name {plan.username!r} is taken")
    credential.username, credential.username_key = plan.username, key
    credential.return_address = plan.return_address
    credential.lenient = plan.lenient
    if credential.revoked_at is None:  # what was taken away does not come back with the next apply
        if plan.password_hash is not None:
            credential.password_hash = plan.password_hash
            credential.former_hash = credential.former_until = None
        if plan.ssh_keys is not None:
            credential.ssh_keys = list(plan.ssh_keys)
    session.add(credential)


def _apply_rule(session: Session, rule: Rule, proposed: str, now: datetime) -> Rule:
    account = _account(session, rule.account)
    if account is None:
        raise ApplyRefused(f"connection {rule.name!r}: there is no account {rule.account!r}")
    credential = None
    if rule.credential:
        key = rule.credential.casefold()
        credential = session.exec(select(Credential).where(Credential.name_key == key)).first()
        if credential is None or credential.account_id != account.id:
            raise ApplyRefused(
                f"connection {rule.name!r}: account {rule.account!r} has no credential {rule.credential!r}"
            )
    found = session.exec(select(Connection).where(Connection.name_key == rule.name.casefold())).first()
    if found is not None and found.account_id != account.id:
        raise ApplyRefused(f"connection {rule.name!r} belongs to another account")
    address = rule.address or (found.address if found is not None else None) or proposed
    if rule.takes_files:
        address = ""
    wanted = Rule.from_json({**rule.to_json(), "address": address})
    credential_id = credential.id if credential else None
    if found is None:
        assert account.id is not None
        found = Connection(
            account_id=account.id, credential_id=credential_id, name=rule.name, name_key=rule.name.casefold(),
            address=None, state=ConnectionState.ACTIVE, version=0, created_at=now,
        )  # fmt: skip
        session.add(found)
        session.flush()
    elif session.get_one(ConnectionVersion, (found.id, found.version)).rule == wanted.to_json():
        return wanted
    _claim(session, found, address, rule.name, now)
    found.version += 1
    found.address, found.name, found.credential_id = address or None, rule.name, credential_id
    assert found.id is not None
    session.add(ConnectionVersion(connection_id=found.id, number=found.version, rule=wanted.to_json(), created_at=now))
    session.add(found)
    session.flush()
    return wanted


def _check_folders(session: Session, credential: str, check: Callable[[Sequence[Rule]], str | None]) -> None:
    """Raise ApplyRefused where the connections of a credential cannot be told apart in their folders."""
    found = connections_of(session, credential)
    by_folder: dict[str, list[Rule]] = {}
    for ref in found[1] if found else ():
        by_folder.setdefault(ref.rule.folder, []).append(ref.rule)
    for rules in [*by_folder.values(), [ref.rule for ref in found[1]] if found else []]:
        if (why := check(rules)) is not None:
            raise ApplyRefused(why)


def _claim(session: Session, connection: Connection, address: str, name: str, now: datetime) -> None:
    """Give a connection an address; its former one is retired and takes no more mail."""
    assert connection.id is not None
    holder = session.get(IntakeAddress, address)
    if not address:
        pass  # its files come into a folder
    elif holder is None:
        session.add(IntakeAddress(local_part=address, connection_id=connection.id))
    elif holder.connection_id != connection.id:
        raise ApplyRefused(f"connection {name!r}: the address {address!r} is or was another connection's")
    else:
        holder.retired_at = None
    others = select(IntakeAddress).where(
        IntakeAddress.connection_id == connection.id, IntakeAddress.local_part != address
    )
    for other in session.exec(others):
        other.retired_at = other.retired_at or now
