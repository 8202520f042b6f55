"""Batch samplers: what is in a batch, what is in an epoch."""

import numpy as np
import pytest
import torch
from sklearn.base import clone

from metriclearn.deep import DeepEmbedder
from metriclearn.deep.samplers import (
    SAMPLERS,
    ClassBalancedSampler,
    FixedTripletSampler,
    HardNegativeSampler,
    HierarchicalSampler,
    NearLabelSampler,
    RandomSampler,
    UnbalancedSampler,
    _mining_samplers,
    as_sampler,
)
from metriclearn.deep.samplers._mining_samplers import nearest_of_other_classes
from metriclearn.metrics import recall_at_k

UNEVEN = np.random.RandomState(0).permutation(
    np.repeat(np.arange(9), [1, 2, 3, 4, 5, 8, 13, 21, 34])
)
EVEN = np.random.RandomState(0).permutation(np.repeat(np.arange(25), 12))
#: They have to be shown the training set first, by `refresh`, and are tested so below.
LOOKING = ("hierarchical", "hard_negatives")
PLAIN = {name: sampler for name, sampler in SAMPLERS.items() if name not in LOOKING}
all_samplers = pytest.mark.parametrize("sampler", PLAIN.values(), ids=PLAIN)
all_codes = pytest.mark.parametrize("codes", [EVEN, UNEVEN], ids=["even", "uneven"])


def epoch(sampler, codes, seed=0):
    return sampler.epoch(codes, np.random.default_rng(seed))


@all_samplers
@all_codes
@pytest.mark.parametrize("batch_size", [4, 10, 16, 64, 1000])
def test_batches_hold_distinct_rows_and_at_least_a_pair(sampler, codes, batch_size):
    batches = epoch(sampler(batch_size), codes)
    assert batches
    for batch in batches:
        assert 2 <= len(np.unique(batch)) == len(batch) <= batch_size + 1
        assert 0 <= batch.min() <= batch.max() < len(codes)


@all_samplers
def test_same_generator_same_batches_and_epochs_differ(sampler):
    for first, second in zip(epoch(sampler(16), EVEN), epoch(sampler(16), EVEN), strict=True):
        np.testing.assert_array_equal(first, second)
    rng = np.random.default_rng(0)
    first, second = sampler(16).epoch(EVEN, rng), sampler(16).epoch(EVEN, rng)
    assert not np.array_equal(first[0], second[0])


@pytest.mark.parametrize(("batch_size", "K", "P"), [(20, 4, 5), (24, 2, 12), (100, 6, 16)])
def test_class_balanced_is_p_times_k(batch_size, K, P):
    batches = epoch(ClassBalancedSampler(batch_size, K), EVEN)
    assert len(batches) == round(len(EVEN) / (P * K))
    for batch in batches:
        counts = np.bincount(EVEN[batch])
        assert np.all((counts == 0) | (counts == K))
        assert np.sum(counts > 0) == P


def test_class_balanced_visits_classes_and_rows_evenly():
    # 15 batches of 5 classes x 4 rows are 3 passes over 25 classes, one over 12 rows.
    drawn = np.concatenate(epoch(ClassBalancedSampler(20, 4), EVEN))
    np.testing.assert_array_equal(np.bincount(EVEN[drawn]), np.full(25, 12))
    np.testing.assert_array_equal(np.bincount(drawn), np.ones(len(EVEN)))


def test_class_balanced_takes_small_classes_whole():
    batches = epoch(ClassBalancedSampler(36, 4), UNEVEN)
    for batch in batches:
        np.testing.assert_array_equal(np.bincount(UNEVEN[batch]), [1, 2, 3, 4, 4, 4, 4, 4, 4])


def test_class_balanced_auto_fills_the_batch_where_classes_are_few():
    codes = np.repeat([0, 1, 2], 50)
    np.testing.assert_array_equal(np.bincount(codes[epoch(ClassBalancedSampler(60), codes)[0]]), 20)
    counts = np.bincount(EVEN[epoch(ClassBalancedSampler(20), EVEN)[0]])
    assert sorted(counts[counts > 0]) == [4] * 5


