"""The one way from a model to its sub-graphs: loaded, completed, traced, cut."""
