"""The gate for converted models: TensorFlow Lite and ONNX."""
