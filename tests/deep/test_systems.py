"""Losses that see groups of dimensions or the features before the head: the embedder gives them."""

import numpy as np
import pytest
import torch
from helpers.embedders import Kill
from helpers.further_loss_loops import boosted
from helpers.loss_batches import assert_equal, batch, value_and_gradients
from sklearn.datasets import load_digits
from torch.nn.functional import normalize

from metriclearn.deep import DeepEmbedder
from metriclearn.deep import losses as L
from metriclearn.deep.losses._characteristics import AdversarialSeparation
from metriclearn.deep.modules import EmbeddingNetwork, Head

X, y = load_digits(return_X_y=True)
X, y = X[:300], y[:300]
QUICK = {"max_epochs": 2, "random_state": 0, "batch_size": 64}

# Groups -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("groups", "sizes", "weights"),
    [(2, (3, 3), None), ((1, 2, 3), (1, 2, 3), (1, 2, 3)), (6, (1,) * 6, None)],
)
def test_head_scales_each_group(groups, sizes, weights):
    head = Head((5,), 6, groups=groups, group_weights=weights)
    features = torch.randn(7, 5)
    weights = np.ones(len(sizes)) if weights is None else np.asarray(weights, float)
    weights /= np.linalg.norm(weights)
    parts = head.linear(features).split(sizes, dim=1)
    by_hand = torch.cat(
        [float(w) * normalize(part, dim=1) for w, part in zip(weights, parts, strict=True)], dim=1
    )
    embedded = head(features)
    torch.testing.assert_close(embedded, by_hand, rtol=0, atol=1e-6)
    torch.testing.assert_close(embedded.norm(dim=1), torch.ones(7), rtol=0, atol=1e-6)


def test_one_group_is_none():
    torch.manual_seed(0)
    plain, one = Head((5,), 6), Head((5,), 6, groups=1, group_weights=[3.0])
    one.load_state_dict(plain.state_dict())
    features = torch.randn(7, 5)
    assert torch.equal(plain(features), one(features))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"groups": 4}, "groups must divide the 6 dimensions"),
        ({"groups": 0}, "groups must divide"),
        ({"groups": (2, 2)}, "groups must be sizes that add up to the 6"),
        ({"groups": (7, -1)}, "groups must be a width of at least 1"),
        ({"groups": 2, "group_weights": (1.0, 0.0)}, "group_weights must be positive"),
        ({"groups": 2, "group_weights": (1.0,)}, "one for each of 2 groups"),
        ({"group_weights": (1.0, 2.0)}, "one for each of 1 groups"),
        ({"groups": 2, "normalize": False}, "groups=2 are scaled .* normalize=False forbids"),
        ({"pooling": "max"}, "pooling='max' is for maps"),
        ({"pooling": "gem"}, "the backbone gives vectors of 5 features"),
    ],
)
def test_groups_that_do_not_fit(params, message):
    with pytest.raises(ValueError, match=message):
        Head((5,), 6, **params)


@pytest.mark.parametrize(
    ("loss", "params", "lengths"),
    [
        ("grouped", {"loss": "proxy_anchor", "groups": 2}, np.sqrt([1 / 2, 1 / 2])),
        ("boosted", {"groups": 3}, np.sqrt([1 / 6, 2 / 6, 3 / 6])),
        ("boosted", {"groups": 2, "diversity": 1e-3}, np.sqrt([1 / 3, 2 / 3])),
    ],
)
def test_embedder_scales_the_groups_of_its_loss(loss, params, lengths, tmp_path):
    embedder = DeepEmbedder(loss=loss, loss_params=params, n_components=12, **QUICK).fit(X, y)
    Z = embedder.transform(X)
    ends = np.cumsum(embedder.net_.module_.head.group_sizes)
    found = [np.linalg.norm(part, axis=1) for part in np.split(Z, ends[:-1], axis=1)]
    np.testing.assert_allclose(np.mean(found, axis=1), lengths, rtol=1e-5)
    np.testing.assert_allclose(np.ptp(found, axis=1), 0, atol=1e-5)
    embedder.save(tmp_path / "model")
    np.testing.assert_array_equal(DeepEmbedder.load(tmp_path / "model").transform(X), Z)


