"""Weights of pairs against the derivatives of the losses' formulas; distances over places."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_iris

from metriclearn import NCA
from metriclearn.deep import DeepEmbedder, place_contributions
from metriclearn.deep import losses as L
from metriclearn.deep.losses import pair_weights
from metriclearn.deep.miners import MultiSimilarityMiner


@pytest.fixture
def batch():
    rng = np.random.RandomState(0)
    Z = rng.randn(8, 4)
    return Z / np.linalg.norm(Z, axis=1, keepdims=True), np.array([0, 0, 0, 1, 1, 1, 2, 2])


def by_formula(function, Z, y):
    """Derivative of a function of the similarities, S_ij and S_ji being one number."""
    S = torch.tensor(Z @ Z.T, requires_grad=True)
    same = torch.tensor(y[:, None] == y)
    positive, negative = same & ~torch.eye(len(y), dtype=torch.bool), ~same
    function(S, positive, negative).backward()
    W = (S.grad + S.grad.T).numpy()
    np.fill_diagonal(W, 0)
    return W


def contrastive(S, positive, negative):
    d = (2 - 2 * S).clamp(min=0).sqrt()
    return (d[positive] ** 2).mean() / 2 + (1 - d[negative]).relu().square().mean() / 2


def triplet(S, positive, negative):
    terms = []
    for a, p in positive.nonzero().tolist():
        for n in negative[a].nonzero()[:, 0].tolist():
            terms.append((2 * S[a, n] - 2 * S[a, p] + 0.2).relu())
    terms = torch.stack(terms)
    return terms.sum() / (terms > 0).sum()


def binomial(S, positive, negative):
    pull = torch.log1p(torch.exp(-2 * (S - 0.5)))[positive].mean()
    return pull + torch.log1p(torch.exp(25 * 2 * (S - 0.5)))[negative].mean()


def softmax(S, positive, negative):
    terms = []
    for a, p in positive.nonzero().tolist():
        others = S[a][negative[a]] / 0.5
        terms.append(-S[a, p] / 0.5 + torch.cat([S[a, p][None] / 0.5, others]).logsumexp(0))
    return torch.stack(terms).mean()


def multi_similarity(S, positive, negative):
    terms = []
    for a in range(len(S)):
        pull = torch.log1p(torch.exp(-2 * (S[a][positive[a]] - 0.5)).sum()) / 2
        push = torch.log1p(torch.exp(40 * (S[a][negative[a]] - 0.5)).sum()) / 40
        terms.append(pull + push)
    return torch.stack(terms).mean()


def lifted(S, positive, negative):
    terms = []
    for a in range(len(S)):
        pull, push = (0.3 - S[a][positive[a]]).logsumexp(0), S[a][negative[a]].logsumexp(0)
        terms.append((pull + push).relu())
    return torch.stack(terms).mean()


@pytest.mark.parametrize(
    ("loss", "formula"),
    [
        (L.TripletLoss(0.2), triplet),
        (L.BinomialDevianceLoss(), binomial),
        (L.NTXentLoss(0.5), softmax),
        (L.MultiSimilarityLoss(2.0, 40.0, 0.5), multi_similarity),
        (L.LiftedStructureLoss(0.3, form="cosine"), lifted),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
def test_weights_are_the_derivatives_of_the_formula(loss, formula, batch):
    Z, y = batch
    S, W = pair_weights(loss, 3 * Z, y)
    np.testing.assert_allclose(S, Z @ Z.T, atol=1e-12)
    np.testing.assert_allclose(W, W.T, atol=1e-8)
    np.testing.assert_allclose(W, by_formula(formula, Z, y), atol=1e-8)
    same = y[:, None] == y
    assert (W[same] <= 1e-12).all()
    assert (W[~same] >= -1e-12).all()


# What the weight of a negative pair depends on, in the terms of Wang et al. (2019): its own
# similarity (S), how that compares with other negative pairs (N), how it compares with positive
# pairs (P). The table of the paper was not at hand. Notes on it name S for contrastive and binomial
# deviance, N for lifted structure, P for triplet; two others say of multi-similarity that its
# weights look at S and N and its mining at P. The letters are what follows from the formulas. A
# later table names the same but for N-pair, of which it says N, while its softmax holds the
# positive pair as well.
LOOKS_AT = {
    "contrastive": (L.ContrastiveLoss(0.0, form="cosine"), "S"),
    "binomial deviance": (L.BinomialDevianceLoss(2.0, 0.0, 1.0), "S"),
    "triplet": (L.TripletLoss(0.01, reduction="mean"), "P"),
    "lifted structure": (L.LiftedStructureLoss(1.0, form="cosine"), "N"),
    "multi-similarity": (
        L.MinedLoss(L.MultiSimilarityLoss(2.0, 10.0, 0.0), MultiSimilarityMiner(0.01)),
        "SNP",
    ),
}


@pytest.mark.parametrize(("loss", "published"), LOOKS_AT.values(), ids=LOOKS_AT)
def test_what_a_loss_looks_at_is_what_its_formula_says(loss, published):
    """Shift all similarities, those of other negative pairs, or of positive pairs alone."""
    y = np.array([0, 0, 0, 1, 1, 1])
    others, same = ~np.eye(6, dtype=bool), y[:, None] == y
    start = np.random.RandomState(0).uniform(-0.08, 0.08, (6, 6))
    start = np.where(others, (start + start.T) / 2, 1.0)
    a, n = 0, 3
    other_negatives = ~same
    other_negatives[[a, n], [n, a]] = False
    shifted = {"S": others, "N": other_negatives, "P": same & others}

    def weight(moved, by):
        wanted = start + by * moved
        S, W = pair_weights(loss, np.linalg.cholesky(wanted), y)
        np.testing.assert_allclose(S, wanted, atol=1e-12)
        return W[a, n]

    found = ""
    for letter, moved in shifted.items():
        change = np.ptp([weight(moved, by) for by in (-0.08, 0.0, 0.08)])
        assert change < 1e-10 or change > 1e-4, (letter, change)
        found += letter if change > 1e-4 else ""
    assert found == published


def test_contrastive_looks_at_the_pair_alone(batch):
    """Its weights are a function of the pair's own similarity; those of a softmax are not."""
    Z, y = batch
    moved = Z.copy()
    moved[7] = -Z[7]  # a row that the pair of rows 0 and 3 has nothing to do with
    loss = L.ContrastiveLoss(1.9, form="squared_hinge")
    before, after = (pair_weights(loss, rows, y)[1][0, 3] for rows in (Z, moved))
    assert before == pytest.approx(after) != 0
    before, after = (pair_weights(L.NTXentLoss(0.5), rows, y)[1][0, 3] for rows in (Z, moved))
    assert abs(before - after) > 1e-3


