"""What the values of tensors tell, block by block; without TensorFlow."""
