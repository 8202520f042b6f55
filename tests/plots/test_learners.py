"""Pictures of a linear metric (matrix, importance, ellipse) and of a verifier."""

import numpy as np
import pytest
from sklearn.datasets import load_wine
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metriclearn import Covariance
from metriclearn.metrics import (
    bootstrap_over_identities,
    equal_error_rate,
    verification_curve,
)
from metriclearn.plots import (
    FeatureImportanceDisplay,
    MatrixDisplay,
    MetricEllipseDisplay,
    VerificationCurveDisplay,
)


def test_points_of_the_ellipse_are_at_its_radius(small):
    X, y = small[0][:, :2], small[1]
    learner = Covariance().fit(X)
    display = MetricEllipseDisplay.from_estimator(learner, X, y, radius=0.7)
    for label, line in enumerate(display.ellipses_):
        outline = line.get_xydata()
        center = np.broadcast_to(X[y == label].mean(axis=0), outline.shape)
        np.testing.assert_allclose(learner.paired_distances(outline, center), 0.7, rtol=1e-6)
    alone = MetricEllipseDisplay.from_estimator(learner, X)
    assert len(alone.ellipses_) == 1
    # A metric that sees one direction only has an ellipse without end.
    flat = MetricEllipseDisplay(np.diag([1.0, 0.0]), X, y).plot()
    assert np.isfinite(flat.ellipses_[0].get_xydata()).all()
    with pytest.raises(ValueError, match="needs a metric of two features, this one has 4"):
        MetricEllipseDisplay.from_estimator(Covariance().fit(small[0]), *small)


def test_importance_is_the_distance_of_a_step(fitted, small):
    X = small[0]
    units = FeatureImportanceDisplay.from_estimator(fitted)
    origin = np.zeros((4, 4))
    np.testing.assert_allclose(
        units.importances, fitted.paired_distances(np.eye(4), origin), rtol=1e-6
    )
    steps = FeatureImportanceDisplay.from_estimator(
        fitted, X, feature_names=list("abcd"), max_features=2
    )
    np.testing.assert_allclose(steps.importances, units.importances * X.std(axis=0))
    order = np.argsort(-steps.importances)[:2]
    assert [t.get_text() for t in steps.ax_.get_yticklabels()] == list(
        np.array(list("abcd"))[order]
    )
    np.testing.assert_allclose([bar.get_width() for bar in steps.bars_], steps.importances[order])
    for options, message in (
        ({"X": X[:, :2]}, "X has 2 features, the metric has 4"),
        ({"feature_names": ["a"]}, "feature_names has 1 names for 4 features"),
        ({"max_features": 0}, "max_features must be at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            FeatureImportanceDisplay.from_estimator(fitted, **options)


def test_verification_curve_and_its_band(rng):
    names = rng.randint(15, size=(400, 2))
    names[:150, 1] = names[:150, 0]
    same = names[:, 0] == names[:, 1]
    distances = rng.rand(400) + 0.5 * ~same
    display = VerificationCurveDisplay.from_predictions(
        same, distances, identities=names, n_resamples=40, name="A"
    )
    curve = verification_curve(same, distances)
    np.testing.assert_array_equal(display.line_.get_xdata(), curve.far[curve.far > 0])
    np.testing.assert_array_equal(display.line_.get_ydata(), curve.tar[curve.far > 0])
    assert display.equal_error == equal_error_rate(same, distances)
    expected = bootstrap_over_identities(
        equal_error_rate, same, distances, names, n_resamples=40, random_state=0
    )
    assert display.interval == pytest.approx(expected)
    grid, low, high = display.band
    assert np.all((low <= curve.tar_at(grid)) & (curve.tar_at(grid) <= high))
    assert display.band_ is not None
    second = VerificationCurveDisplay.from_predictions(same, distances + 1, ax=display.ax_)
    assert second.band_ is None
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert labels[0].startswith("A: EER ")
    assert labels[1].startswith("EER ")
    with pytest.raises(ValueError, match="y must hold two values, got 1"):
        VerificationCurveDisplay.from_estimator(Covariance(), [], [1, 1])


def test_matrix_is_the_learners(fitted):
    display = MatrixDisplay.from_estimator(fitted, feature_names=list("abcd"))
    np.testing.assert_array_equal(display.image_.get_array(), fitted.get_mahalanobis_matrix())
    low, high = display.image_.get_clim()
    assert low == -high
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == list("abcd")


def test_only_linear_learners_have_a_matrix():
    with pytest.raises(ValueError, match="list has no matrix"):
        MatrixDisplay.from_estimator([])


@pytest.mark.parametrize("display", [MatrixDisplay, FeatureImportanceDisplay, MetricEllipseDisplay])
@pytest.mark.parametrize(
    ("matrix", "names", "message"),
    [
        (np.eye(3)[:2], None, r"matrix must be square, got shape \(2, 3\)"),
        ([[1, 2], [0, 1]], None, "matrix must be symmetric"),
        ([[1, np.nan], [np.nan, 1]], None, "matrix contains NaN"),
        (np.eye(2), ["a"], "feature_names has 1 names for 2 features"),
    ],
)
def test_what_is_no_matrix_of_a_metric_is_refused(display, matrix, names, message):
    arguments = [] if display is MatrixDisplay else [np.ones((3, 2))]
    with pytest.raises(ValueError, match=message):
        display.from_matrix(matrix, *arguments, feature_names=names)


@pytest.mark.parametrize("frame", [False, True])
def test_importances_of_a_pipeline_are_those_of_its_last_step(frame):
    X, y = load_wine(return_X_y=True, as_frame=True)
    names = list(X.columns)
    X = X if frame else X.to_numpy()
    pipeline = make_pipeline(StandardScaler(), Covariance()).fit(X, y)
    display = FeatureImportanceDisplay.from_estimator(pipeline, X)
    expected = np.sqrt(np.diag(pipeline[-1].get_mahalanobis_matrix()))
    np.testing.assert_allclose(display.importances, expected)  # scaled rows have deviation 1
    assert list(display.feature_names) == (names if frame else [f"x{j}" for j in range(13)])
    assert display.ax_.get_title() == "Covariance"
    if frame:
        with pytest.raises(ValueError, match="give the whole pipeline"):
            FeatureImportanceDisplay.from_estimator(pipeline[-1], X)


def test_rows_in_other_units_than_those_of_the_fit_are_said_to_be():
    X, y = load_wine(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), Covariance()).fit(X, y)
    scaled = pipeline[:-1].transform(X)
    for rows in (scaled, scaled[y == 1], scaled[:5]):
        FeatureImportanceDisplay.from_estimator(pipeline[-1], rows)
    for rows in (X, X / 1000):
        with pytest.warns(UserWarning, match="times as much as in the rows .* whole pipeline"):
            FeatureImportanceDisplay.from_estimator(pipeline[-1], rows)
