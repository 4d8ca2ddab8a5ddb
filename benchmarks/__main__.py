"""``make bench``: every benchmark, one after the other; ``python -m benchmarks.NAME`` runs one."""

from benchmarks import latency, parsing, sftp, smtp, splitting

if __name__ == "__main__":
    smtp.main()
    print()
    latency.main()
    print()
    splitting.main(25)
    print()
    parsing.main()
    print()
    sftp.main()
