"""Pictures of embeddings and labels: map, gallery, similarities, distances, recall."""

from itertools import combinations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from metriclearn.metrics import recall_at_k
from metriclearn.neighbors import ExactSearch
from metriclearn.plots import (
    DistanceHistogramDisplay,
    EmbeddingDisplay,
    NeighborsGalleryDisplay,
    RecallCurveDisplay,
    SimilarityMatrixDisplay,
)
from metriclearn.plots._distances import _different_pairs, _same_pairs


def test_map_has_a_color_and_a_name_for_each_class(fitted, small):
    display = EmbeddingDisplay.from_estimator(fitted, *small, method="pca")
    assert [text.get_text() for text in display.names_] == ["0", "1", "2"]
    assert sum(len(points.get_offsets()) for points in display.points_) == 45


@pytest.mark.parametrize("n_classes", [3, 20, 100])
def test_names_on_the_map_never_cover_each_other(rng, n_classes):
    points = rng.randn(n_classes, 2)
    points[1] = points[0]
    display = EmbeddingDisplay.from_predictions(points, np.arange(n_classes))
    assert len(display.points_) == len(display.names_) == n_classes
    display.figure_.draw_without_rendering()
    seen = [name.get_window_extent() for name in display.names_ if name.get_visible()]
    assert 1 < len(seen) < n_classes
    assert not any(one.overlaps(other) for one, other in combinations(seen, 2))
    # A name that cannot be seen is in the legend, while that is short enough to read.
    legend = display.ax_.get_legend()
    assert (legend is not None) == (n_classes <= 20)
    if legend is not None:
        assert len(legend.get_texts()) == n_classes


def test_gallery_finds_neighbors_and_frames_the_right_ones(fitted, small):
    X, y = small
    queries = [0, 20, 44]
    display = NeighborsGalleryDisplay.from_estimator(fitted, X, y, queries=queries, n_neighbors=5)
    distances, indices = ExactSearch(fitted.transform(X)).search(
        fitted.transform(X)[queries], 5, exclude=np.array(queries)
    )
    np.testing.assert_array_equal(display.indices, indices)
    np.testing.assert_array_equal(display.distances, distances)
    np.testing.assert_array_equal(display.right, y[indices] == y[queries][:, None])
    dashed = np.array([f.get_linestyle() == "--" for f in display.frames_]).reshape(3, 6)
    assert not dashed[:, 0].any()
    np.testing.assert_array_equal(dashed[:, 1:], ~display.right)


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 1), (5, 4, 3), (1, 5, 4), (3, 5, 4)])
def test_gallery_of_images(rng, shape):
    images = rng.rand(12, *shape) * 3 - 1
    display = NeighborsGalleryDisplay.from_predictions(
        rng.randn(12, 2), np.arange(12) % 2, images, queries=[7], n_neighbors=2
    )
    (query, *_), n_channels = display.cells_, shape[0] if shape[0] != 5 else (*shape, 1)[2]
    drawn = np.asarray(query.get_array())
    assert drawn.shape[:2] == (5, 4)
    assert drawn.ndim == (3 if n_channels == 3 else 2)
    assert np.ptp(drawn) > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"queries": 46}, "queries=46 must be from 1 to 45"),
        ({"queries": [45]}, "queries must be rows from 0 to 44"),
        ({"queries": []}, "queries must be a number or a list"),
        ({"n_neighbors": 45}, "k=45 neighbors were asked for"),
        ({"shown": np.ones((3, 2))}, r"shown must hold numbers, 45 table rows or images"),
        ({"shown": np.ones((45, 4, 4, 2))}, "images must have 1 or 3 channels"),
    ],
)
def test_galleries_that_cannot_be_are_one_clear_error(fitted, small, options, message):
    with pytest.raises(ValueError, match=message):
        NeighborsGalleryDisplay.from_estimator(fitted, *small, **options)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_similarities_are_ordered_by_class(rng, small, metric):
    X, y = small
    order = rng.permutation(len(X))
    display = SimilarityMatrixDisplay.from_predictions(X[order], y[order], metric=metric)
    np.testing.assert_array_equal(display.labels, np.sort(y))
    rows = X[order][np.argsort(y[order], kind="stable")]
    expected = -cdist(rows, rows) if metric == "euclidean" else 1 - cdist(rows, rows, "cosine")
    np.testing.assert_allclose(display.similarities, expected, atol=1e-6)
    fewer = SimilarityMatrixDisplay.from_predictions(X, y, metric=metric, max_rows=10)
    assert fewer.similarities.shape == (10, 10)
    with pytest.raises(ValueError, match="metric must be 'euclidean' or 'cosine'"):
        SimilarityMatrixDisplay.from_predictions(X, y, metric="dot")


def test_recall_curve_is_recall(fitted, small):
    X, y = small
    display = RecallCurveDisplay.from_estimator(fitted, X, y, ks=(1, 4, 1000))
    assert display.ks == [1, 4]
    expected = [recall_at_k(fitted.transform(X), y, k=k) for k in (1, 4)]
    assert display.recall == pytest.approx(expected)
    np.testing.assert_allclose(display.line_.get_ydata(), expected)


def test_histogram_shows_the_threshold(fitted, small):
    display = DistanceHistogramDisplay.from_estimator(fitted, *small, threshold=1.5, n_pairs=50)
    assert len(display.same) == len(display.different) == 50
    names = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert set(names) == {"same class", "different classes", "threshold"}


@pytest.mark.parametrize("counts", [[2, 2], [1, 5, 3], [7, 1, 1, 4]])
def test_drawn_pairs_are_what_they_are_called_and_all_occur(counts, rng):
    codes = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    for draw, same in ((_same_pairs, True), (_different_pairs, False)):
        first, second = draw(codes, 3000, rng)
        assert np.all(first != second)
        assert np.all((codes[first] == codes[second]) == same)
        possible = (codes[:, None] == codes) == same
        np.fill_diagonal(possible, False)
        assert len({*zip(first, second, strict=True)}) == possible.sum()


@pytest.mark.parametrize(
    ("display", "options", "message"),
    [
        (RecallCurveDisplay, {"ks": (100, 1000)}, "ks must be integers of at least 1, one of them"),
        (RecallCurveDisplay, {"ks": (0, 1)}, "ks must be integers of at least 1"),
        (RecallCurveDisplay, {"ks": ()}, "ks must be integers of at least 1"),
        (RecallCurveDisplay, {"ks": (1.5, 2)}, "ks must be integers of at least 1"),
        (DistanceHistogramDisplay, {"n_pairs": 0}, "n_pairs must be an integer of at least 1"),
        (DistanceHistogramDisplay, {"threshold": "eer"}, "threshold must be a number or None"),
        (SimilarityMatrixDisplay, {"max_rows": 0}, "max_rows must be at least 1, got 0"),
    ],
)
def test_numbers_out_of_range_are_one_clear_error(small, display, options, message):
    with pytest.raises(ValueError, match=message):
        display.from_predictions(*small, **options)


@pytest.mark.parametrize(("labels", "message"), [([0, 1, 2], "no class"), ([0, 0, 0], "one class")])
def test_pairs_that_do_not_exist_are_one_clear_error(labels, message):
    with pytest.raises(ValueError, match=message):
        DistanceHistogramDisplay.from_predictions(np.eye(3), labels)
