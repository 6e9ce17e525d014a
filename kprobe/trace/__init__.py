"""The trace of a model: made once, so that every tensor in it has an address."""
