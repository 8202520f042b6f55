"""Networks on pairs: their wirings, their loss, and the order they put a search in."""

import pickle

import numpy as np
import pytest
import torch
from scipy.ndimage import shift
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import validate_data

import metriclearn
from metriclearn.deep.pairs._net import WeightedHinge
from metriclearn.deep.pairs._scorer import WIRINGS
from metriclearn.metrics import fpr_at_tpr
from metriclearn.neighbors import RetrievalIndex
from metriclearn.verification import PairNetwork

QUICK = {"max_epochs": 3, "hidden_units": 16, "random_state": 0}
VECTORS = ["siamese", "pseudo_siamese", "two_channel"]
IMAGES = {"module": "convnet", "module_params": {"channels": (4, 8)}, "image_shape": (8, 8)}


def vector_pairs(n=120):
    rng = np.random.RandomState(0)
    pairs, same = rng.randn(n, 2, 3), rng.rand(n) < 0.5
    pairs[same, 1, 0] = pairs[same, 0, 0] + 0.1
    return pairs, same


def image_pairs(n=200):
    """Digits, each with itself moved by a pixel and made darker, or with another."""
    X = load_digits().images[:n]
    rng = np.random.RandomState(1)
    same = rng.rand(n) < 0.5
    others = np.where(same, np.arange(n), (np.arange(n) + 1 + rng.randint(n - 1, size=n)) % n)
    moved = [0.7 * shift(X[k], rng.randint(-1, 2, size=2)) for k in others]
    return np.stack([X, np.array(moved)], axis=1), same


def fitted(wiring, **arguments):
    images = wiring == "central_surround"
    pairs, same = image_pairs() if images else vector_pairs()
    given = {**QUICK, **(IMAGES if images else {}), **arguments}
    return PairNetwork(wiring, **given).fit(pairs, same), pairs, same


@pytest.mark.parametrize("wiring", WIRINGS)
def test_a_symmetric_score_does_not_depend_on_the_order(wiring):
    model, pairs, _ = fitted(wiring)
    there, back = model.score_pairs(pairs), model.score_pairs(pairs[:, ::-1])
    np.testing.assert_array_equal(there, back)
    one_way, *_ = fitted(wiring, symmetric=False)
    assert not np.allclose(one_way.score_pairs(pairs), one_way.score_pairs(pairs[:, ::-1]))


@pytest.mark.parametrize("wiring", WIRINGS)
def test_score_is_that_of_the_towers(wiring):
    """By hand: what each tower sees of a pair, in both orders, and the layers that decide."""
    model, pairs, _ = fitted(wiring)
    scorer = model.net_.module_.eval()
    a, b = (torch.tensor(pairs[:5, k], dtype=torch.float32) for k in (0, 1))
    if wiring == "central_surround":
        a, b = a[:, None], b[:, None]

    def seen(a, b):
        both = torch.cat([a, b], dim=1)
        return {
            "siamese": lambda: [(0, a), (0, b)],
            "pseudo_siamese": lambda: [(0, a), (1, b)],
            "two_channel": lambda: [(0, both)],
            "central_surround": lambda: [
                (0, both[:, :, 2:6, 2:6]),
                (1, both.unfold(2, 2, 2).unfold(3, 2, 2).mean(dim=(4, 5))),
            ],
        }[wiring]()

    with torch.no_grad():
        by_hand = [
            scorer.decision(torch.cat([scorer.towers[k](x) for k, x in seen(*pair)], dim=1))[:, 0]
            for pair in ((a, b), (b, a))
        ]
    expected = (by_hand[0] + by_hand[1]) / 2
    np.testing.assert_allclose(model.score_pairs(pairs[:5]), expected, rtol=1e-5, atol=1e-6)


def test_towers_are_shared_or_not():
    def size(wiring):
        model, *_ = fitted(wiring)
        return sum(p.numel() for p in model.net_.module_.towers.parameters())

    assert 2 * size("siamese") == size("pseudo_siamese")
    model, *_ = fitted("central_surround")
    for tower in model.net_.module_.towers:
        first = next(m for m in tower.modules() if isinstance(m, torch.nn.Conv2d))
        assert first.in_channels == 2


