"""The command line. `main.py` begins it; each command parses, makes one call, and renders."""
