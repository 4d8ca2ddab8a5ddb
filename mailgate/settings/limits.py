"""Every limit, with its default.

What lives here: one field per limit; what a limit means stands in ``docs/settings.md``.
"""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from mailgate.settings.values import Duration, Positive, Section


class Limits(Section):
    """Every limit, with its default."""

    max_file_bytes: Positive = 100_000_000
    max_rows: Positive = 1_000_000
    warn_rows: Positive = 500_000
    max_error_entries: Positive = 100_000
    result_within: Duration = timedelta(minutes=30)
    answers_per_hour: Positive = 300
    answer_bytes: Positive = 10_000_000  #: of attached files in one reply; the rest is kept for download
    duplicate_days: Positive = 30

    smtp_connections: Positive = 1000
    smtp_connections_per_address: Positive = 100
    smtp_recipients: Positive = 100
    smtp_commands: Positive = 10_000  #: in one session
    smtp_auth_attempts: Positive = 3  #: in one session
    smtp_idle: Duration = timedelta(minutes=5)  #: RFC 5321 section 4.5.3.2.7
    smtp_tls_handshake: Duration = timedelta(seconds=30)  #: on the port of implicit TLS
    smtp_minimum_rate: Positive = 1024  #: bytes a second over smtp_rate_window, in DATA
    smtp_rate_window: Duration = timedelta(seconds=60)
    smtp_data_total: Duration = timedelta(hours=1)
    smtp_session_total: Duration = timedelta(hours=2)

    sftp_connections: Positive = 1000
    sftp_connections_per_address: Positive = 200
    sftp_connections_per_credential: Positive = 100
    sftp_unauthenticated: Positive = 300  #: connections that have not logged in yet
    sftp_unauthenticated_per_address: Positive = 100
    sftp_login_attempts: Positive = 6  #: failures in one connection, keys that do not fit among them
    sftp_login_time: Duration = timedelta(seconds=30)  #: from the connection to the login
    sftp_channels: Positive = 10  #: sessions in one connection
    sftp_handles: Positive = 100  #: files and folders open at once in one session
    sftp_idle: Duration = timedelta(minutes=15)

    login_delay: Duration = timedelta(seconds=1)  #: before a wrong password is answered, at every door
    login_points: Positive = 2  #: of one wrong password
    login_ban_points: Positive = 14  #: an address that has so many within login_window is banned
    login_guard_points: Positive = 28  #: a user name that has so many is guarded
    login_window: Duration = timedelta(minutes=30)
    login_ban: Duration = timedelta(minutes=30)
    login_ban_growth: Annotated[int, Field(ge=0)] = 50  #: per cent that each further ban is longer
    login_ban_longest: Duration = timedelta(days=1)
    login_known_for: Duration = timedelta(days=90)  #: how long an address is remembered as a user's own
    login_connections_per_second: Positive = 20  #: that have not logged in, from one address
    login_checks: Positive = 2  #: passwords hashed at once; each takes 19 MiB

    message_header_bytes: Positive = 256 * 1024
    message_field_bytes: Positive = 32 * 1024
    message_parts: Positive = 200
    message_depth: Positive = 20

    sender_check: Duration = timedelta(seconds=20)  #: for DNS, where a connection demands proof
    sender_check_unasked: Duration = timedelta(seconds=2)  #: for DNS, where none does: the results are only recorded
    dns_timeout: Duration = timedelta(seconds=3)  #: of one question
    dns_lookups: Positive = 60  #: questions for one mail
    imap_connect: Duration = timedelta(seconds=15)
    imap_silence: Duration = timedelta(seconds=60)  #: a server that says nothing for so long is dead
    imap_command_total: Duration = timedelta(minutes=5)  #: one command, or one chunk of a mail
    imap_idle: Duration = timedelta(minutes=9)  #: then IDLE begins anew; servers end it after 30 (RFC 2177)
    imap_lease: Duration = timedelta(minutes=2)  #: another poller takes over when it has lapsed
    imap_backoff_most: Duration = timedelta(minutes=15)  #: the longest wait after failures in a row
    imap_message_tries: Positive = 6  #: over some six hours; then a mail that cannot be fetched gets its verdict
    imap_rescan: Duration = timedelta(hours=1)  #: between looks at the whole folder
    imap_bytes_per_day: Positive = 2_400_000_000  #: per mailbox; Gmail allows 2,500 MB
    imap_mailboxes: Positive = 200  #: polled by one process, a thread each
    uploads_at_once: Positive = 200  #: of one credential, at file doors
    upload_bytes_held: Positive = 10_000_000_000  #: of one credential, under way or waiting to be judged
    names_per_folder: Positive = 10_000
    incomplete_kept: Duration = timedelta(hours=24)  #: for resuming a cut upload, and for renaming a held one
    accepted_visible: Duration = timedelta(seconds=60)  #: at least so long after it was accepted

    ignored_quota_bytes: Positive = 1_000_000_000  #: per connection, of files that were not taken
    minimum_free_bytes: Positive = 300_000_000  #: below it deliveries are refused for now

    parse_workers: Positive = 2
    parse_memory_bytes: Positive = 1_000_000_000
    parse_seconds: Positive = 600
    import_tries: Positive = 5  #: then the import is parked as aborted

    s3_request: Duration = timedelta(seconds=5)  #: one request to the object store, of 5 MiB at most
    proxy_header_time: Duration = timedelta(seconds=5)  #: that a PROXY header may take
    proxy_header_bytes: Annotated[int, Field(ge=536)] = 4096  #: of one; 536 is what every proxy may send
    metrics_connections: Positive = 32  #: at once, at the page of metrics and health
    metrics_request: Duration = timedelta(seconds=10)  #: from the connection to the last byte of the answer
    metrics_kept: Duration = timedelta(seconds=5)  #: figures of the database are so old at most
    check_time: Duration = timedelta(seconds=4)  #: for one look at whether deliveries can be taken
    check_kept: Duration = timedelta(seconds=2)  #: its outcome is so old at most
    loop_silence: Duration = timedelta(seconds=15)  #: a service whose loop is silent for so long is not alive
    ftp_connections: Positive = 1000
    ftp_connections_per_address: Positive = 200
    ftp_connections_per_credential: Positive = 100
    ftp_unauthenticated: Positive = 300  #: connections that have not logged in yet
    ftp_unauthenticated_per_address: Positive = 100
    ftp_login_attempts: Positive = 3  #: wrong passwords in one connection
    ftp_login_time: Duration = timedelta(seconds=30)  #: from the connection to the login
    ftp_idle: Duration = timedelta(minutes=15)  #: without a command or a transfer
    ftp_data_wait: Duration = timedelta(seconds=30)  #: for a data connection and its TLS handshake
    ftp_data_idle: Duration = timedelta(minutes=2)  #: a transfer on which nothing moves
    ftp_minimum_rate: Positive = 1024  #: bytes a second over ftp_rate_window, of a transfer
    ftp_rate_window: Duration = timedelta(seconds=60)