def test_users_groups_stand():
    embedder = DeepEmbedder(
        loss="boosted", head_params={"groups": 4}, n_components=12, **QUICK
    ).fit(X, y)
    assert embedder.net_.module_.head.group_sizes == [3, 3, 3, 3]


def test_users_weights_are_of_the_groups_of_the_loss():
    grouped = {"loss": "grouped", "loss_params": {"loss": "supcon", "groups": 2}}
    embedder = DeepEmbedder(
        **grouped, head_params={"group_weights": (3, 4)}, n_components=12, **QUICK
    ).fit(X, y)
    lengths = np.linalg.norm(embedder.transform(X).reshape(-1, 2, 6), axis=2)
    np.testing.assert_allclose(lengths, np.tile([0.6, 0.8], (len(X), 1)), atol=1e-6)
    with pytest.raises(ValueError, match="group_weights must be positive, one for each of 1"):
        embedder.set_params(loss="supcon", loss_params=None).fit(X, y)


def test_cosine_of_the_whole_is_the_boosted_sum():
    """The lengths of the groups make the concatenation the strong learner."""
    loss = L.BoostedLoss(3, embedding_dim=12)
    Z = torch.randn(5, 12, dtype=torch.float64)
    groups = [normalize(z, dim=1) for z in Z.split(loss.group_sizes, dim=1)]
    whole = torch.cat([w * z for w, z in zip(loss.group_lengths, groups, strict=True)], dim=1)
    sums = torch.zeros(5, 5, dtype=torch.float64)
    for m, z in enumerate(groups, 1):
        sums = (1 - 2 / (m + 1)) * sums + 2 / (m + 1) * z @ z.T
    assert_equal(whole @ whole.T, sums)


@pytest.mark.parametrize("groups", [2, 3])
def test_boosted_loss_with_diversity_is_its_formula(groups):
    """Value and gradients, of the predictors too, against a loop."""
    embeddings, labels = batch()
    with torch.random.fork_rng():
        torch.manual_seed(3)
        loss = L.BoostedLoss(groups, diversity=0.5, embedding_dim=embeddings.shape[1]).double()
    learned = list(loss.parameters())
    assert len(learned) == 4 * groups * (groups - 1) // 2
    ours = value_and_gradients(lambda x: loss(x, labels), embeddings, learned)
    loop = value_and_gradients(
        lambda x: boosted(loss, list(x), labels.tolist()), embeddings, learned
    )
    assert_equal(ours, loop)
    without = L.BoostedLoss(groups)(embeddings, labels)
    assert ours[0] < without


