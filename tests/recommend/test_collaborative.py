"""Collaborative metric learning: its loss by loops, its vectors by what was planted."""

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import check_grad
from sklearn.base import clone
from sklearn.neighbors import KNeighborsRegressor
from sklearn.utils.estimator_checks import parametrize_with_checks

from metriclearn.recommend import CollaborativeMetric, hit_rate, ndcg
from metriclearn.recommend._objective import (
    AdaGrad,
    Interactions,
    collaborative_loss,
    covariance_penalty,
    into_ball,
)


@parametrize_with_checks([CollaborativeMetric(4, max_epochs=3, random_state=0)])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def tastes():
    """60 users × 40 items; users of each half choose items of that half."""
    rng = np.random.default_rng(0)
    users, items = np.repeat([0, 1], 30), np.repeat([0, 1], 20)
    X = rng.random((60, 40)) < np.where(users[:, None] == items, 0.4, 0.03)
    return X.astype(float), users, items


@pytest.fixture(scope="module")
def fitted(tastes):
    return CollaborativeMetric(8, n_negatives=2, random_state=0).fit(tastes[0])


def by_loops(users, items, negatives, margin, n_items):
    losses = []
    for u, v, ks in zip(users, items, negatives, strict=True):
        positive = ((u - v) ** 2).sum()
        away = [((u - k) ** 2).sum() for k in ks]
        impostors = sum(margin + positive - a > 0 for a in away)
        weight = np.log(1 + n_items * impostors // len(ks))
        losses.append(weight * max(0.0, margin + positive - min(away)))
    return losses


@pytest.mark.parametrize("margin", [0.1, 1.5])
def test_loss_is_that_of_loops(rng, margin):
    users, items, negatives = rng.randn(9, 3), rng.randn(9, 3), rng.randn(9, 5, 3)
    losses = collaborative_loss(users, items, negatives, margin, 100)[0]
    assert np.allclose(losses, by_loops(users, items, negatives, margin, 100), rtol=1e-12)
    assert (losses == 0).any() == (margin == 0.1)


def test_gradients_are_those_of_finite_differences(rng):
    """With the weights, which count, held fixed: they are steps."""
    users, items, negatives = rng.randn(6, 3), rng.randn(6, 3), rng.randn(6, 5, 3)
    losses, of_users, of_items, of_nearest, nearest = collaborative_loss(
        users, items, negatives, 1.5, 50
    )
    assert (losses > 0).any()

    def total(users, items, negatives):
        return collaborative_loss(users, items, negatives, 1.5, 50)[0].sum()

    def move(name, x):
        given = {"users": users, "items": items, "negatives": negatives}
        return total(**{**given, name: x.reshape(given[name].shape)})

    assert check_grad(lambda x: move("users", x), lambda x: of_users.ravel(), users.ravel()) < 1e-5
    assert check_grad(lambda x: move("items", x), lambda x: of_items.ravel(), items.ravel()) < 1e-5
    whole = np.zeros_like(negatives)
    whole[np.arange(6), nearest] = of_nearest
    slope = whole.ravel()
    assert check_grad(lambda x: move("negatives", x), lambda x: slope, negatives.ravel()) < 1e-5


def test_covariance_penalty_is_that_of_its_definition(rng):
    vectors = rng.randn(20, 4)
    value, slope = covariance_penalty(vectors)
    covariance = np.cov(vectors.T, bias=True)
    assert value == pytest.approx(((covariance**2).sum() - (np.diag(covariance) ** 2).sum()) / 20)
    error = check_grad(
        lambda x: covariance_penalty(x.reshape(20, 4))[0], lambda x: slope.ravel(), vectors.ravel()
    )
    assert error < 1e-6


def test_steps_stay_in_the_ball_and_add_up_repeated_rows(rng):
    vectors = into_ball(rng.randn(5, 3))
    steps, before = AdaGrad(vectors, 0.5), vectors.copy()
    gradients = rng.randn(4, 3)
    steps.step(np.array([1, 3, 1, 1]), gradients)
    assert np.linalg.norm(vectors, axis=1).max() <= 1 + 1e-12
    assert np.array_equal(vectors[[0, 2, 4]], before[[0, 2, 4]])
    total = gradients[[0, 2, 3]].sum(axis=0)
    expected = into_ball((before[1] - 0.5 * total / np.sqrt(0.1 + total**2))[None])
    assert np.allclose(vectors[1], expected)


def test_negatives_are_never_items_that_a_user_chose(tastes, rng):
    interactions = Interactions(sparse.csr_array(tastes[0]))
    users = rng.randint(60, size=500)
    drawn = interactions.draw_negatives(users, 7, rng)
    assert drawn.shape == (500, 7)
    assert not tastes[0][users[:, None], drawn].any()
    counts = np.bincount(drawn.ravel(), minlength=40)
    assert counts.min() > 0.5 * counts.mean()


@pytest.mark.parametrize("n_left", [1, 2, 5])
def test_negatives_of_users_that_chose_nearly_everything_are_the_rest(n_left, rng):
    """Each of the items left as often as any other, however few they are."""
    X = np.ones((7, 200))
    for user in range(6):  # the last one chose every item
        X[user, rng.permutation(200)[:n_left]] = 0
    X[2] = 0
    interactions = Interactions(sparse.csr_array(X))
    users = np.repeat(np.arange(6), 400)
    drawn = interactions.draw_negatives(users, 5, rng)
    assert not X[users[:, None], drawn].any()
    for user in (0, 1, 5):
        counts = np.bincount(drawn[users == user].ravel(), minlength=200)[X[user] == 0]
        assert counts.sum() == 2000
        assert counts.min() > 0.8 * 2000 / n_left
    ranks = np.arange(n_left)
    for user in (0, 1, 5):
        found = interactions.unchosen(np.full(n_left, user), ranks)
        assert np.array_equal(found, np.flatnonzero(X[user] == 0))


def test_planted_tastes_are_found(fitted, tastes):
    X, users, items = tastes
    found = fitted.recommend(k=5)
    assert (items[found] == users[:, None]).mean() > 0.9
    assert not X[np.arange(60)[:, None], found].any()
    assert np.linalg.norm(fitted.item_embeddings_, axis=1).max() <= 1 + 1e-9


def test_new_users_are_placed_like_those_of_the_fit(fitted, tastes):
    items = tastes[2]
    rng = np.random.default_rng(1)
    new = (rng.random((20, 40)) < np.where(np.repeat([0, 1], 10)[:, None] == items, 0.3, 0)) * 1.0
    found = fitted.recommend(new, k=5)
    assert (items[found] == np.repeat([0, 1], 10)[:, None]).mean() > 0.9
    twice = fitted.transform(np.vstack([new[:1], new[5:6], new[:1]]))
    assert np.array_equal(twice[0], twice[2])
    assert np.array_equal(fitted.transform(sparse.csr_array(new)), fitted.transform(new))
    assert np.array_equal(fitted.transform(new)[3:4], fitted.transform(new[3:4]))
    assert not fitted.transform(np.zeros((1, 40))).any()


def test_seen_items_come_back_where_they_are_wanted(fitted, tastes):
    X = tastes[0]
    distances, items = fitted.recommend(k=40, exclude_seen=False, return_distance=True)
    assert np.array_equal(np.sort(items, axis=1), np.tile(np.arange(40), (60, 1)))
    assert (np.diff(distances, axis=1) >= 0).all()
    distances, items = fitted.recommend(k=40, return_distance=True)
    assert ((items == -1).sum(axis=1) == X.sum(axis=1)).all()
    assert np.isinf(distances[items == -1]).all()


def test_ranks_agree_with_the_list(fitted):
    items = fitted.recommend(k=7)
    for place in (0, 6):
        ranks = fitted.rank_items(np.arange(60), items[:, place])
        assert (ranks == place + 1).all()
    assert hit_rate(ranks, k=7) == 1
    assert ndcg(ranks, k=7) == pytest.approx(1 / np.log2(8))


def test_items_nobody_chose_are_placed_by_their_features(tastes):
    X, users, items = tastes
    new = np.arange(40) % 5 == 0
    features = np.eye(2)[items] + 0.01 * np.random.default_rng(0).normal(size=(40, 2))
    for model in (None, KNeighborsRegressor(3)):
        known = CollaborativeMetric(4, item_model=model, item_weight=0.3, random_state=0)
        known.fit(X[:, ~new], item_features=features[~new])
        placed = known.embed_items(features[new])
        apart = ((known.user_embeddings_[:, None] - placed) ** 2).sum(axis=2)
        same = users[:, None] == items[new]
        assert apart[same].mean() < apart[~same].mean()
    with pytest.raises(ValueError, match="needs a fit with item_features"):
        CollaborativeMetric(4, max_epochs=1).fit(X).embed_items(features)


def test_same_seed_same_vectors_and_earlier_ones_do_not_matter(tastes):
    X = tastes[0]
    model = CollaborativeMetric(4, max_epochs=3, covariance=0.1, random_state=3)
    first = model.fit(X).item_embeddings_
    assert np.array_equal(clone(model).fit(sparse.csr_array(X * 5)).item_embeddings_, first)
    assert np.array_equal(model.fit(X).item_embeddings_, first)


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.csr_matrix, sparse.coo_array])
def test_sparse_rows_stay_as_they_are(tastes, kind):
    """Zeros that are stored, entries given twice, and arrays that cannot be written to."""
    users, items = np.nonzero(tastes[0])
    rows, columns = np.r_[users, users[:5], 0, 1], np.r_[items, items[:5], 39, 39]
    values = np.r_[np.ones(len(users) + 5), 0.0, 0.0]
    X = sparse.coo_array((values, (rows, columns)), shape=tastes[0].shape)
    if kind is not sparse.coo_array:
        order = np.lexsort((columns, rows))
        starts = np.searchsorted(rows[order], np.arange(len(tastes[0]) + 1))
        X = kind((values[order], columns[order], starts), shape=X.shape)
    X.data.setflags(write=False)
    model = CollaborativeMetric(4, max_epochs=2, random_state=0).fit(X)
    assert X.nnz == len(users) + 7
    expected = clone(model).fit(tastes[0])
    assert np.array_equal(model.item_embeddings_, expected.item_embeddings_)
    assert np.array_equal(model.recommend(X, 40), expected.recommend(tastes[0], 40))


