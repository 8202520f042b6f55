"""Large margin nearest neighbors: objectives from labels and triplets, solvers, impostors."""
