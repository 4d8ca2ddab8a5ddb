"""``make bench``: every benchmark, one after the other; ``python -m benchmarks.NAME`` runs one."""

from benchmarks import deliveries, ftp, imap, latency, parsing, senders, sftp, smtp, splitting

if __name__ == "__main__":
    smtp.main()
    print()
    senders.main()
    print()
    latency.main()
    print()
    imap.main()
    print()
    splitting.main(25)
    print()
    parsing.main()
    print()
    sftp.main()
    print()
    ftp.main()
    print()
    deliveries.main()
