"""Judgments of items in place of labels: pairs or triplets, tested on held-out ones."""
