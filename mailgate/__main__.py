"""``python -m mailgate`` is the ``mailgate`` command."""

from mailgate.cli import main

if __name__ == "__main__":
    main()