@pytest.mark.parametrize("sampler", [UnbalancedSampler, RandomSampler])
@all_codes
@pytest.mark.parametrize("batch_size", [2, 7, 13, 90])
def test_every_row_once(sampler, codes, batch_size):
    drawn = np.concatenate(epoch(sampler(batch_size), codes))
    np.testing.assert_array_equal(np.sort(drawn), np.arange(len(codes)))


def test_unbalanced_keeps_rows_of_a_class_together():
    order = np.concatenate(epoch(UnbalancedSampler(12, samples_per_class=3), EVEN))
    groups = EVEN[order].reshape(-1, 3)
    assert np.all(groups == groups[:, :1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ClassBalancedSampler(3), "batch_size=3 cannot hold 2 classes"),
        (lambda: ClassBalancedSampler(10, 6), "batch_size=10 cannot hold 2 classes"),
        (lambda: ClassBalancedSampler(10, 1), "samples_per_class=1 leaves no pair"),
        (lambda: UnbalancedSampler(1), "batch_size=1 cannot hold one pair"),
        (lambda: UnbalancedSampler(8, 0), "samples_per_class=0 must be"),
        (lambda: RandomSampler(1), "batch_size=1 cannot hold one pair"),
        (lambda: HierarchicalSampler(10), "batch_size=10 cannot hold samples_per_class=4"),
        (lambda: HierarchicalSampler(64, 1), "samples_per_class=1 leaves no pair"),
        (lambda: HierarchicalSampler(64, 4, 0), "n_nearest=0 must be at least 1"),
        (lambda: HardNegativeSampler(3), r"'batch_size' .* range \[4, inf\). Got 3"),
        (lambda: HardNegativeSampler(8, every=0), r"'every' .* range \[1, inf\). Got 0"),
        (lambda: ClassBalancedSampler(16, 2.5), "'samples_per_class' .* Got 2.5"),
        (lambda: UnbalancedSampler(16, "all"), "'samples_per_class' .* Got 'all'"),
        (lambda: RandomSampler(16.0), "'batch_size' .* Got 16.0"),
        (lambda: HierarchicalSampler(64, n_nearest=1.5), "'n_nearest' .* Got 1.5"),
    ],
)
def test_sizes_that_hold_no_pair_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.fixture
def line():
    """Rows of nine classes, whose means lie on a line in the order of their codes."""
    rng = np.random.RandomState(0)
    codes = rng.permutation(np.repeat(np.arange(9), 6))
    return torch.from_numpy(codes[:, None] + 0.1 * rng.randn(54, 2)).float(), codes


def test_hierarchical_sampler_takes_classes_with_their_nearest(line):
    embeddings, codes = line
    sampler = HierarchicalSampler(batch_size=24, samples_per_class=4, n_nearest=2)
    sampler.refresh(embeddings, codes)
    assert sorted(sampler.nearest_[4].tolist()) == [3, 5]
    assert sorted(sampler.nearest_[0].tolist()) == [1, 2]
    for batch in epoch(sampler, codes):
        counts = np.bincount(codes[batch], minlength=9)
        assert set(counts) <= {0, 4}
        assert any(np.all(counts[[c, *sampler.nearest_[c].tolist()]] == 4) for c in range(9))


def test_hard_negative_sampler_finds_the_nearest_rows_of_other_classes(line):
    embeddings, codes = line
    sampler = HardNegativeSampler(batch_size=16, n_candidates=3)
    sampler.refresh(embeddings, codes)
    distances = np.linalg.norm(embeddings[:, None] - embeddings[None], axis=2)
    distances[codes[:, None] == codes] = np.inf
    expected = np.sort(np.argsort(distances, axis=1)[:, :3], axis=1)
    np.testing.assert_array_equal(np.sort(sampler.candidates_, axis=1), expected)
    for batch in epoch(sampler, codes):
        assert len(np.unique(batch)) == len(batch) <= 16
        counts = np.bincount(codes[batch])
        assert counts[counts > 0].min() >= 2
        assert np.isin(sampler.candidates_[batch], batch).any()


