"""Laws over the tables of miners: the set of the loop, rows of the right classes, repeatable."""

import math
import pickle

import pytest
import torch
from helpers.loss_batches import batch
from helpers.oracles import MINERS, RANDOM_MINERS
from scipy.stats import chi2_contingency, chisquare
from torch.nn.functional import normalize

from metriclearn.deep import miners as M
from metriclearn.deep.tensors._selections import Reference

by_case = pytest.mark.parametrize("case", MINERS, ids=lambda case: case.name)
by_random = pytest.mark.parametrize("miner", RANDOM_MINERS, ids=lambda miner: miner.__name__)

#: Batches that leave nothing, or little, to select.
DEGENERATE = {
    "one row": ([[1.0, 0.0, 0.0]], [0]),
    "one class": ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [0, 0]),
    "no positives": ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [0, 1]),
    "collapsed": ([[0.6, 0.0, 0.8]] * 5, [0, 0, 1, 1, 2]),
    "zero": ([[0.0, 0.0, 0.0]] * 4, [0, 0, 1, 2]),
}


def as_set(rows):
    return {tuple(row) for row in rows.tolist()}


def assert_of_the_right_classes(selection, yields, labels, columns):
    if yields == "triplets":
        a, p, n = selection
        assert (labels[a] == columns[p]).all()
        assert (a != p).all()
        assert (labels[a] != columns[n]).all()
    else:
        (i, j), (k, m) = selection.positives.T, selection.negatives.T
        assert (labels[i] == columns[j]).all()
        assert (i != j).all()
        assert (labels[k] != columns[m]).all()


@by_case
def test_miner_yields_the_set_of_the_loop(case):
    embeddings, labels = batch()
    selection = case.miner(embeddings, labels)
    expected = case.oracle(case.miner, list(embeddings), labels.tolist())
    if case.miner.yields == "triplets":
        assert as_set(torch.stack(selection, 1)) == expected
        assert len(selection.anchor) == len(expected)
    else:
        assert tuple(as_set(pairs) for pairs in selection) == expected
        assert tuple(len(pairs) for pairs in selection) == tuple(map(len, expected))
    assert sum(map(len, selection)) > 0


def test_semi_hard_window_is_open():
    # At both ends: a negative as near as the positive, and one whose triplet has no loss.
    # Their mean is zero, so that no distance is rounded.
    x = torch.tensor([[0.0], [1.0], [-1.0], [1.5], [-2.0], [0.5]], dtype=torch.float64)
    labels = torch.tensor([0, 0, 1, 2, 3, 4])
    anchor, positive, negative = M.SemiHardMiner(margin=1.0, squared=False)(x, labels)
    of_first = anchor == 0
    assert positive[of_first].tolist() == [1]
    assert negative[of_first].tolist() == [3]


def test_table_holds_every_miner():
    assert {type(case.miner) for case in MINERS} | {*RANDOM_MINERS} == {*M.MINERS.values()}


@by_case
def test_order_of_rows_and_names_of_labels_do_not_matter(case):
    embeddings, labels = batch()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(5))
    names = torch.tensor([2, 0, 3, 1])
    plain = case.miner(embeddings, labels)
    moved = case.miner(embeddings[order], names[labels[order]])
    if case.miner.yields == "triplets":
        plain, moved = [torch.stack(plain, 1)], [torch.stack(moved, 1)]
    if case.name.startswith("hdc"):  # cuts between the two directions of a pair
        plain, moved = [p.sort(1).values for p in plain], [order[m].sort(1).values for m in moved]
        order = torch.arange(len(labels))
    assert [as_set(rows) for rows in plain] == [as_set(order[rows]) for rows in moved]


@by_case
def test_miner_keeps_the_callers_graph_out(case):
    embeddings, labels = batch()
    selection = case.miner(embeddings.requires_grad_(), labels)
    assert all(index.dtype == torch.int64 and not index.requires_grad for index in selection)