@pytest.mark.parametrize(
    ("loss", "rows", "labels", "message"),
    [
        (
            L.ProxyAnchorLoss(n_classes=3, embedding_dim=4),
            np.eye(4),
            [0, 0, 1, 1],
            "vectors of its own",
        ),
        (L.ProxyAnchorLoss(), np.eye(4), [0, 0, 1, 1], "vectors of its own"),
        (L.TripletLoss(), np.ones(4), [0, 0, 1, 1], r"shape \(b, d\)"),
        (L.TripletLoss(), np.eye(4), [0, 0, 1], r"labels of shape \(b,\)"),
        (L.TripletLoss(), np.diag([1, 1, 0, 1]), [0, 0, 1, 1], "row 2 is all zeros"),
        (L.CrossBatchMemory(L.TripletLoss()), np.eye(4), [0, 0, 1, 1], "vectors of its own"),
    ],
)
def test_one_error(loss, rows, labels, message):
    with pytest.raises(ValueError, match=message):
        pair_weights(loss, rows, labels)


SEE_DIMENSIONS = L.SNRContrastiveLoss, L.BoostedLoss, L.VICRegLoss, L.Matryoshka


def losses_of_a_batch():
    """Every loss that compares the rows of a batch with nothing else, by its defaults."""
    losses = [made() for made in {**L.LOSSES, **L.REGULARIZERS}.values()]
    alone = [
        loss
        for loss in losses
        if not (loss.needs_classes or loss.needs_indices or loss.refreshes)
        and not isinstance(loss, L.CenterLoss)
    ]
    return [*alone, L.Matryoshka(L.SupConLoss(), (2, 3))]