def test_loss_is_the_hinge():
    scores = torch.tensor([0.3, -2.0, 1.5, 0.2], dtype=torch.float64, requires_grad=True)
    sign, weight = [1, 1, -1, -1], [1.0, 2.0, 0.5, 0.5]
    targets = torch.tensor([sign, weight], dtype=torch.float64).T
    loss = WeightedHinge()(scores, targets)
    by_hand = [
        w * max(0.0, 1 - y * o) for y, w, o in zip(sign, weight, scores.tolist(), strict=True)
    ]
    assert abs(loss.item() - sum(by_hand) / 4) < 1e-12
    assert torch.autograd.gradcheck(lambda o: WeightedHinge()(o, targets), scores)


def moved_pairs(X, n, seed):
    """Images, each with itself moved by part of a pixel and made darker, or with another so."""
    rng = np.random.RandomState(seed)
    same, first = rng.rand(n) < 0.5, rng.randint(len(X), size=n)
    second = np.where(same, first, (first + 1 + rng.randint(len(X) - 1, size=n)) % len(X))
    moved = [rng.uniform(0.6, 1) * shift(X[k], rng.uniform(-1, 1, 2), order=1) for k in second]
    return np.stack([X[first], np.array(moved)], axis=1), same


def test_two_channels_before_siamese_before_correlation():
    """The order of the paper, by its measure, on images that were not trained on."""
    X = load_digits().images
    pairs, same = moved_pairs(X[:1000], 2500, 0)
    unseen, truth = moved_pairs(X[1000:], 600, 1)
    rates = {}
    for wiring in ("two_channel", "siamese"):
        model = PairNetwork(
            wiring, "convnet", module_params={"channels": (16, 32)}, batch_size=64, lr=2e-3,
            hidden_units=64, max_epochs=8, random_state=0,
        ).fit(pairs, same)  # fmt: skip
        rates[wiring] = fpr_at_tpr(truth, -model.score_pairs(unseen))
    rows = unseen.reshape(len(unseen), 2, -1)
    rows = rows - rows.mean(axis=2, keepdims=True)
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    correlation = fpr_at_tpr(truth, -(rows[:, 0] * rows[:, 1]).sum(axis=1))
    assert rates["two_channel"] < rates["siamese"] < 0.6 * correlation


def test_augment_changes_both_alike():
    seen = []

    def augment(images):
        seen.append(images.shape)
        return images

    pairs, same = image_pairs(60)
    PairNetwork(**QUICK, **IMAGES, augment=augment).fit(pairs, same)
    assert {shape[1:] for shape in seen} == {(2, 8, 8)}


def test_row_numbers_are_the_points():
    pairs, same = vector_pairs()
    points = pairs.reshape(-1, 3)
    numbers = np.arange(len(points)).reshape(-1, 2)
    plain = PairNetwork(**QUICK).fit(pairs, same)
    numbered = PairNetwork(**QUICK, points=points).fit(numbers, same)
    np.testing.assert_array_equal(numbered.score_pairs(numbers), plain.score_pairs(pairs))
    bytes_ = (255 * (image_pairs(40)[0] / 16)).astype(np.uint8)
    scaled = PairNetwork(**QUICK, **IMAGES).fit(bytes_, np.arange(40) % 2)
    assert scaled._inputs.scale == 1 / 255


def test_labels_probabilities_and_weights():
    pairs, same = vector_pairs()
    words = np.where(same, "match", "other")
    model = PairNetwork(**QUICK, pos_label="match").fit(pairs, words)
    assert model.classes_.tolist() == ["match", "other"]
    scores = model.score_pairs(pairs)
    np.testing.assert_array_equal(model.predict(pairs) == "match", scores >= 0)
    np.testing.assert_array_equal(model.decision_function(pairs), -scores)
    probabilities = model.predict_proba(pairs)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    order = np.argsort(scores)
    assert (np.diff(probabilities[order, 0]) >= 0).all()
    # Pairs of weight zero count for nothing; weights are relative.
    weights = np.r_[np.full(60, 3.0), np.zeros(60)]
    weighted = PairNetwork(**QUICK).fit(pairs, same, sample_weight=weights)
    half = PairNetwork(**QUICK).fit(pairs[:60], same[:60])
    np.testing.assert_array_equal(weighted.score_pairs(pairs), half.score_pairs(pairs))


def test_searches_clones_and_pickles():
    pairs, same = vector_pairs()
    model = PairNetwork(**QUICK)
    search = GridSearchCV(model, {"wiring": VECTORS}, cv=2).fit(pairs, same)
    assert search.best_params_["wiring"] in VECTORS
    assert len(cross_val_score(model, pairs, same, cv=2, scoring="roc_auc")) == 2
    again = pickle.loads(pickle.dumps(clone(model).fit(pairs, same)))
    np.testing.assert_array_equal(
        again.score_pairs(pairs), clone(model).fit(pairs, same).score_pairs(pairs)
    )
    assert [row["epoch"] for row in again.history_] == [1, 2, 3]


