"""Sub-graphs: what is asked for of a trace, cut out of it."""
