"""Who was cut short by a limit: one rule for solvers and networks, said in the verdict."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline

from metriclearn import NCA
from metriclearn.compare import compare
from metriclearn.compare._effort import EFFORTS, Effort
from metriclearn.compare._fitting import Rules, fit_tuned
from metriclearn.compare._measuring._training import Training
from metriclearn.compare._roster import ROSTER

QUICK = EFFORTS["quick"]
X, Y = make_classification(
    240, 12, n_informative=6, n_redundant=2, n_classes=3, class_sep=0.6, random_state=0
)


def limited(setting, max_iter=1):
    return Pipeline([("metric", NCA(2, max_iter=max_iter, random_state=0))]), [{}]


NCA_OF_ONE_STEP = replace(ROSTER["nca"], make=limited)


def fit(effort, learner=NCA_OF_ONE_STEP, **rules):
    return fit_tuned(learner, X, Y, protocol="closed", rules=Rules(effort=effort, **rules))


def test_a_limit_that_was_never_raised_cuts_short_in_both_families():
    assert fit(QUICK).rising
    assert fit(QUICK, ROSTER["triplet"]).rising


def test_a_solver_that_converged_is_not_cut_short():
    fitted = fit(QUICK, replace(ROSTER["nca"], make=lambda setting: limited(setting, 5000)))
    assert not fitted.rising
    assert fitted.notes == ()
    assert fitted.params == {}


def test_a_solver_gets_twice_the_steps_while_validation_rises():
    longer = fit(Effort("longer", 1, (8,), (8,), 3, 1, n_longer=6))
    limits = [longer.tuning[0].epochs, longer.params.get("metric__max_iter", 1)]
    assert limits[0] == limits[1] > 1
    assert longer.validation > fit(QUICK).validation
    if not longer.rising:  # the next limit was tried, and did no better
        assert longer.tuning[0].epochs < 2**6


def test_what_no_higher_limit_improves_is_not_cut_short():
    class Stuck(NCA):
        """Always warns; more steps change nothing."""

        def fit(self, X, y=None, **params):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                super().fit(X, y, **params)
            message = "Stuck did not converge in max_iter=1 steps; raise tol"
            warnings.warn(message, ConvergenceWarning, stacklevel=2)
            return self

        def transform(self, X):
            return np.asarray(X)

    learner = replace(NCA_OF_ONE_STEP, make=lambda setting: (Stuck(2, max_iter=1), [{}]))
    fitted = fit(EFFORTS["normal"], learner)
    assert not fitted.rising
    assert fitted.params == {}
    (note,) = fitted.notes
    assert (
        note == "Stuck did not converge in 1 steps; no gain from more was seen on validation data"
    )


def test_without_trials_the_last_fit_says_it():
    off = {"tuning": replace(Rules().tuning, method="off")}
    assert fit(EFFORTS["normal"], **off).rising
    converged = replace(ROSTER["nca"], make=lambda setting: limited(setting, 5000))
    assert not fit(EFFORTS["normal"], converged, **off).rising


def test_the_roster_is_not_told_what_the_command_cannot_do():
    (note,) = fit(QUICK).notes
    assert note == "NCA did not converge in 1 iterations"
    with pytest.warns(ConvergenceWarning, match="raise max_iter"):
        NCA(2, max_iter=1).fit(X, Y)


def test_a_learner_of_ones_own_keeps_the_advice_and_counts_as_cut_short():
    result = compare(X, Y, learners={"mine": NCA(2, max_iter=1), "other": NCA(2, max_iter=5000)})
    rows = {row.key: row for row in result.rows()}
    assert rows["mine"].rising
    assert not rows["other"].rising
    assert any("raise max_iter" in note for note in rows["mine"].notes)
    assert "Still rising when its training was ended: mine." in result.sentences()[0]


@pytest.mark.parametrize(
    "learners",
    ["euclidean,triplet", pytest.param("euclidean,lda,triplet", marks=pytest.mark.slow)],
)
def test_quick_says_whom_it_cut_short(learners):
    pytest.importorskip("torch")
    result = compare(X, Y, learners=learners, effort="quick", n_folds=2)
    assert "Cut short by effort='quick': Deep triplet." in result.sentences()[0]


def test_limits_are_doubled_as_often_as_the_effort_says():
    estimator, _ = limited(None, max_iter=10)
    stages = Training("closed", EFFORTS["normal"]).stages(estimator, 100)
    assert stages == [{}, {"metric__max_iter": 20}, {"metric__max_iter": 40}]
    assert Training("closed", QUICK).stages(estimator, 100) == [{}]
