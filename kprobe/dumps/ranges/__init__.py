"""A dump that is written in ranges of rows, by any number of processes, into one directory."""
