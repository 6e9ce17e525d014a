"""Architecture: a file's layers and the calls between them, as far as its config tells."""
