"""Constraints: what they refuse, and that drawing them from labels is right and repeatable."""

import tracemalloc

import numpy as np
import pytest

from metriclearn.constraints import (
    Chunks,
    Pairs,
    Quadruplets,
    Triplets,
    check_constraints,
    chunks_from_labels,
    constraints_from_tuples,
    pairs_from_labels,
    quadruplets_from_labels,
    triplets_from_labels,
)

DRAWS = [
    lambda y, seed: pairs_from_labels(y, n_pairs=30, random_state=seed).indices,
    lambda y, seed: triplets_from_labels(y, n_triplets=40, random_state=seed).indices,
    lambda y, seed: quadruplets_from_labels(y, n_quadruplets=30, random_state=seed).indices,
    lambda y, seed: chunks_from_labels(y, n_chunks=5, random_state=seed).labels,
]
NAMES = ["pairs", "triplets", "quadruplets", "chunks"]


@pytest.fixture
def labels():
    return np.random.RandomState(3).choice([0, 1, 2], size=60, p=[0.7, 0.2, 0.1])


@pytest.mark.parametrize("draw", DRAWS, ids=NAMES)
def test_same_seed_same_constraints(draw, labels):
    np.testing.assert_array_equal(draw(labels, 0), draw(labels, 0))
    assert not np.array_equal(draw(labels, 0), draw(labels, 1))


@pytest.mark.parametrize("draw", DRAWS, ids=NAMES)
def test_names_of_classes_do_not_matter(draw, labels):
    names = np.array(["ant", "bee", "cat"])[labels]
    np.testing.assert_array_equal(draw(names, 0), draw(labels, 0))


@pytest.mark.parametrize("n_pairs", [5, 30, 10_000])
def test_pairs_agree_with_the_labels_and_are_distinct(labels, n_pairs):
    pairs = pairs_from_labels(labels, n_pairs=n_pairs, random_state=0)
    first, second = pairs.indices.T
    np.testing.assert_array_equal(labels[first] == labels[second], pairs.similar)
    assert np.all(first < second)
    assert len(np.unique(pairs.indices, axis=0)) == len(pairs)
    assert max(pairs.similar.sum(), (~pairs.similar).sum()) <= n_pairs


def test_all_pairs_are_found_where_all_are_asked_for(labels):
    assert len(pairs_from_labels(labels, n_pairs=10_000)) == 60 * 59 // 2


def test_pairs_of_each_kind_are_balanced_on_many_rows():
    y = np.random.RandomState(0).randint(4, size=5000)
    pairs = pairs_from_labels(y, random_state=0)
    assert pairs.similar.sum() == (~pairs.similar).sum() == 20 * 4**2


@pytest.mark.parametrize("by_neighbors", [False, True])
def test_triplets_agree_with_the_labels(labels, rng, by_neighbors):
    X = rng.randn(60, 3) if by_neighbors else None
    anchor, positive, negative = triplets_from_labels(labels, X, random_state=0).indices.T
    assert np.all(labels[anchor] == labels[positive])
    assert np.all(anchor != positive)
    assert np.all(labels[anchor] != labels[negative])
    assert set(anchor) == set(range(60))


def test_random_triplets_reach_every_candidate():
    triplets = triplets_from_labels([0, 0, 0, 1, 1], n_positives=50, n_negatives=50, random_state=0)
    expected = {
        (a, p, n)
        for group, others in (((0, 1, 2), (3, 4)), ((3, 4), (0, 1, 2)))
        for a in group
        for p in group
        for n in others
        if a != p
    }
    assert {tuple(row) for row in triplets.indices.tolist()} == expected
    assert len(triplets) == len(expected)


def test_triplets_by_neighbors_are_the_nearest(labels, rng):
    X = rng.randn(60, 3)
    triplets = triplets_from_labels(labels, X, n_positives=2, n_negatives=4).indices
    distance = np.linalg.norm(X[:, None] - X, axis=2)
    np.fill_diagonal(distance, np.inf)
    for row in range(60):
        order = np.argsort(distance[row])
        own = [j for j in order if labels[j] == labels[row]][:2]
        others = [j for j in order if labels[j] != labels[row]][:4]
        found = triplets[triplets[:, 0] == row]
        assert sorted(map(tuple, found[:, 1:])) == sorted((p, n) for p in own for n in others)


def test_small_classes_give_the_triplets_they_have():
    triplets = triplets_from_labels([0, 0, 1], np.array([[0.0], [1.0], [2.0]]))
    np.testing.assert_array_equal(triplets.indices, [[0, 1, 2], [1, 0, 2]])


def test_number_of_triplets_is_a_subset(labels):
    every = triplets_from_labels(labels, random_state=0).indices
    some = triplets_from_labels(labels, n_triplets=10, random_state=0).indices
    assert len(some) == 10
    assert {tuple(row) for row in some} <= {tuple(row) for row in every}


