"""Reports: what is known of a dump, of statistics or of a comparison, as one page for a browser."""
