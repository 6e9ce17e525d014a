"""`python -m kprobe`."""

from kprobe.cli.main import main

if __name__ == "__main__":
    main()
