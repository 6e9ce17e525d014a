"""The gate for what a config says of its layers: references, sizes, weights."""