def test_hard_negatives_are_found_anew_every_so_many_epochs(line):
    embeddings, codes = line
    sampler = HardNegativeSampler(batch_size=16, every=3)
    due = []
    for _ in range(6):
        due.append(sampler.due)
        if sampler.due:
            sampler.refresh(embeddings, codes)
        epoch(sampler, codes)
    assert due == [True, False, False, True, False, False]


def clustered(n_classes=40, n_rows=12, dim=8):
    rng = np.random.RandomState(0)
    codes = rng.permutation(np.repeat(np.arange(n_classes), n_rows))
    rows = rng.randn(n_classes, dim)[codes] + 0.3 * rng.randn(len(codes), dim)
    return torch.from_numpy(rows).float(), codes


@pytest.mark.parametrize("index", ["ivf", "hnsw", "IVF8,Flat"])
def test_hard_negatives_by_faiss_are_nearly_all_the_nearest(index):
    embeddings, codes = clustered()
    exact = nearest_of_other_classes(embeddings, codes, 5, "flat")
    found = nearest_of_other_classes(embeddings, codes, 5, index)
    assert found.shape == exact.shape
    assert (codes[found] != codes[:, None]).all()
    hits = (found[:, :, None] == exact[:, None]).any(axis=2)
    assert hits.mean() > 0.95
    np.testing.assert_array_equal(found, nearest_of_other_classes(embeddings, codes, 5, index))


def test_rows_deep_in_their_class_get_their_hard_negatives_exactly(monkeypatch):
    embeddings, codes = clustered(n_classes=3, n_rows=60)
    exact = nearest_of_other_classes(embeddings, codes, 5, "flat")
    monkeypatch.setattr(_mining_samplers, "MOST_IN_VAIN", 3)
    found = nearest_of_other_classes(embeddings, codes, 5, "IVF1,Flat")
    np.testing.assert_array_equal(found, exact)


def test_large_sets_are_searched_by_faiss(monkeypatch):
    monkeypatch.setattr(_mining_samplers, "LARGEST_EXACT", 100)
    assert _mining_samplers.resolve_index("auto", 101, torch.device("cpu")) == "ivf"
    assert _mining_samplers.resolve_index("auto", 100, torch.device("cpu")) == "flat"
    # There all distances are formed faster than faiss is asked.
    assert _mining_samplers.resolve_index("auto", 101, torch.device("cuda")) == "flat"
    monkeypatch.setattr(_mining_samplers, "find_spec", lambda name: None)
    assert _mining_samplers.resolve_index("auto", 101, torch.device("cpu")) == "flat"


def test_index_that_there_is_not_is_refused(line):
    embeddings, codes = line
    with pytest.raises(ValueError, match="index='kdtree' is not one of"):
        HardNegativeSampler(batch_size=16, index="kdtree").refresh(embeddings, codes)


def test_classes_of_two_rows_fill_batches_and_epochs():
    codes = np.random.RandomState(0).permutation(np.repeat(np.arange(1000), 2))
    batches = epoch(ClassBalancedSampler(256), codes)
    assert {len(batch) for batch in batches} == {256}
    assert 1744 <= sum(map(len, batches)) <= 2256
    for batch in batches:
        assert set(np.unique(codes[batch], return_counts=True)[1]) == {2}
    # In a few epochs every row comes, and none much more often than another.
    rng = np.random.default_rng(0)
    drawn = [np.concatenate(ClassBalancedSampler(256).epoch(codes, rng)) for _ in range(8)]
    times = np.bincount(np.concatenate(drawn))
    assert 8 <= times.min() <= times.max() <= 12


