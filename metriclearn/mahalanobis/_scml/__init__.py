"""Sparse compositional metric learning and the linear program of its basis weights."""
