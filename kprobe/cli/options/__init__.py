"""The options of the commands, in groups that mirror the parts of a job."""
