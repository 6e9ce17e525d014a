"""The pipeline: where the rooms meet. Plan a job, run it, finish the dump."""
