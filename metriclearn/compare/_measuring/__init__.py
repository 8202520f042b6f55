"""What a fit needs to be judged: splits, how long to train, scores, pictures."""
