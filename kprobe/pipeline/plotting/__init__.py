"""Plotting: what is drawn of a dump, of statistics or of a running model."""
