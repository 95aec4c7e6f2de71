"""Read handwritten digits with a small neural network."""
