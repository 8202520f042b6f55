"""A fitted embedder in a file, and back."""