@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("whole", [True, False], ids=["folder", "file"])
def test_saved_and_loaded(wiring, whole, tmp_path):
    model, pairs, _ = fitted(wiring)
    if whole:
        metriclearn.save(model, tmp_path / "model")
        again = metriclearn.load(tmp_path / "model")
    else:
        model.save(tmp_path / "file")
        again = PairNetwork.load(tmp_path / "file")
    assert type(again) is PairNetwork
    np.testing.assert_array_equal(again.predict_proba(pairs), model.predict_proba(pairs))
    np.testing.assert_array_equal(again.classes_, model.classes_)
    assert again.pos_label_ == model.pos_label_


def test_saved_with_points_and_damaged(tmp_path):
    pairs, same = vector_pairs()
    points, numbers = pairs.reshape(-1, 3), np.arange(240).reshape(-1, 2)
    model = PairNetwork(**QUICK, points=points).fit(numbers, same)
    path = tmp_path / "file"
    model.save(path)
    again = PairNetwork.load(path)
    np.testing.assert_array_equal(again.points, points)
    np.testing.assert_array_equal(again.score_pairs(numbers), model.score_pairs(numbers))
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        PairNetwork.load(path)
    model.save(path)
    with pytest.raises(ValueError, match=r"is not a metriclearn\.DeepEmbedder"):
        metriclearn.deep.DeepEmbedder.load(path)
    with pytest.raises(ValueError, match="give module by name"):
        PairNetwork(module=torch.nn.Linear(6, 2), **QUICK).fit(pairs, same).save(path)


def test_sparse_pairs_are_named():
    with pytest.raises(TypeError, match="X is sparse, but tuples of points are dense"):
        PairNetwork(**QUICK).fit(csr_array(np.eye(4)), [0, 1, 0, 1])


@pytest.mark.parametrize(
    ("arguments", "X", "y", "message"),
    [
        ({}, np.ones((4, 3, 2)), [0, 1, 0, 1], r"shape \(n, 2, n_features\)"),
        ({}, np.ones((4, 2)), [0, 1, 0, 1], "or row numbers"),
        ({}, np.full((4, 2, 2), np.nan), [0, 1, 0, 1], "NaN"),
        ({}, np.ones((4, 2, 2)), [1, 1, 1, 1], "y must hold two values"),
        ({}, np.ones((4, 2, 2)), [0, 1, 2, 2], "Only binary classification is supported"),
        ({}, np.ones((4, 2, 2)), [0.5, 1.25, 2, 3], "continuous"),
        ({}, np.ones((4, 2, 0)), [0, 1, 0, 1], r"0 feature\(s\)"),
        ({}, np.ones((4, 2, 2)), [0, 1], "inconsistent numbers"),
        ({}, np.ones((4, 2, 2)), ["a", "b", "a", "b"], "name the one of similar pairs"),
        ({"points": np.ones((3, 2))}, np.array([[0, 3]]), [1], "X names row 3"),
        ({"points": np.ones((3, 2))}, np.array([[0.5, 1]]), [1], "must hold row numbers"),
        ({"wiring": "triamese"}, np.ones((4, 2, 2)), [0, 1, 0, 1], "wiring"),
        ({"wiring": "central_surround"}, np.ones((4, 2, 2)), [0, 1, 0, 1], "takes images"),
        ({"module": "convnet"}, np.ones((4, 2, 2)), [0, 1, 0, 1], "takes images"),
        ({"module": "nothing"}, np.ones((4, 2, 2)), [0, 1, 0, 1], "module"),
        ({"augment": "affine"}, np.ones((4, 2, 2)), [0, 1, 0, 1], "takes images"),
    ],
)
def test_one_error(arguments, X, y, message):
    with pytest.raises(ValueError, match=message):
        PairNetwork(**{**QUICK, **arguments}).fit(X, y)


# A search put in order --------------------------------------------------------------------------