@pytest.mark.parametrize("K", ["auto", 3, 8])
def test_classes_smaller_than_asked_for_leave_no_batch_half_empty(K):
    codes = np.repeat(np.arange(300), np.arange(300) % 5 + 2)
    batches = epoch(ClassBalancedSampler(64, K), codes)
    assert min(map(len, batches)) > 64 - 8
    assert abs(sum(map(len, batches)) - len(codes)) <= 64
    visits = np.zeros(300)
    for batch in batches:
        classes, counts = np.unique(codes[batch], return_counts=True)
        most = np.minimum(np.bincount(codes), 4 if K == "auto" else K)
        np.testing.assert_array_equal(counts, most[classes])
        visits[classes] += 1
    assert visits.max() - visits.min() <= 1


every_sampler = pytest.mark.parametrize("name", SAMPLERS)


def prepared(name, embeddings, codes):
    sampler = SAMPLERS[name](batch_size=16)
    if sampler.due:
        sampler.refresh(embeddings, codes)
    return sampler


@every_sampler
def test_unlabeled_rows_are_never_drawn(name):
    embeddings, codes = clustered(n_classes=6)
    if SAMPLERS[name].continuous_labels or SAMPLERS[name].draws_unlabeled:
        return  # -1 is an amount, or wanted
    known = np.random.RandomState(1).rand(len(codes)) < 0.7
    mixed = np.where(known, codes, -1)
    drawn = epoch(prepared(name, embeddings, mixed), mixed)
    alone = epoch(prepared(name, embeddings[known], codes[known]), codes[known])
    for batch, expected in zip(drawn, alone, strict=True):
        np.testing.assert_array_equal(batch, np.flatnonzero(known)[expected])


@every_sampler
def test_samplers_want_rows_and_classes(name):
    sampler, rng = SAMPLERS[name](batch_size=16), np.random.default_rng(0)
    kind = "labels that are amounts" if sampler.continuous_labels else "one labeled row, got 0"
    with pytest.raises(ValueError, match=f"{type(sampler).__name__} needs .*{kind}"):
        sampler.epoch(np.zeros(0, dtype=int), rng)
    if sampler.continuous_labels:
        with pytest.raises(ValueError, match="needs finite labels"):
            sampler.epoch(np.array([0.0, np.nan]), rng)
        return
    with pytest.raises(ValueError, match="one labeled row, got 3 rows, none"):
        sampler.epoch([-1, -1, -1], rng)
    for bad in (np.array([0.5, 1.0]), np.zeros((2, 2), dtype=int), np.array(["a", "b"])):
        with pytest.raises(ValueError, match="codes must be whole numbers"):
            sampler.epoch(bad, rng)
    if sampler.min_classes == 2:
        one = np.zeros(20, dtype=int)
        with pytest.raises(ValueError, match="needs at least 2 classes, got 1; sampler='random'"):
            sampler.epoch(one, rng)
        if sampler.due:
            with pytest.raises(ValueError, match="needs at least 2 classes, got 1"):
                sampler.refresh(torch.zeros(20, 2), one)
    if sampler.due:
        with pytest.raises(ValueError, match="one row for each of the 20 codes, got 19"):
            sampler.refresh(torch.zeros(19, 2), np.arange(20) % 2)


def test_classes_of_one_row_have_no_partner():
    codes = np.array([0, 0, 1, 1, 2])
    sampler = HardNegativeSampler(batch_size=4)
    sampler.refresh(torch.randn(5, 2), codes)
    with pytest.raises(ValueError, match="2 rows of each class, class 2 of the 3 has one"):
        epoch(sampler, codes)
    with pytest.raises(ValueError, match="needs a class of two rows, every class has one"):
        epoch(FixedTripletSampler(6), np.arange(5))