@pytest.mark.parametrize("n_quadruplets", [7, 10_000])
def test_quadruplets_agree_with_the_labels(labels, n_quadruplets):
    quadruplets = quadruplets_from_labels(labels, n_quadruplets=n_quadruplets, random_state=0)
    i, j, k, l = quadruplets.indices.T
    assert np.all(labels[i] == labels[j])
    assert np.all(labels[k] != labels[l])
    assert len(np.unique(quadruplets.indices, axis=0)) == len(quadruplets)
    assert len(quadruplets) <= n_quadruplets


def test_chunks_hold_rows_of_one_class(labels):
    chunks = chunks_from_labels(labels, n_chunks=8, chunk_size=3, random_state=0).labels
    for chunk in range(8):
        rows = np.flatnonzero(chunks == chunk)
        assert len(rows) == 3
        assert len(set(labels[rows])) == 1
    assert np.sum(chunks == -1) == 60 - 24


def test_chunks_are_as_many_as_fit():
    assert len(chunks_from_labels([0, 0, 0, 1, 1], n_chunks=100, random_state=0)) == 2


@pytest.mark.parametrize(
    "call",
    [
        lambda: triplets_from_labels([0, 0, 0]),
        lambda: triplets_from_labels([0, 1, 2]),
        lambda: quadruplets_from_labels([0, 0, 0]),
        lambda: quadruplets_from_labels([0, 1, 2]),
    ],
)
def test_labels_without_a_constraint_are_refused(call):
    with pytest.raises(ValueError, match="two classes or more, and a class of two rows"):
        call()


@pytest.mark.parametrize(
    "draw",
    [pairs_from_labels, triplets_from_labels, quadruplets_from_labels, chunks_from_labels],
)
@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([], r"y must hold one label for each row, got shape \(0,\)"),
        ([[0], [1]], r"y must hold one label for each row, got shape \(2, 1\)"),
        ([0.0, np.nan, 1.0], "y contains NaN"),
    ],
)
def test_what_are_no_labels_is_one_clear_error(draw, y, message):
    with pytest.raises(ValueError, match=message):
        draw(y)


@pytest.mark.parametrize(
    ("draw", "name"),
    [
        (pairs_from_labels, "n_pairs"),
        (triplets_from_labels, "n_positives"),
        (triplets_from_labels, "n_negatives"),
        (triplets_from_labels, "n_triplets"),
        (quadruplets_from_labels, "n_quadruplets"),
        (chunks_from_labels, "n_chunks"),
        (chunks_from_labels, "chunk_size"),
    ],
)
@pytest.mark.parametrize("number", [0, -1, 2.5])
def test_numbers_to_draw_are_checked(labels, draw, name, number):
    with pytest.raises(ValueError, match=f"{name} must be an integer of at least 1, got {number}"):
        draw(labels, **{name: number})


@pytest.mark.parametrize(
    ("X", "message"),
    [(np.ones((5, 2)), "X has 5 rows for 60 labels"), (np.full((60, 2), np.nan), "X contains NaN")],
)
def test_rows_to_draw_near_ones_from_are_checked(labels, X, message):
    with pytest.raises(ValueError, match=message):
        triplets_from_labels(labels, X)


def test_chunks_larger_than_every_class_are_refused():
    with pytest.raises(ValueError, match="chunk_size=3: no class has that many rows"):
        chunks_from_labels([0, 0, 1, 1], n_chunks=2, chunk_size=3)


@pytest.mark.parametrize(("width", "kind"), [(2, Pairs), (3, Triplets), (4, Quadruplets)])
def test_tuples_of_points_come_back_as_rows(rng, width, kind):
    points = rng.randint(3, size=(20, width, 2)).astype(float)
    points[:, 0] += 10  # so that no pair is made of the same two points in two ways
    similar = np.ones(20, dtype=bool) if width == 2 else None
    X, constraints = constraints_from_tuples(points, similar, weights=np.arange(20))
    assert isinstance(constraints, kind)
    np.testing.assert_array_equal(X[constraints.indices], points)
    assert len(np.unique(X, axis=0)) == len(X)
    np.testing.assert_array_equal(constraints.weights, np.arange(20))


