"""Networks that see both rows of a pair: what :class:`PairNetwork` trains."""