def test_fixed_triplets_stay_and_are_triplets():
    sampler, rng = FixedTripletSampler(batch_size=30, n_triplets=500), np.random.default_rng(0)
    first = [sampler.epoch(UNEVEN, rng), sampler.triplets_.copy()]
    second = sampler.epoch(UNEVEN, rng)
    np.testing.assert_array_equal(sampler.triplets_, first[1])
    assert not np.array_equal(first[0][0], second[0])
    a, p, n = sampler.triplets_.T
    assert (a != p).all()
    np.testing.assert_array_equal(UNEVEN[a], UNEVEN[p])
    assert (UNEVEN[a] != UNEVEN[n]).all()
    assert len(np.unique(n)) > 80  # of 91 rows, those of every class among them
    assert set(np.concatenate(second)) == set(sampler.triplets_.ravel())


def test_fixed_triplets_are_drawn_again_for_other_classes_or_another_number():
    sampler, rng = FixedTripletSampler(batch_size=30, n_triplets=50), np.random.default_rng(0)
    sampler.epoch(UNEVEN, rng)
    others = UNEVEN[::-1].copy()  # as many rows, of other classes
    for codes, sampler.n_triplets in ((others, 50), (others, 200), (others, 20)):
        batches = sampler.epoch(codes, rng)
        assert len(sampler.triplets_) == sampler.n_triplets
        a, p, n = codes[sampler.triplets_].T
        assert (a == p).all()
        assert (a != n).all()
        assert set(np.concatenate(batches)) == set(sampler.triplets_.ravel())


@pytest.mark.parametrize(
    ("width", "near"), [(None, None), (1, None), (2, None), (None, 0.01), (1, 0.01), (2, 0.05)]
)
def test_near_labels_come_together(width, near):
    rng = np.random.RandomState(0)
    labels = rng.rand(500) if width is None else rng.rand(500, width)
    chosen = {"n_nearest": 3} if near is None else {"near": near}
    sampler = NearLabelSampler(batch_size=20, **chosen)
    drawn = epoch(sampler, labels)
    assert len(drawn) == 25
    apart = np.linalg.norm(labels.reshape(500, -1)[:, None] - labels.reshape(500, -1), axis=2)
    np.fill_diagonal(apart, np.inf)
    bound = np.sort(apart, axis=1)[:, 2] if near is None else np.full(500, near)
    shares = []
    for batch in drawn:
        assert len(np.unique(batch)) == len(batch) <= 20
        nearest = apart[np.ix_(batch, batch)].min(axis=1)
        shares.append((nearest <= bound[batch]).mean())
    random = [
        apart[np.ix_(b, b)].min(axis=1) <= bound[b]
        for b in epoch(RandomSampler(20), np.zeros(500, int))
    ]
    assert np.mean(shares) > 0.55
    assert np.mean(shares) > 1.3 * np.mean(random)


def test_near_labels_are_near_in_every_part():
    labels = np.random.RandomState(0).rand(300, 3) * [1, 1, 360]
    sampler = NearLabelSampler(20, near=(0.15, 40.0), parts=((0, 1), (2,)))
    found = sampler._near_rows(labels, np.arange(300))
    for i, rows in enumerate(found):
        apart = labels - labels[i]
        near = (np.hypot(apart[:, 0], apart[:, 1]) <= 0.15) & (abs(apart[:, 2]) <= 40)
        assert sorted(rows) == np.flatnonzero(near).tolist()
    assert 300 < sum(map(len, found)) < 300 * 10
    one = NearLabelSampler(20, near=0.1, parts=((0, 1, 2),))
    plain = NearLabelSampler(20, near=0.1)
    unit = labels / [1, 1, 360]
    for ours, theirs in zip(
        *(s._near_rows(unit, np.arange(300)) for s in (one, plain)), strict=True
    ):
        assert sorted(ours) == sorted(theirs)
    drawn = epoch(sampler, labels)
    assert all(len(np.unique(batch)) == len(batch) <= 20 for batch in drawn)