@pytest.mark.parametrize("sizes", [(1, 2), (2, 3, 4)])
def test_boosted_loss_with_activation_is_its_formula(sizes):
    embeddings, labels = batch()
    embeddings = torch.randn(len(labels), sum(sizes), dtype=torch.float64)
    head = Head((5,), sum(sizes)).double()
    pooled = torch.randn(len(labels), 5, dtype=torch.float64, requires_grad=True)
    loss = L.BoostedLoss(sizes, activation=0.3, embedding_dim=sum(sizes))
    value = loss(embeddings, labels, features=head.activations(pooled))
    ends = np.cumsum(sizes)
    groups = [range(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    expected = 0.0
    for j in range(len(groups)):
        for i in range(j):
            terms = []
            for h in pooled.detach():
                f = [w @ h / w.norm() for w in head.linear.weight]
                terms += [(f[k] * f[m]) ** 2 for k in groups[i] for m in groups[j]]
            expected = expected + 0.3 * sum(terms) / len(terms)
    plain = L.BoostedLoss(sizes, embedding_dim=sum(sizes))(embeddings, labels)
    assert_equal(value, plain + expected)
    of_weights = [torch.autograd.grad(v, head.linear.weight)[0] for v in (value, expected)]
    assert_equal(*of_weights)


def test_activation_keeps_groups_apart_by_the_last_layer():
    def overlap(activation):
        embedder = DeepEmbedder(
            loss="boosted", loss_params={"activation": activation}, n_components=12, **QUICK
        ).fit(X, y)
        network = embedder.net_.module_.eval()
        rows = torch.tensor(X, dtype=torch.float32)
        embeddings, seen = network(rows, "activations")
        assert torch.equal(embeddings, network(rows))
        one, two, three = (f.square().mean(1) for f in seen.split([2, 4, 6], dim=1))
        return (one * two + one * three + two * three).mean().item()

    assert overlap(10.0) < 0.8 * overlap(0.0)


def test_one_boosted_group_is_binomial_deviance():
    embeddings, labels = batch()
    assert_equal(L.BoostedLoss(1)(embeddings, labels), L.BinomialDevianceLoss()(embeddings, labels))


# Adversaries ------------------------------------------------------------------------------------


def test_reversal_turns_the_gradient_of_the_embeddings_alone():
    torch.manual_seed(0)
    separation = AdversarialSeparation(3, 4, hidden=8).double()
    u, v = (normalize(torch.randn(6, d, dtype=torch.float64), dim=1) for d in (3, 4))
    u.requires_grad_(), v.requires_grad_()

    def plain(u, v):
        predicted = normalize(separation.predictor(v), dim=1)
        return -(u * predicted).square().mean()

    leaves = [u, v, *separation.parameters()]
    ours = torch.autograd.grad(separation(u, v), leaves)
    theirs = torch.autograd.grad(plain(u, v), leaves)
    for number, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        assert_equal(a, -b if number < 2 else b)


# Features ---------------------------------------------------------------------------------------


class Recorded(L.MetricLoss):
    """Keeps what it is given."""

    needs_features = True
    refreshes = True

    def refresh(self, embeddings, labels, features=None):
        self.refreshed = embeddings, features

    def compute(self, embeddings, labels, features=None):
        self.seen = embeddings, features
        return embeddings.square().sum() + features.square().mean()


class RecordedMaps(Recorded):
    needs_maps = True


def test_a_loss_is_given_the_features_its_embeddings_are_made_of():
    embedder = DeepEmbedder(loss=Recorded, **QUICK).fit(X, y)
    head, loss = embedder.net_.module_.head, embedder.net_.criterion_
    embeddings, features = loss.seen
    assert features.shape == (len(embeddings), head.feature_dim)
    assert features.requires_grad
    embeddings, features = loss.refreshed
    assert features.shape == (len(embeddings), head.feature_dim)
    assert not features.requires_grad


def test_a_loss_is_given_maps():
    embedder = DeepEmbedder(module="convnet", loss=RecordedMaps, image_shape=(8, 8), **QUICK)
    embedder.fit(X, y)
    _, maps = embedder.net_.criterion_.seen
    assert maps.ndim == 4
    assert maps.shape[1] == embedder.net_.module_.head.feature_dim


@pytest.mark.parametrize("also", ["features", "maps"])
def test_features_change_no_embedding(also):
    torch.manual_seed(0)
    network = EmbeddingNetwork(torch.nn.Conv2d(2, 3, 1), Head((3, 4, 4), 5)).eval()
    rows = torch.randn(6, 2, 4, 4)
    embeddings, features = network(rows, also)
    assert torch.equal(embeddings, network(rows))
    assert torch.equal(network.head(features), embeddings)


def s2sd(features):
    loss = L.SelfDistillationLoss(
        L.SupConLoss(), (5, 7), 3.0, 2.0, 0.5, 0, features.shape[1], embedding_dim=3
    )
    return loss.double()


def test_self_distillation_is_its_formula():
    torch.manual_seed(0)
    embeddings, labels = batch()
    features = torch.randn(len(labels), 4, dtype=torch.float64)
    loss = s2sd(features)

    def softmax(Z, i):
        unit = [z / z.norm() for z in Z]
        row = torch.stack([unit[i] @ other for other in unit]) / 0.5
        return (row - row.logsumexp(0)).exp()

    def divergence(Z):
        total = 0
        for i in range(len(labels)):
            p, q = softmax(Z, i).detach(), softmax(embeddings, i)
            total = total + sum(p[j] * (p[j].log() - q[j].log()) for j in range(len(labels)))
        return 0.25 * total / len(labels)

    wide = [branch(features) for branch in loss.branches]
    plain = [L.SupConLoss()(normalize(g, dim=1), labels) for g in wide]
    by_hand = (L.SupConLoss()(embeddings, labels) + sum(plain) / 2) / 2
    by_hand = by_hand + 3.0 * sum(map(divergence, wide)) / 2 + 2.0 * divergence(features)
    assert_equal(loss(embeddings, labels, features=features), by_hand)


def test_self_distillation_teaches_one_way():
    """Without the losses of the branches nothing reaches them."""
    torch.manual_seed(0)
    embeddings, labels = batch()
    features = torch.randn(len(labels), 4, dtype=torch.float64, requires_grad=True)
    loss = s2sd(features)
    taught = loss(embeddings, labels, features=features)
    loss.weight = loss.feature_weight = 0.0
    alone = loss(embeddings, labels, features=features)
    leaves = [features, *loss.branches.parameters()]
    for a, b in zip(
        torch.autograd.grad(taught, leaves), torch.autograd.grad(alone, leaves), strict=True
    ):
        assert_equal(a, b)


def test_features_teach_after_the_delay():
    torch.manual_seed(0)
    embeddings, labels = batch()
    features = torch.randn(len(labels), 4, dtype=torch.float64)
    loss = s2sd(features)
    loss.delay = 2
    values = [loss(embeddings, labels, features=features).item() for _ in range(4)]
    assert values[0] == values[1] != values[2] == values[3]


def test_moments_are_those_of_the_places():
    """Inner products of the random features go to those of the exact moment tensors."""
    torch.manual_seed(0)
    maps = torch.randn(2, 3, 2, 2, dtype=torch.float64)
    loss = L.HighOrderLoss(L.SupConLoss(), 3, 200_000, 4, feature_dim=3, embedding_dim=2).double()
    places = maps.flatten(2)
    exact = (
        torch.einsum("bip,bjp->bij", places, places).flatten(1) / 4,
        torch.einsum("bip,bjp,bkp->bijk", places, places, places).flatten(1) / 4,
    )
    for moment, tensor in zip(loss.moments(maps), exact, strict=True):
        estimate = moment @ moment.T / loss.dim
        scale = torch.einsum("bi,bi->b", tensor, tensor).max()
        torch.testing.assert_close(estimate, tensor @ tensor.T, rtol=0, atol=0.02 * float(scale))


def test_high_order_loss_is_its_formula():
    torch.manual_seed(0)
    embeddings, labels = batch()
    maps = torch.randn(len(labels), 3, 2, 2, dtype=torch.float64)
    loss = L.HighOrderLoss(L.SupConLoss(), 3, 6, 4, feature_dim=3, embedding_dim=3).double()
    by_hand = L.SupConLoss()(embeddings, labels)
    for k in (2, 3):
        rows = []
        for image in maps:
            lifted = []
            for place in image.flatten(1).T:
                product = torch.ones(6, dtype=torch.float64)
                for W in loss.projections[:k]:
                    product = product * (W @ place)
                lifted.append(product)
            moment = sum(lifted) / len(lifted)
            rows.append(loss.heads[k - 2](moment / moment.norm()))
        by_hand = by_hand + L.SupConLoss()(normalize(torch.stack(rows), dim=1), labels)
    assert_equal(loss(embeddings, labels, features=maps), by_hand)


TRAINING_ONLY = {
    "self_distillation": (
        {"loss": "proxy_anchor", "dims": (32, 48)},
        ("branches", "branch_losses"),
    ),
    "high_order": ({"loss": "supcon", "dim": 16}, ("projections", "heads", "high_order")),
}


@pytest.mark.parametrize("name", TRAINING_ONLY)
def test_what_serves_training_alone_is_not_saved(name, tmp_path):
    from safetensors import safe_open

    params, left_out = TRAINING_ONLY[name]
    embedder = DeepEmbedder(
        module="convnet", image_shape=(8, 8), loss=name, loss_params=params, **QUICK
    ).fit(X, y)
    embedder.save(tmp_path / "model")
    with safe_open(tmp_path / "model", "pt") as file:
        assert not [key for key in file.keys() if key.split(".")[1] in left_out]  # noqa: SIM118
    loaded = DeepEmbedder.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.transform(X), embedder.transform(X))


@pytest.mark.parametrize("name", TRAINING_ONLY)
def test_a_stopped_run_goes_on_to_the_same_weights(name, tmp_path):
    params, _ = TRAINING_ONLY[name]

    arguments = {
        **QUICK,
        "module": "convnet",
        "image_shape": (8, 8),
        "loss": name,
        "loss_params": params,
        "validation": None,
    }
    whole = DeepEmbedder(**arguments).fit(X, y).transform(X)
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        DeepEmbedder(**arguments, checkpoint=folder, callbacks=[Kill(1)]).fit(X, y)
    resumed = DeepEmbedder(**arguments, checkpoint=folder).fit(X, y).transform(X)
    np.testing.assert_array_equal(resumed, whole)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"loss": "high_order", "loss_params": {"loss": "supcon"}}, "as maps"),
        ({"loss": "boosted", "loss_params": {"groups": 1, "activation": 1}}, "groups=1 is one"),
        ({"loss": "boosted", "loss_params": {"groups": 1, "diversity": 1}}, "keep groups apart"),
        (
            {"module": "adapter", "loss": "boosted", "loss_params": {"activation": 1}},
            "BoostedLoss as set up needs a last linear layer",
        ),
        (
            {
                "loss": L.WeightedSum(
                    [L.BoostedLoss(activation=1), L.SelfDistillationLoss(L.SupConLoss(), (8,))]
                )
            },
            "BoostedLoss needs what the last layer makes of features, and SelfDistillation",
        ),
        (
            {
                "loss": "matryoshka",
                "loss_params": {"loss": L.BoostedLoss(activation=1), "dims": (6, 12)},
            },
            "features must have the 6 dimensions of the embeddings",
        ),
        ({"loss": "grouped"}, "loss"),
        ({"loss": "grouped", "loss_params": {"loss": "no such"}}, "no such"),
        ({"loss": "grouped", "loss_params": {"loss": "supcon", "groups": 7}}, "groups must divide"),
    ],
)
def test_one_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        DeepEmbedder(**arguments, **QUICK).fit(X, y)


