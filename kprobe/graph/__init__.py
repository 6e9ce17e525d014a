"""The graph engine: addresses, the trace of a model, and the sub-graph between tensors."""
