"""What a fold keeps beside its scores: each class, more classes, training."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.comparisons import CHEAP
from helpers.optional import deep
from scipy.spatial.distance import pdist

from metriclearn.compare import ComparisonResult, compare
from metriclearn.compare._measuring._measure import growth_of, measure, tell_classes
from metriclearn.metrics import RecallGrowth


def growth(kept):
    counts = np.zeros(kept.n_classes, dtype=int)
    for nearer, count in kept.counts:
        counts[nearer] = count
    return RecallGrowth(counts)


def test_rows_of_the_classes_add_up_to_the_scores(compared):
    checked = 0
    for record in compared.records:
        if record.error:
            continue
        told = record.by_class
        assert sum(told.n_rows) == record.n_test
        share = sum(told.n_right) / record.n_test
        measure = "accuracy" if record.protocol == "closed" else "recall_at_1"
        assert share == pytest.approx(record.scores[measure])
        wrong = sum(count for *_, count in told.confused)
        assert wrong == record.n_test - sum(told.n_right)
        assert all(true != taken for true, taken, _ in told.confused)
        checked += 1
    assert checked == 12


def test_recall_among_all_classes_is_that_of_the_fold(compared):
    for record in compared.records:
        if not record.error:
            kept = growth(record.growth)
            assert kept.recall(kept.n_classes) == pytest.approx(record.recall_at["1"])


@pytest.mark.parametrize("protocol", ["closed", "open"])
def test_many_test_rows_are_drawn_from(monkeypatch, blobs, protocol):
    from metriclearn.compare._measuring import _measure

    X, y = blobs
    gallery = (X[::2], y[::2])
    found = measure(_Same(), gallery, X[1::2], y[1::2], protocol)
    everything = growth(growth_of(found, y[::2], y[1::2], 0)).recall(8)
    monkeypatch.setattr(_measure, "MAX_GROWTH_ROWS", 20)
    drawn = growth(growth_of(found, y[::2], y[1::2], 0))
    assert drawn.counts.sum() == 20
    assert drawn.recall(8) == pytest.approx(everything, abs=0.2)


class _Same:
    def transform(self, X):
        return X


def test_a_gallery_of_unseen_classes_is_searched(blobs):
    X, y = blobs
    found = measure(_Same(), (X[::2], y[::2]), X[1::2], y[1::2], "open")
    told = tell_classes(found, y[::2], y[1::2])
    assert sum(told.n_right) / 40 == pytest.approx(found.scores["recall_at_1"])
    kept = growth(growth_of(found, y[::2], y[1::2], 0))
    assert kept.recall(8) == pytest.approx(found.scores["recall_at_1"])


def test_maps_are_laid_out_once_and_only_for_a_file(monkeypatch, tmp_path, compared):
    from metriclearn.compare._measuring import _pictures

    calls, lay_out = [], _pictures.lay_out
    monkeypatch.setattr(
        _pictures, "lay_out", lambda Z, **kwargs: calls.append(len(Z)) or lay_out(Z, **kwargs)
    )
    result = replace(compared)  # which has written nothing yet
    result.show()
    kept = [record.map for record in result.records if record.map is not None]
    assert (len(kept), calls) == (4, [])
    assert {each.points for each in kept} == {()}
    result.to_json(tmp_path / "r.json")
    result.to_html(tmp_path / "r.html")
    assert calls == [len(each.rows) for each in kept]
    again = ComparisonResult.from_json(tmp_path / "r.json")
    again.to_html(tmp_path / "again.html")
    assert len(calls) == 4
    for record in again.records:
        if record.map is not None:
            assert record.map.embeddings == ()
            assert np.ptp(record.map.points, axis=0).max() == pytest.approx(1)


def test_wide_embeddings_are_kept_in_few_directions():
    from metriclearn.compare._measuring._pictures import keep_map

    rng = np.random.default_rng(0)
    Z = rng.normal(size=(40, 3)) @ rng.normal(size=(3, 500))
    kept = np.array(keep_map(Z, np.zeros(40), 0, np.arange(40)).embeddings)
    assert kept.shape == (40, 40)
    np.testing.assert_allclose(pdist(kept), pdist(Z), rtol=1e-4)


def test_a_classifier_with_one_setting_is_not_fitted_to_be_judged(blobs):
    result = compare(*blobs, learners="majority,euclidean", n_folds=2)
    for record in result.records:
        is_judged = record.learner != "majority"
        assert (record.validation is not None, bool(record.tuning)) == (is_judged, is_judged)


def test_confusions_are_the_most_frequent(monkeypatch, blobs):
    from metriclearn.compare._measuring import _measure

    X, y = blobs
    found = measure(_Same(), (X[::2], y[::2]), X[1::2] + 4, y[1::2], "closed")
    everything = tell_classes(found, y[::2], y[1::2]).confused
    monkeypatch.setattr(_measure, "MAX_CONFUSED", 3)
    assert tell_classes(found, y[::2], y[1::2]).confused == everything[:3]
    counts = [count for *_, count in everything]
    assert counts == sorted(counts, reverse=True)


def test_training_of_a_network_is_kept(iris):
    assert deep.DeepEmbedder
    result = compare(*iris, learners=[*CHEAP, "triplet"], n_folds=2, effort="quick")
    for record in result.records:
        (*_, trial) = record.tuning
        if record.learner != "triplet":
            assert (record.losses, trial.reached) == ((), ())
            continue
        assert len(record.losses) == trial.epochs
        epochs = [epoch for epoch, _ in trial.reached]
        assert epochs == sorted(epochs)
        assert trial.score == max(score for _, score in trial.reached)
