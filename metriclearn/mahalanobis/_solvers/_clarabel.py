"""Semidefinite programs, solved by clarabel through cvxpy."""

import warnings

from sklearn.exceptions import ConvergenceWarning

GAP = 1e-4  # a larger relative duality gap is a failure to converge


def solve_exactly(problem, variable):
    """Solve a cvxpy problem, and return the value of a variable at its optimum."""
    with warnings.catch_warnings():
        # The duality gap says how accurate it is.
        warnings.filterwarnings("ignore", "Solution may be inaccurate", UserWarning)
        problem.solve(solver="CLARABEL")
    if variable.value is None:
        raise ValueError(
            f"solver='sdp': clarabel found no solution ({problem.status}); scale the features or "
            f"use solver='lbfgs'"
        )
    return variable.value


def warn_far(learner):
    """Warn that clarabel ended far from the optimum."""
    warnings.warn(
        f"{learner}: clarabel ended far from the optimum, as duality_gap_ tells; use "
        f"solver='lbfgs'",
        ConvergenceWarning,
        stacklevel=3,
    )
