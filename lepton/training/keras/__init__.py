"""Keras models on TensorFlow, trained by the user's own train step."""