@pytest.mark.parametrize(
    ("tuples", "similar", "message"),
    [
        (np.zeros((3, 5, 2)), None, r"got \(3, 5, 2\)"),
        (np.zeros((3, 2)), None, r"got \(3, 2\)"),
        (np.zeros((3, 2, 2)), None, "similar is missing"),
        (np.zeros((3, 3, 2)), [1, 0, 1], "tuples of 3 points already say"),
        (np.full((3, 3, 2), np.nan), None, "tuples contains NaN"),
    ],
)
def test_bad_tuples_are_one_clear_error(tuples, similar, message):
    with pytest.raises(ValueError, match=message):
        constraints_from_tuples(tuples, similar)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Pairs([[0, 1, 2]], [True]), r"Pairs: indices must be of shape \(n, 2\)"),
        (lambda: Pairs(np.zeros((0, 2), int), []), "Pairs: indices is empty"),
        (lambda: Pairs([[0.0, 1.0]], [True]), "must be integers"),
        (lambda: Pairs([[-1, 1]], [True]), "row numbers start at 0"),
        (lambda: Pairs([[0, 1]], [True, False]), r"similar must be of shape \(1,\)"),
        (lambda: Pairs([[0, 1]], [2]), "True/False, 1/0 or 1/-1"),
        (lambda: Pairs([[0, 1], [1, 2]], [0, -1]), "True/False, 1/0 or 1/-1"),
        (lambda: Pairs([[0, 1], [1, 2], [2, 3]], [1, 0, -1]), "True/False, 1/0 or 1/-1"),
        (lambda: Pairs([[0, 1]], [1], n_rows=1), "names row 1, but n_rows=1"),
        (lambda: Pairs([["a", "b"]], [1]), r"must be integers, .* Pairs.from_frame\(frame, ids\)"),
        (lambda: Triplets([[1, 2, 2]]), "has its positive as its negative"),
        (lambda: Triplets([[3, 3, 3]]), r"constraint 0, \(3, 3, 3\)"),
        (
            lambda: Triplets([[1, 2, 1], [3, 4, 3]]),
            "has its anchor as its negative.*and 1 more like it",
        ),
        (lambda: Triplets([[0, 1]]), r"Triplets: indices must be of shape \(n, 3\)"),
        (lambda: Triplets([[0, 1, 2]], weights=[-1.0]), "not negative"),
        (lambda: Triplets([[0, 1, 2]], weights=[1.0, 2.0]), r"weights must be of shape \(1,\)"),
        (lambda: Quadruplets([[0, 1, 2]]), r"Quadruplets: indices must be of shape \(n, 4\)"),
        (lambda: Chunks([-1, -1]), "no row is in a chunk"),
        (lambda: Chunks([0.5, 1.0]), "1-D array of integers"),
    ],
)
def test_impossible_constraints_are_one_clear_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_rows_and_kinds_are_checked_against_the_learner():
    with pytest.raises(ValueError, match="Pairs names row 7, but X has 5 rows"):
        check_constraints(Pairs([[0, 7]], [True]), (Pairs,), 5, "ITML")
    with pytest.raises(ValueError, match="ITML takes Pairs, got Triplets"):
        check_constraints(Triplets([[0, 1, 2]]), (Pairs,), 5, "ITML")
    with pytest.raises(ValueError, match="Chunks has 2 labels, but X has 5 rows"):
        check_constraints(Chunks([0, 0]), (Chunks,), 5, "RCA")


@pytest.mark.parametrize(
    ("constraints", "text"),
    [
        (Pairs([[0, 1], [0, 2], [3, 4]], [1, 0, 0]), "Pairs(1 similar, 2 dissimilar)"),
        (Pairs([[0, 1]], [1], [2.0]), "Pairs(1 similar, 0 dissimilar, weighted)"),
        (Triplets(np.tile([0, 1, 2], (5126, 1))), "Triplets(5,126 constraints)"),
        (Quadruplets([[0, 1, 2, 3]], [0.5]), "Quadruplets(1 constraints, weighted)"),
        (Chunks([0, 0, -1, 1, 1]), "Chunks(2 chunks, 4 rows in them)"),
    ],
)
def test_constraints_are_shown_by_number(constraints, text):
    assert repr(constraints) == text


def every_kind(y):
    return [
        pairs_from_labels(y, n_pairs=60, random_state=0),
        triplets_from_labels(y, n_triplets=60, random_state=0),
        quadruplets_from_labels(y, n_quadruplets=60, random_state=0),
    ]


@pytest.mark.parametrize("number", [0, 1, 2], ids=["Pairs", "Triplets", "Quadruplets"])
@pytest.mark.parametrize(
    "rows",
    [slice(10, 50), np.arange(59, 5, -2), np.arange(60) % 3 > 0],
    ids=["slice", "numbers", "mask"],
)
def test_a_part_holds_the_constraints_with_all_rows_inside(labels, number, rows):
    constraints = every_kind(labels)[number].of(60)
    kept = np.arange(60)[rows]
    part = constraints[rows]
    # Back in the numbers of all rows: those of the whole that name no other row.
    inside = np.all(np.isin(constraints.indices, kept), axis=1)
    np.testing.assert_array_equal(kept[part.indices], constraints.indices[inside])
    assert part.n_rows == len(kept)
    assert f"of {len(constraints)} those inside {len(kept)} rows" in repr(part)
    if number == 0:
        np.testing.assert_array_equal(part.similar, constraints.similar[inside])


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ([0, 1, 0], ValueError, "cannot be sampled with repeated rows"),
        ([50], ValueError, "none of the 60 Triplets has all its rows among the 1"),
        (3, TypeError, r"one constraint is triplets.indices\[i\]"),
    ],
)
def test_parts_that_cannot_be_are_refused(labels, rows, error, message):
    with pytest.raises(error, match=message):
        every_kind(labels)[1].of(60)[rows]