def test_near_labels_take_few_and_equal_rows():
    for labels in (np.zeros(2), np.zeros(1), np.zeros(50), np.array([[1.0, 2.0]] * 3)):
        for near in (None, 1.0):
            for batch in epoch(NearLabelSampler(4, near=near), labels):
                assert len(np.unique(batch)) == len(batch)


def test_semi_hard_negatives_of_the_data_set_are_farther_than_the_positive(line):
    embeddings, codes = line
    hard = HardNegativeSampler(batch_size=16, n_candidates=20)
    semi = HardNegativeSampler(batch_size=16, n_candidates=20, kind="semi_hard")
    for sampler in (hard, semi):
        sampler.refresh(embeddings, codes)
    anchors, positives = np.arange(40), np.arange(40)[::-1].copy()
    chosen = semi._negatives(anchors, positives, None)
    d = torch.linalg.vector_norm(embeddings[:, None] - embeddings, dim=2).numpy()
    for a, p, n in zip(anchors, positives, chosen, strict=True):
        candidates = semi.candidates_[a].numpy()
        farther = candidates[d[a, candidates] > d[a, p]]
        assert n == (farther[0] if len(farther) else candidates[-1])
    assert hard.embeddings_ is None
    assert epoch(semi, codes)


def test_hardest_negatives_can_be_skipped(line):
    embeddings, codes = line
    plain = HardNegativeSampler(batch_size=16, n_candidates=8)
    skipping = HardNegativeSampler(batch_size=16, n_candidates=5, skip_hardest=3)
    for sampler in (plain, skipping):
        sampler.refresh(embeddings, codes)
    assert torch.equal(skipping.candidates_, plain.candidates_[:, 3:])
    most = HardNegativeSampler(batch_size=16, n_candidates=5, skip_hardest=1000)
    most.refresh(embeddings, codes)
    assert most.candidates_.shape == (54, 1)


class Halves:
    """A user's own sampler, which knows nothing of ours."""

    def epoch(self, codes, rng):
        return np.array_split(rng.permutation(len(codes)), 2)


def test_samplers_of_others_are_taken():
    sampler = as_sampler(Halves())
    assert as_sampler(sampler) is sampler
    assert (sampler.min_rows, sampler.due) == (1, False)
    drawn = np.concatenate(epoch(sampler, np.array([0, -1, 1, 1, -1])))
    assert sorted(drawn.tolist()) == [0, 2, 3]
    with pytest.raises(TypeError, match=r"sampler must have epoch\(codes, rng\), got str"):
        as_sampler("halves")


@pytest.mark.parametrize("name", LOOKING)
def test_looking_samplers_train_and_repeat(name):
    rng = np.random.RandomState(0)
    y = np.repeat(np.arange(9), 8)
    X = 2 * rng.randn(9, 5)[y] + rng.randn(72, 5)
    embedder = DeepEmbedder(sampler=name, batch_size=32, max_epochs=3, random_state=0).fit(X, y)
    Z = embedder.transform(X)
    np.testing.assert_array_equal(clone(embedder).fit(X, y).transform(X), Z)
    assert recall_at_k(Z, y) >= recall_at_k(X, y) - 0.1


def test_near_labels_train_on_amounts():
    rng = np.random.RandomState(0)
    X = rng.randn(300, 5)
    position = 100 * X[:, :2]
    embedder = DeepEmbedder(
        loss="log_ratio", sampler="near_labels", max_epochs=5, batch_size=32, random_state=0
    ).fit(X, position)
    losses = [row["train_loss"] for row in embedder.history_]
    assert losses[-1] < losses[0]


def test_samplers_of_others_train():
    y = np.repeat(np.arange(6), 10)
    X = np.random.RandomState(0).randn(60, 4)
    embedder = DeepEmbedder(sampler=Halves(), max_epochs=2, validation=None).fit(X, y)
    assert [row["train_batch_size"] for row in embedder.net_.history[-1, "batches"]] == [30, 30]
