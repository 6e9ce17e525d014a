"""Statistics of a dump or of a running model: gathered, kept in a file, told."""