def test_names_of_rows_become_row_numbers():
    pandas = pytest.importorskip("pandas")
    ids = np.array(["x9", "x1", "x5", "x7"], dtype=object)
    frame = pandas.DataFrame(
        {"a": ["x1", "x9"], "b": ["x7", "x5"], "judged": ["match", "no match"], "votes": [3, 1]}
    )
    pairs = Pairs.from_frame(frame, ids, weights="votes", pos_label="match")
    np.testing.assert_array_equal(pairs.indices, [[1, 3], [0, 2]])
    np.testing.assert_array_equal(pairs.similar, [True, False])
    np.testing.assert_array_equal(pairs.weights, [3, 1])
    assert pairs.n_rows == 4
    three = pandas.DataFrame({"n": ["x5"], "p": ["x1"], "a": ["x9"]})
    triplets = Triplets.from_frame(three, ids, columns=["a", "p", "n"])
    np.testing.assert_array_equal(triplets.indices, [[0, 1, 2]])
    four = pandas.DataFrame([[10, 20, 30, 10]])
    quadruplets = Quadruplets.from_frame(four, pandas.Series([10, 20, 30]))
    np.testing.assert_array_equal(quadruplets.indices, [[0, 1, 2, 0]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pos_label": None}, r"frame\['judged'\] must hold True/False.*pos_label="),
        ({"ids": ["x1", "x9", "x5"]}, "frame: row 0 names 'x7', which is not in ids"),
        ({"ids": ["x1", "x9", "x9", "x7", "x5"]}, "ids: 'x9' comes twice"),
        ({"columns": ["a", "c"]}, "columns: 'c' is not in the frame"),
        ({"columns": ["a"]}, "columns must be 2 column names"),
    ],
)
def test_frames_that_cannot_be_read_are_one_clear_error(change, message):
    pandas = pytest.importorskip("pandas")
    given = {
        "frame": pandas.DataFrame(
            {"a": ["x1", "x9"], "b": ["x7", "x5"], "judged": ["match", "no match"]}
        ),
        "ids": ["x9", "x1", "x5", "x7"],
        "pos_label": "match",
        **change,
    }
    with pytest.raises(ValueError, match=message):
        Pairs.from_frame(given.pop("frame"), given.pop("ids"), **given)


@pytest.mark.parametrize("draw", DRAWS, ids=NAMES)
def test_rows_labeled_minus_one_are_never_drawn(draw, labels):
    hidden = np.random.RandomState(0).rand(60) < 0.4
    drawn = draw(np.where(hidden, -1, labels), 0)
    expected = draw(labels[~hidden], 0)
    if drawn.ndim == 1:  # chunks
        np.testing.assert_array_equal(drawn[~hidden], expected)
        assert np.all(drawn[hidden] == -1)
    else:
        np.testing.assert_array_equal(drawn, np.flatnonzero(~hidden)[expected])


def test_only_unlabeled_rows_are_refused():
    with pytest.raises(ValueError, match="y holds -1 only"):
        pairs_from_labels([-1, -1, -1])


def test_as_many_as_there_are_and_no_more():
    triplets = triplets_from_labels(np.arange(12) % 2, n_negatives=10**6, n_positives=10**6)
    assert len(triplets) == 12 * 5 * 6


def test_many_classes_take_little_memory():
    y = np.random.RandomState(0).randint(10_000, size=50_000)
    tracemalloc.start()
    pairs = pairs_from_labels(y, random_state=0)
    triplets = triplets_from_labels(y, n_triplets=10_000, random_state=0)
    chunks_from_labels(y, n_chunks=5000, random_state=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(pairs) > 100_000
    assert len(triplets) == 10_000
    assert peak < 300 * 2**20


def test_nullable_integers_are_row_numbers():
    pandas = pytest.importorskip("pandas")
    numbers = pandas.DataFrame([[0, 1], [2, 3]], dtype="Int64")
    np.testing.assert_array_equal(Pairs(numbers, [1, 0]).indices, [[0, 1], [2, 3]])
    with pytest.raises(ValueError, match="indices must be integers"):
        Pairs(numbers.replace(3, pandas.NA), [1, 0])
