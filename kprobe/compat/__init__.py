"""What kprobe touches of TensorFlow and Keras that isn't public, and what it changes of them."""
