"""What the commands print, and how it is written."""
