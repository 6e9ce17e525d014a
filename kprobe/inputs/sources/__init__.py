"""Sources: rows in order, each with its identity, from one place."""
