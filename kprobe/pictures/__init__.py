"""Pictures of tensors: which kind fits, what is shown of many channels, colours, and drawing."""