@pytest.mark.parametrize("name", M.MINERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_degenerate_batches_select_only_what_there_is(name, dtype):
    for rows, labels in DEGENERATE.values():
        labels = torch.tensor(labels)
        miner = M.MINERS[name]()
        selection = miner(torch.tensor(rows, dtype=dtype), labels)
        assert_of_the_right_classes(selection, miner.yields, labels, labels)


@pytest.mark.parametrize("name", M.MINERS)
def test_reference_rows_are_columns_behind_the_batch(name):
    embeddings, labels = batch()
    miner = M.MINERS[name]()
    selection = miner(embeddings[:6], labels[:6], Reference(embeddings[6:], labels[6:]))
    assert_of_the_right_classes(selection, miner.yields, labels[:6], labels)
    columns = torch.cat([index.reshape(-1) for index in selection])
    assert columns.max() >= 6


@by_random
def test_random_miners_repeat_by_their_generator(miner):
    embeddings, labels = batch()
    state = torch.random.get_rng_state()
    runs = [
        miner(generator=torch.Generator().manual_seed(seed))(embeddings, labels)
        for seed in (0, 0, 1)
    ]
    assert all(torch.equal(x, y) for x, y in zip(runs[0], runs[1], strict=True))
    assert not all(torch.equal(x, y) for x, y in zip(runs[0], runs[2], strict=True))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert_of_the_right_classes(runs[0], miner.yields, labels, labels)


@by_random
def test_random_miners_can_be_kept(miner):
    kept = pickle.loads(pickle.dumps(miner(generator=torch.Generator().manual_seed(0))))
    again = miner(generator=torch.Generator().manual_seed(0))
    embeddings, labels = batch()
    pairs = zip(kept(embeddings, labels), again(embeddings, labels), strict=True)
    assert all(torch.equal(x, y) for x, y in pairs)


def test_random_miner_draws_evenly():
    embeddings, labels = batch()
    miner = M.RandomMiner(n_triplets=4000, generator=torch.Generator().manual_seed(0))
    a, p, n = miner(embeddings, labels)
    assert len(a) == 9 * 4000  # the class of one row has no positive
    first = (a == a[0]).nonzero()[:, 0]
    for drawn in (p[first], n[first]):
        counts = torch.bincount(drawn)
        shares = counts[counts > 0] / len(first)
        assert (shares - 1 / len(shares)).abs().max() < 0.03


def test_distance_weights_are_one_over_the_density():
    generator = torch.Generator().manual_seed(0)
    x = normalize(torch.randn(30, 6, generator=generator, dtype=torch.float64))
    cosine = x @ x.T
    negative = 1 - torch.eye(30, dtype=torch.float64)
    weights = M.DistanceWeightedMiner(cutoff=0.5, nonzero_loss_cutoff=1.4).weights(
        cosine, negative, 6
    )
    for i in range(30):
        slow = []
        for j in range(30):
            d = math.dist(x[i], x[j])
            near = max(d, 0.5)
            density = near ** (6 - 2) * (1 - near**2 / 4) ** ((6 - 3) / 2)
            slow.append(1 / density if j != i and d < 1.4 else 0.0)
        slow = torch.tensor(slow, dtype=torch.float64)
        torch.testing.assert_close(weights[i] / weights[i].sum(), slow / slow.sum())


def test_density_is_that_of_the_sphere():
    # Distances drawn by one over their density are even: so is the law of random rows undone.
    dim = 5
    generator = torch.Generator().manual_seed(0)
    x = normalize(torch.randn(3000, dim, generator=generator, dtype=torch.float64))
    cosine = (x[:1] @ x[1:].T).clamp(-1, 1)
    negative = torch.ones_like(cosine)
    weights = M.DistanceWeightedMiner(0.3, 2.0).weights(cosine, negative, dim)[0]
    d = (2 - 2 * cosine[0]).sqrt()
    inside = (d > 0.5) & (d < 1.7)
    shares = torch.histc(d[inside], 4, 0.5, 1.7)
    even = torch.stack(
        [weights[inside & (d >= low) & (d < low + 0.3)].sum() for low in (0.5, 0.8, 1.1, 1.4)]
    )
    assert shares.max() / shares.min() > 3
    assert even.max() / even.min() < 1.3


@pytest.mark.parametrize("dim", [2, 3, 128, 512, 2048])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_distance_weights_hold_in_many_dimensions(dim, dtype):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(12).repeat_interleave(4)
    # Rows at very different distances, where a scale common to the batch would vanish.
    spread = torch.logspace(-2, 1, 48)[:, None]
    x = normalize(torch.ones(48, dim) + spread * torch.randn(48, dim, generator=generator))
    a, _, n = M.DistanceWeightedMiner(generator=generator)(x.to(dtype), labels)
    assert len(a) == 48 * 3
    assert (labels[a] != labels[n]).all()
    cosine = x.double() @ x.double().T
    negative = (labels[:, None] != labels).double()
    weights = M.DistanceWeightedMiner().weights(cosine, negative, dim)
    assert torch.isfinite(weights).all()
    assert (weights.amax(1) > 0.99).all()


def around_one_point():
    """Thirty rows at one place and twelve others at distances of all kinds, in five dimensions."""
    generator = torch.Generator().manual_seed(0)
    others = torch.randn(12, 5, generator=generator, dtype=torch.float64)
    others[:, 0] += torch.linspace(-1, 4, 12)
    here = torch.eye(5, dtype=torch.float64)[:1]
    x = normalize(torch.cat([here.expand(30, 5), others]))
    labels = torch.cat([torch.zeros(30, dtype=torch.int64), torch.arange(1, 13)])
    return x, labels, (x[30:] - here).norm(dim=1)


def drawn_counts(miner, rounds=20):
    """How often each of the twelve others is drawn."""
    x, labels, _ = around_one_point()
    return sum(torch.bincount(miner(x, labels).negative - 30, minlength=12) for _ in range(rounds))


def test_histogram_gives_the_chances_of_the_distances():
    _, _, d = around_one_point()
    chances = [0.0, 3.0, 1.0, 2.0]
    miner = M.DistanceHistogramMiner(chances, 0.2, 1.4, torch.Generator().manual_seed(1))
    expected = [chances[int((r - 0.2) / 0.3)] if 0.2 <= r < 1.4 else 0.0 for r in d.tolist()]
    counts = drawn_counts(miner)
    assert len({*expected}) == 4
    expected = counts.sum() * torch.tensor(expected) / sum(expected)
    assert not counts[expected == 0].any()
    assert chisquare(counts[expected > 0], expected[expected > 0]).pvalue > 0.01


@pytest.mark.parametrize("u", range(3))
def test_one_bin_is_drawn_from_alone(u):
    _, _, d = around_one_point()
    chances = [float(k == u) for k in range(3)]
    miner = M.DistanceHistogramMiner(chances, 0.2, 1.4, torch.Generator().manual_seed(0))
    within = (d >= 0.2 + 0.4 * u) & (d < 0.6 + 0.4 * u)
    assert within.any()
    assert torch.equal(drawn_counts(miner) > 0, within)


def test_chances_of_one_over_the_density_are_distance_weighted():
    generator = torch.Generator().manual_seed(0)
    middles = (torch.arange(900) + 0.5) / 1000 + 0.5  # of bins as wide as a thousandth
    chances = middles ** -(5 - 2) * (1 - middles**2 / 4) ** (-(5 - 3) / 2)
    ours = M.DistanceHistogramMiner(chances.tolist(), 0.5, 1.4, generator)
    theirs = M.DistanceWeightedMiner(1e-3, 1.4, generator)
    _, _, d = around_one_point()
    assert (d > 0.5).sum() >= 5
    far = (d > 0.5) & (d < 1.4)
    counts = torch.stack([drawn_counts(miner)[far] for miner in (ours, theirs)])
    assert chi2_contingency(counts.numpy()).pvalue > 0.01


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"probabilities": [0.0, 0.0]}, "probabilities must be one for each bin"),
        ({"probabilities": [1.0, -1.0]}, "probabilities must be one for each bin"),
        ({"low": 1.0, "high": 1.0}, "high must be greater than low=1.0"),
    ],
)
def test_histograms_that_give_no_chances(params, message):
    with pytest.raises(ValueError, match=message):
        M.DistanceHistogramMiner(**params)