@pytest.mark.parametrize(
    "loss",
    [
        L.WeightedSum(
            [L.SelfDistillationLoss(L.SupConLoss(), (8,)), L.HighOrderLoss(L.SupConLoss())]
        ),
        L.HighOrderLoss(L.SelfDistillationLoss(L.SupConLoss(), (8,))),
        L.SelfDistillationLoss(L.HighOrderLoss(L.SupConLoss()), (8,)),
        L.WeightedSum([Recorded(), RecordedMaps()]),
    ],
    ids=["sum", "maps outside", "maps inside", "one's own"],
)
def test_features_of_two_kinds_are_one_error(loss):
    embedder = DeepEmbedder("convnet", loss, image_shape=(8, 8), **QUICK)
    with pytest.raises(ValueError, match="needs the maps of the backbone, and"):
        embedder.fit(X, y)


def test_each_order_of_moments_is_shown_the_training_set():
    loss = L.EmbeddingMomentsLoss(Listening(), 3, 5, embedding_dim=4)
    z = normalize(torch.randn(6, 4), dim=1)
    loss.refresh(z, torch.arange(6) % 2)
    for k, part in enumerate(loss.parts(), start=1):
        products = [z @ W.T for W in loss.projections[:k]]
        by_hand = normalize(torch.stack(products).prod(0), dim=1) if k > 1 else z
        torch.testing.assert_close(part.shown, by_hand)


class Listening(L.MetricLoss):
    """Keeps the training set that it is shown."""

    refreshes = True

    def refresh(self, embeddings, labels, features=None):
        self.shown = embeddings
