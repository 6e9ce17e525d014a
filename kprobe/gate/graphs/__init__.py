"""The gate for graphs of operations: SavedModels and frozen graphs."""
