"""Statistics of tensors, merged from ranges in any order."""