def test_uniform_histogram_draws_as_many_from_each_distance():
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(200, 1, generator=generator, dtype=torch.float64)
    labels = torch.arange(200) % 2
    miner = M.UniformHistogramMiner(10, 300, 500, generator=generator)
    for pairs, per_bin in zip(miner(x, labels), (300, 500), strict=True):
        d = (x[pairs[:, 0]] - x[pairs[:, 1]]).abs()[:, 0]
        counts = torch.histc(d, 10, float(d.min()), float(d.max()))
        assert len(pairs) == 10 * per_bin
        assert (counts / per_bin - 1).abs().max() < 0.1  # the edges of the intervals are drawn, too
        assert len(torch.unique(pairs, dim=0)) > len(pairs) / 3
    equal = M.UniformHistogramMiner(10, 3, 3)(torch.ones(4, 2), torch.tensor([0, 0, 1, 1]))
    assert [len(pairs) for pairs in equal] == [3, 3]


def test_names_are_of_classes_with_a_kind():
    assert set(M.MINERS) == {
        "all", "random", "hard", "semi_hard", "batch_hard", "easy_positive",
        "distance_weighted", "multi_similarity", "pair_margin", "hdc", "easy_hard", "angular",
        "uniform_histogram", "distance_histogram",
    }  # fmt: skip
    assert set(M.CLASS_MINERS) == {"three_class", "within_class"}
    assert {miner.yields for miner in M.MINERS.values()} == {"pairs", "triplets"}
