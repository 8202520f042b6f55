"""What clarabel ends with is checked against a bound that it has no part in."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from metriclearn import LMNN, MMC, MahalanobisLearner
from metriclearn.mahalanobis import _mmc
from metriclearn.mahalanobis._general import _solvers
from metriclearn.mahalanobis._lmnn import _sdp

SOLVED = [
    (LMNN(solver="sdp", n_impostors=None), _sdp),
    (MMC(solver="sdp"), _mmc),
    (MahalanobisLearner("squared_hinge", solver="sdp", random_state=0), _solvers),
]
by_learner = pytest.mark.parametrize(
    ("learner", "module"), SOLVED, ids=[type(learner).__name__ for learner, _ in SOLVED]
)


@by_learner
def test_an_optimum_is_not_warned_of(small, learner, module):
    learner.fit(*small)  # warnings are errors


@by_learner
def test_what_is_far_from_the_optimum_is_warned_of(small, learner, module, monkeypatch):
    solve = module.solve_exactly

    def spoiled(problem, variable):
        return 9 * np.eye(len(solve(problem, variable)))

    monkeypatch.setattr(module, "solve_exactly", spoiled)
    with pytest.warns(ConvergenceWarning, match=f"{type(learner).__name__}: clarabel ended far"):
        learner.fit(*small)


@by_learner
def test_no_solution_is_one_clear_error(small, learner, module, monkeypatch):
    monkeypatch.setattr("cvxpy.Problem.solve", lambda self, **arguments: None)
    with pytest.raises(ValueError, match="solver='sdp': clarabel found no solution"):
        learner.fit(*small)
