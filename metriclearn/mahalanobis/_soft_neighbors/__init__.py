"""Learners of soft neighbor assignments (NCA, MLKR) and the gradient they share."""
