"""GraphDefs: read and rewritten, functions and loops included. Knows no model and no address."""
