"""`python -m kprobe`."""

from kprobe.cli import main

if __name__ == "__main__":
    main()
