"""Training loop of the embedder: the skorch net, its data, schedules, checkpoints."""
