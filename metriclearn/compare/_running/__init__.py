"""Fits of all learners on all splits: in which order, where, and what of them is kept."""
