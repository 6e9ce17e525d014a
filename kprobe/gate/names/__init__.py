"""The gate for the names in a config: what they are of, and what would run."""