@pytest.mark.parametrize("loss", losses_of_a_batch(), ids=lambda loss: type(loss).__name__)
def test_weights_make_the_gradient_or_are_refused(loss, batch):
    """The chain rule from similarities to rows: a loss that sees more has no such weights."""
    Z, y = batch
    if isinstance(loss, SEE_DIMENSIONS):
        with pytest.raises(ValueError, match="sees more of two rows than their similarity"):
            pair_weights(loss, Z, y)
        return
    x = torch.tensor(Z, requires_grad=True)
    before = {name: value.clone() for name, value in loss.state_dict().items()}
    W = torch.tensor(pair_weights(loss, Z, y)[1])
    assert all(torch.equal(value, before[name]) for name, value in loss.state_dict().items())
    (gradient,) = torch.autograd.grad(loss(x, torch.tensor(y)), x)
    made = W @ x.detach()
    across = [v - (v * x).sum(1, keepdim=True) * x for v in (gradient, made)]
    torch.testing.assert_close(*across, rtol=0, atol=1e-6 * float(gradient.abs().max()) + 1e-12)


def test_names_of_classes_do_not_matter(batch):
    pd = pytest.importorskip("pandas")
    Z, y = batch
    W = pair_weights(L.SupConLoss(), Z, y)[1]
    for names in (np.array(["a", "b", "c"])[y], pd.Series(list("abc"))[y], 3 * y - 8, y.tolist()):
        found = pair_weights(L.SupConLoss(), pd.DataFrame(Z), names)[1]
        np.testing.assert_array_equal(found, W)


# Why these two ----------------------------------------------------------------------------------


def test_columns_add_up_to_the_squared_distance():
    X, y = load_iris(return_X_y=True)
    model = NCA(2).fit(X, y)
    parts = model.paired_contributions(X[:60], X[60:120])
    assert parts.shape == (60, 4)
    distances = model.paired_distances(X[:60], X[60:120])
    np.testing.assert_allclose(parts.sum(axis=1), distances**2, rtol=1e-10)
    M = model.get_mahalanobis_matrix()
    delta = X[0] - X[60]
    by_hand = [delta[j] * sum(M[j, k] * delta[k] for k in range(4)) for j in range(4)]
    np.testing.assert_allclose(parts[0], by_hand, rtol=1e-10)
    with pytest.raises(ValueError, match="inconsistent"):
        model.paired_contributions(X[:5], X[:4])


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("n_components", [16, None])
def test_places_add_up_to_the_squared_distance(normalize, n_components):
    digits = load_digits()
    X, y = digits.images[:120], digits.target[:120]
    embedder = DeepEmbedder(
        "convnet", module_params={"channels": (8, 8)}, n_components=n_components,
        head_params={"normalize": normalize}, max_epochs=2, random_state=0,
    ).fit(X, y)  # fmt: skip
    network = embedder.net_.module_.double()
    rows = torch.as_tensor(X[:40, None])
    with torch.inference_mode():
        Z = network(rows).numpy()
    squares = np.sum((Z[:20] - Z[20:]) ** 2, axis=1)
    of_a, of_b = place_contributions(embedder, X[:20], X[20:40])
    np.testing.assert_allclose((of_a + of_b).sum(axis=(1, 2)), squares, rtol=1e-6)
    network.float()
    # Where nothing differs but one corner, the corner says most.
    changed = X[:1].copy()
    changed[0, :2, :2] = 16
    of_a, of_b = place_contributions(embedder, X[:1], changed)
    both = np.abs(of_a + of_b)[0]
    assert both[0, 0] > np.median(both)


def test_heads_that_no_sum_goes_through():
    digits = load_digits()
    X, y = digits.images[:80], digits.target[:80]
    for params in ({"pooling": "max"}, {"layer_norm": True}):
        embedder = DeepEmbedder("convnet", head_params=params, max_epochs=1, random_state=0)
        with pytest.raises(ValueError, match="embedder"):
            place_contributions(embedder.fit(X, y), X[:2], X[2:4])
    with pytest.raises(ValueError, match="must average maps"):
        place_contributions(DeepEmbedder(max_epochs=1).fit(X.reshape(80, -1), y), X[:1], X[:1])