def test_a_search_is_put_in_the_order_of_the_scores():
    model, pairs, _ = fitted("two_channel")
    gallery, queries = pairs[:, 0], pairs[:7, 1]
    ids = np.arange(len(gallery))[::-1] + 100
    index = RetrievalIndex()
    index.add(gallery, ids=ids)
    distances, plain = index.search(queries, 10)
    ordered, found = index.search(queries, 10, rerank=model.reranker(gallery, ids))
    np.testing.assert_array_equal(np.sort(found, axis=1), np.sort(plain, axis=1))
    for query, row, near, before, far in zip(
        queries, found, ordered, plain, distances, strict=True
    ):
        rows = gallery[219 - row]
        scores = model.score_pairs(np.stack([np.broadcast_to(query, rows.shape), rows], axis=1))
        assert (np.diff(scores) <= 1e-6).all()
        np.testing.assert_array_equal(near, far[[before.tolist().index(i) for i in row]])


def test_rows_that_are_too_far_stay_nobody():
    index = RetrievalIndex()
    index.add(np.arange(5.0)[:, None])
    distances, ids = index.search(
        [[0.0]], 5, max_distance=2.5, rerank=lambda X, ids: ids.astype(float)
    )
    assert ids.tolist() == [[2, 1, 0, -1, -1]]
    assert distances.tolist() == [[2.0, 1.0, 0.0, np.inf, np.inf]]


@pytest.mark.parametrize(
    ("rerank", "message"),
    [
        (lambda X, ids: np.zeros(3), "scores of shape"),
        (lambda X, ids: np.full(ids.shape, np.nan), "finite scores"),
        (0, "integer of at least 1, or a function"),
    ],
)
def test_a_wrong_rerank_is_one_error(rerank, message):
    index = RetrievalIndex()
    index.add(np.arange(5.0)[:, None])
    with pytest.raises(ValueError, match=message):
        index.search([[0.0]], 2, rerank=rerank)


def test_a_gallery_without_a_found_row_is_one_error():
    model, pairs, _ = fitted("siamese")
    index = RetrievalIndex()
    index.add(pairs[:, 0])
    with pytest.raises(ValueError, match="not in the gallery of the reranker"):
        index.search(pairs[:3, 1], 5, rerank=model.reranker(pairs[:4, 0]))


@pytest.mark.parametrize("wiring", VECTORS)
def test_a_pair_left_over_joins_the_batch_before(wiring):
    pairs, same = vector_pairs(33)
    sizes = []

    def note(module, given):
        if isinstance(module, WeightedHinge):
            sizes.append(len(given[0]))

    hook = torch.nn.modules.module.register_module_forward_pre_hook(note)
    try:
        PairNetwork(wiring, **QUICK, batch_size=16).fit(pairs, same)
    finally:
        hook.remove()
    assert sizes == [16, 17] * 3


class TurnedRows(PairNetwork):
    """A row and itself backwards as a pair, so that scikit-learn's checks of rows can fit it."""

    def _check_pairs(self, X, reset=False):
        X = validate_data(self, X, reset=reset)
        return super()._check_pairs(np.stack([X, X[:, ::-1]], axis=1), reset)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = True, False
        return tags


ASKS_WHICH = "of labels such as words or 1 and 2, which means the same has to be said: pos_label"
NOT_OF_ROWS = {
    "check_classifier_data_not_an_array": ASKS_WHICH,
    "check_classifiers_classes": ASKS_WHICH,
    "check_classifiers_train": ASKS_WHICH,
    "check_fit2d_1feature": ASKS_WHICH,
    "check_estimators_dtypes": ASKS_WHICH,
    "check_sample_weights_not_an_array": ASKS_WHICH,
    "check_sample_weights_not_overwritten": ASKS_WHICH,
    "check_sample_weights_pandas_series": ASKS_WHICH,
    "check_sample_weights_shape": ASKS_WHICH,
    "check_methods_subset_invariance": "float32: a row alone differs by 3e-7",
    "check_sample_weight_equivalence_on_dense_data": "batches are drawn from the rows as given",
    "check_supervised_y_2d": "labels of one column are read as labels, without a warning",
}


@pytest.mark.slow
@parametrize_with_checks(
    [TurnedRows(**QUICK, n_components=8)], expected_failed_checks=lambda estimator: NOT_OF_ROWS
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_parts_are_set_one_by_one(rng):
    pairs, same = rng.randn(40, 2, 3).astype(np.float32), np.arange(40) % 2 == 0
    model = PairNetwork(max_epochs=1, hidden_units=4, random_state=0)
    grid = {"module__hidden_units": [4, 9], "head__normalize": [True]}
    found = GridSearchCV(model, grid, cv=2).fit(pairs, same).best_params_
    assert clone(model.set_params(**found)).get_params()["head__normalize"] is True
    with pytest.raises(ValueError, match="module_params has 'width'"):
        model.set_params(module__width=3)
