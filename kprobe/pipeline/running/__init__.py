"""Running a plan: read, compute and hand over at the same time."""
