"""The commands, one a module: parse, one call, render."""
