"""`MahalanobisLearner`: any loss and regularizer on constraints, with a choice of solvers."""