def test_fit_without_features_forgets_those_before(tastes):
    X = tastes[0]
    model = CollaborativeMetric(4, max_epochs=2, random_state=0).fit(X, item_features=X.T)
    with pytest.raises(ValueError, match="needs a fit with item_features"):
        model.fit(X).embed_items(X.T)


def test_early_stopping_finds_an_epoch_and_fits_all_pairs(tastes):
    model = CollaborativeMetric(
        4, max_epochs=30, patience=2, early_stopping=True, random_state=0
    ).fit(tastes[0])
    assert model.n_epochs_ == len(model.loss_curve_) < 30


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, X: m.fit(-X), "Negative values"),
        (lambda m, X: m.fit(0 * X), "no user chose anything"),
        (lambda m, X: m.fit(0 * X + 1), "every user chose every item"),
        (lambda m, X: m.fit(X, item_features=X), "item_features has 60 rows, but X has 40 items"),
        (lambda m, X: m.fit(X).recommend(k=41), "k must be from 1 to 40"),
        (lambda m, X: m.fit(X).recommend(k=0), "k must be an integer of at least 1, got 0"),
        (lambda m, X: m.set_params(margin=0).fit(X), "margin"),
        (lambda m, X: m.set_params(early_stopping=True).fit(np.eye(5)), "no user has three items"),
        (lambda m, X: hit_rate([0, 1]), "from 1"),
        (lambda m, X: ndcg([1], k=0), "k must be an integer of at least 1"),
        (lambda m, X: hit_rate([1, 3], k=2.5), "k must be an integer of at least 1"),
        (lambda m, X: m.fit(X).recommend(k=0), "k must be an integer of at least 1"),
        (lambda m, X: m.fit(X).recommend(k=2.5), "k must be an integer of at least 1"),
        (lambda m, X: m.fit(X).rank_items([-1], [0]), "users has -1, but .* from 0 to 59"),
        (lambda m, X: m.fit(X).rank_items([0], [40]), "items has 40, but .* from 0 to 39"),
        (lambda m, X: m.fit(X).rank_items([0.5], [0]), "users must be integers"),
        (lambda m, X: m.fit(X).rank_items([0, 1], [0]), "inconsistent numbers of samples"),
        (
            lambda m, X: m.fit(X, item_features=X.T).embed_items(X),
            "item_features has 40 columns, but the fit had 60",
        ),
    ],
)
def test_bad_input_is_named(tastes, call, message):
    with pytest.raises(ValueError, match=message):
        call(CollaborativeMetric(2, max_epochs=1), tastes[0])
