"""Ensembles on one network: masks, levels, parts of the training set."""

import itertools

import numpy as np
import pytest
import torch
from helpers.embedders import Kill, digits_accuracy
from helpers.loss_batches import assert_equal, batch
from safetensors import safe_open
from scipy.spatial.distance import pdist
from sklearn.datasets import load_digits
from sklearn.pipeline import FeatureUnion
from torch.nn.functional import normalize

from metriclearn.deep import DeepEmbedder
from metriclearn.deep import losses as L
from metriclearn.deep.losses._divided import matched
from metriclearn.deep.modules import AttentionEnsemble, Head, MultiLevel
from metriclearn.deep.samplers import ClassBalancedSampler, ClusterSampler

X, y = load_digits(return_X_y=True)
X, y = X[:300], y[:300]
QUICK = {"max_epochs": 2, "random_state": 0, "batch_size": 64, "validation": None}
IMAGES = {**QUICK, "image_shape": (8, 8), "n_components": 12}

#: Ensembles as `DeepEmbedder` takes them.
SYSTEMS = {
    "attention": {
        **IMAGES,
        "module": "attention",
        "loss": "grouped",
        "loss_params": {"loss": "proxy_anchor", "divergence": 0.25},
    },
    "cascade": {
        **IMAGES,
        "module": "multi_level",
        "loss": "cascaded",
        "loss_params": {"loss": "margin"},
    },
    "divided": {
        **QUICK,
        "n_components": 12,
        "loss": "divide_and_conquer",
        "loss_params": {"loss": "proxy_anchor", "n_learners": 3, "every": 1, "conquer_from": 3},
        "max_epochs": 4,
    },
    "hierarchical": {
        **QUICK,
        "n_components": 12,
        "loss": "divide_and_conquer",
        "loss_params": {"loss": "margin", "every": 1, "conquer_from": 3, "hierarchical": True},
        "max_epochs": 4,
    },
    "characteristics": {
        **QUICK,
        "n_components": 12,
        "loss": "shared_characteristics",
        "loss_params": {"loss": "proxy_anchor", "n_clusters": 5, "every": 1},
    },
    "diverse": {
        **QUICK,
        "n_components": 12,
        "loss": "diverse_aggregation",
        "loss_params": {"loss": "margin"},
    },
    "matryoshka": {**QUICK, "loss": "matryoshka", "loss_params": {"loss": "proxy_anchor"}},
    "moments": {**QUICK, "loss": "embedding_moments", "loss_params": {"loss": "supcon"}},
    "sampled": {**QUICK, "loss": "sampled_proxies", "loss_params": {"loss": "arcface"}},
    "two views": {**QUICK, "loss": "two_views", "augment": "corrupt"},
    "boosted": {**QUICK, "loss": "boosted", "loss_params": {"diversity": 1e-3, "activation": 1.0}},
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_stopped_run_goes_on_to_the_same_weights(name, tmp_path):
    arguments = SYSTEMS[name]
    whole = DeepEmbedder(**arguments).fit(X, y).transform(X)
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        DeepEmbedder(**arguments, checkpoint=folder, callbacks=[Kill(1)]).fit(X, y)
    resumed = DeepEmbedder(**arguments, checkpoint=folder).fit(X, y)
    np.testing.assert_array_equal(resumed.transform(X), whole)
    resumed.save(tmp_path / "model")
    loss = resumed.net_.criterion_
    with safe_open(tmp_path / "model", "pt") as file:
        keys = [key.split(".") for key in file.keys()]  # noqa: SIM118
    saved = {name for part, name, *_ in keys if part == "loss"}
    assert not saved & {*loss.training_only}
    np.testing.assert_array_equal(DeepEmbedder.load(tmp_path / "model").transform(X), whole)


#: Names of what wraps a loss, with a loss inside.
WRAPPED = {
    "grouped": {"loss": "proxy_anchor"},
    "cascaded": {"loss": "multi_similarity", "fractions": (0.5,)},
    "divide_and_conquer": {"loss": "proxy_anchor"},
    "shared_characteristics": {"loss": "proxy_anchor"},
    "diverse_aggregation": {"loss": "margin"},
    "matryoshka": {"loss": "proxy_anchor"},
    "embedding_moments": {"loss": "triplet"},
    "self_distillation": {"loss": "multi_similarity"},
}
#: Where fewer epochs do.
EPOCHS = {"self_distillation": 15}


@pytest.mark.slow
@pytest.mark.parametrize("name", WRAPPED)
def test_every_system_learns_digits(name):
    epochs = EPOCHS.get(name, "auto")
    assert digits_accuracy(loss=name, loss_params=WRAPPED[name], max_epochs=epochs) >= 0.97


# Networks of their own --------------------------------------------------------------------------


def test_distances_of_a_union_are_means_of_its_members():
    """Root K times shorter, K embeddings of length one are one of length one."""
    members = [
        (f"member {i}", DeepEmbedder(n_components=4, **{**QUICK, "random_state": i}))
        for i in range(3)
    ]
    lengths = {name: 3**-0.5 for name, _ in members}
    union = FeatureUnion(members, transformer_weights=lengths).fit(X, y)
    whole = union.transform(X)
    parts = [member.transform(X) for _, member in union.transformer_list]
    np.testing.assert_allclose(np.linalg.norm(whole, axis=1), 1, atol=1e-6)
    squared = [pdist(Z, "sqeuclidean") for Z in (whole, *parts)]
    np.testing.assert_allclose(squared[0], np.mean(squared[1:], axis=0), atol=1e-6)
    assert len({Z[0, 0] for Z in parts}) == 3
    alone = FeatureUnion(members[:1]).fit(X, y).transform(X)
    np.testing.assert_array_equal(alone, parts[0])


# Masks ------------------------------------------------------------------------------------------


def test_each_mask_is_seen_by_the_same_rest():
    torch.manual_seed(0)
    network = AttentionEnsemble(2, 12, (4, 8), n_masks=3).double().eval()
    images = torch.randn(5, 2, 9, 7, dtype=torch.float64)
    shared = network.trunk(images)
    weights = network.masks.weight[:, :, 0, 0].unflatten(0, (3, 4))
    biases = network.masks.bias.unflatten(0, (3, 4))
    groups = []
    for W, c in zip(weights, biases, strict=True):
        mask = torch.einsum("ij,bjhw->bihw", W, shared) + c[:, None, None]
        features = network.rest(shared / (1 + (-mask).exp())).mean((2, 3))
        groups.append(features @ network.linear.weight.T + network.linear.bias)
    assert_equal(network(images), torch.cat(groups, dim=1))


def test_masks_that_let_all_through_embed_alike():
    torch.manual_seed(0)
    network = AttentionEnsemble(1, 6, (4, 8), n_masks=3).eval()
    torch.nn.init.zeros_(network.masks.weight)
    torch.nn.init.constant_(network.masks.bias, 50)
    z = network(torch.randn(5, 1, 8, 8))
    a, b, c = z.split(2, dim=1)
    assert torch.equal(a, b)
    assert torch.equal(a, c)
    apart = L.GroupedLoss(L.SupConLoss(), 3, divergence=1.0, divergence_margin=0.7)
    alike = L.GroupedLoss(L.SupConLoss(), 3)
    labels = torch.tensor([0, 0, 1, 1, 1])
    torch.testing.assert_close(apart(z, labels) - alike(z, labels), torch.tensor(3 * 0.7))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AttentionEnsemble(1, 10, n_masks=4), "n_masks must divide n_components=10"),
        (lambda: AttentionEnsemble(1, 8, (4, 4), n_shared=3), "at most the 2 blocks, got 3"),
        (lambda: MultiLevel(1, 10, levels=3), "levels must divide n_components=10, got 3"),
        (lambda: MultiLevel(1, 8, (4, 4), levels=4), "levels must be at most one for each of 2"),
        (lambda: MultiLevel(1, 6, (4, 4, 4), blocks=[]), "blocks must be one for each of 3"),
        (lambda: L.DivideAndConquerLoss(L.SupConLoss(), 3, hierarchical=True), "power of two"),
        (lambda: L.DivideAndConquerLoss(L.ArcFaceLoss(), hierarchical=True), "ArcFaceLoss has pro"),
        (lambda: L.DivideAndConquerLoss(L.SupConLoss()).build(2, 6, 9), "divide the 6 dimensions"),
        (lambda: L.CascadedLoss(L.ContrastiveLoss(), (0.5, 1.5)), r"fractions must be in \(0, 1\]"),
        (lambda: L.CascadedLoss(L.SupConLoss(), (0.5,), (1, 2, 3)), "groups must be 2 sizes"),
        (lambda: L.CascadedLoss(L.ProxyAnchorLoss()), "loss must be one on pairs, ProxyAnchor"),
        (
            lambda: L.GroupedLoss(L.SupConLoss(), (1, 2), divergence=1.0)(
                torch.eye(3), torch.tensor([0, 0, 1])
            ),
            "divergence is between groups of one size",
        ),
    ],
)
def test_what_does_not_fit_is_one_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Levels -----------------------------------------------------------------------------------------


def test_levels_are_those_of_the_blocks():
    torch.manual_seed(0)
    network = MultiLevel(2, 12, (4, 8, 6), levels=(5, 7)).double().eval()
    images = torch.randn(5, 2, 16, 16, dtype=torch.float64)
    second = network.stages[1](network.stages[0](images))
    third = network.stages[2](second)
    levels = [
        maps.mean((2, 3)) @ linear.weight.T + linear.bias
        for maps, linear in zip((second, third), network.linears, strict=True)
    ]
    assert_equal(network(images), torch.cat(levels, dim=1))


def test_ranked_list_loss_on_three_levels():
    """(L, M, H): each level is an embedding of length one with a ranked list of its own."""
    embedder = DeepEmbedder(
        "multi_level", "grouped", loss_params={"loss": "ranked_list", "groups": 3}, **IMAGES
    ).fit(X, y)
    network = embedder.net_.module_
    images = torch.as_tensor(X.reshape(-1, 1, 8, 8), dtype=torch.float32)
    with torch.no_grad():
        levels = network.backbone(images).split(4, dim=1)
    by_hand = torch.cat([normalize(z, dim=1) for z in levels], dim=1) / np.sqrt(3)
    np.testing.assert_allclose(embedder.transform(X), by_hand, atol=1e-6)


# The cascade ------------------------------------------------------------------------------------


class Listening(L.ContrastiveLoss):
    """Keeps the pairs that it is given."""

    def compute(self, embeddings, labels, selection=None, reference=None):
        self.seen = selection
        return super().compute(embeddings, labels, selection, reference)


def test_each_group_sees_hard_pairs_of_those_before_it():
    Z, labels = batch()
    loss = L.CascadedLoss(Listening(), (0.5, 0.4), embedding_dim=3)
    loss(Z, labels)
    before = loss.losses[0].seen
    for k, share in enumerate(loss.fractions):
        seen = loss.losses[k + 1].seen
        for mask, outer, hard in zip(seen, before, (1, -1), strict=True):
            assert mask.sum() == np.ceil(share * int(outer.sum()))
            assert (mask <= outer).all()
            d = hard * (Z[:, k, None] - Z[None, :, k]).abs()
            assert d[mask > 0].min() >= d[outer * (1 - mask) > 0].max()
        before = seen


def test_a_cascade_of_all_pairs_is_a_plain_ensemble():
    Z, labels = batch()
    cascade = L.CascadedLoss(L.MultiSimilarityLoss(), (1.0, 1.0))
    assert_equal(cascade(Z, labels), 3 * L.GroupedLoss(L.MultiSimilarityLoss(), 3)(Z, labels))


# Divide and conquer -----------------------------------------------------------------------------


def divided(base, n_learners, clusters, d=6, **params):
    loss = L.DivideAndConquerLoss(base, n_learners, embedding_dim=d, **params)
    loss.build(4, d, n_samples=len(clusters)).double()
    loss.assignment.copy_(torch.as_tensor(clusters))
    return loss


def test_each_learner_is_the_loss_on_its_dimensions_and_rows():
    labels = torch.tensor([0, 0, 1, 1, 0, 0, 2, 2, 2, 1])
    clusters = np.array([0, 0, 0, 0, 2, 2, 2, 2, 1, 1])
    torch.manual_seed(0)
    loss = divided(L.ProxyAnchorLoss(), 3, clusters)
    Z = torch.randn(10, 6, dtype=torch.float64, requires_grad=True)
    chosen = torch.tensor([9, 1, 2, 5, 6, 8, 3, 4])
    by_hand = 0.0
    for k, base in enumerate(loss.losses):
        rows = [i for i, at in enumerate(chosen.tolist()) if clusters[at] == k]
        unit = torch.stack([Z[i, 2 * k : 2 * k + 2] / Z[i, 2 * k : 2 * k + 2].norm() for i in rows])
        by_hand = by_hand + len(rows) / 8 * base(unit, labels[chosen[rows]])
    assert_equal(loss(Z[:8], labels[chosen], indices=chosen), by_hand)


def test_a_batch_of_one_cluster_changes_one_group():
    loss = divided(L.MultiSimilarityLoss(), 3, np.ones(8, int))
    Z = torch.randn(8, 6, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    (gradient,) = torch.autograd.grad(loss(Z, labels, indices=torch.arange(8)), Z)
    assert not gradient[:, [0, 1, 4, 5]].any()
    assert gradient[:, 2:4].any(1).all()


@pytest.mark.parametrize("hierarchical", [False, True])
def test_a_batch_of_one_cluster_changes_rows_of_the_last_layer_of_one_learner(hierarchical):
    """Exactly: a trace of rounding would be a step of Adam."""
    torch.manual_seed(0)
    loss = L.DivideAndConquerLoss(L.MultiSimilarityLoss(), 4, hierarchical=hierarchical)
    loss.build(4, 12, n_samples=8).n_parts.fill_(2 if hierarchical else 4)
    loss.assignment.fill_(1)
    head = Head((5,), 12, groups=loss.group_sizes, group_weights=loss.group_lengths)
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    loss(head(torch.randn(8, 5)), labels, indices=torch.arange(8)).backward()
    own = slice(6, 12) if hierarchical else slice(3, 6)
    changed = head.linear.weight.grad.any(1)
    assert changed[own].all()
    assert changed.sum() == own.stop - own.start


@pytest.mark.parametrize("clusters", [np.zeros(8, int), np.full(8, -1)])
def test_one_learner_is_the_loss(clusters):
    loss = divided(L.MultiSimilarityLoss(), 1, clusters)
    Z = normalize(torch.randn(8, 6, dtype=torch.float64), dim=1)
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    assert torch.equal(loss(Z, labels, indices=torch.arange(8)), L.MultiSimilarityLoss()(Z, labels))


@pytest.mark.parametrize("n", [2, 3, 5])
def test_most_rows_keep_their_learner(n):
    rng = np.random.default_rng(n)
    before, found = rng.integers(n, size=(2, 40))
    best = max((np.array(p)[found] == before).sum() for p in itertools.permutations(range(n)))
    assert (matched(found, before, n) == before).sum() == best


def test_clusters_are_divided_then_conquered():
    torch.manual_seed(0)
    signs = torch.tensor([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
    Z = signs[torch.arange(40) % 4].repeat(1, 2) + 0.05 * torch.randn(40, 8)
    labels = torch.zeros(40, dtype=torch.int64)
    flat = L.DivideAndConquerLoss(
        L.SupConLoss(), 4, 2, conquer_from=3, embedding_dim=8, n_samples=40
    )
    split = L.DivideAndConquerLoss(
        L.SupConLoss(), 4, 1, conquer_from=3, hierarchical=True, embedding_dim=8, n_samples=40
    )
    counts, learners, numbers, owners = [], [], [], []
    for _ in range(4):
        assert flat.refreshes
        for loss in (flat, split):
            loss.refresh(Z, labels)
        counts.append(flat.clusters.unique().numel())
        learners.append(split.clusters.unique().numel())
        numbers.append(split.n_learners_)
        owners.append(flat.clusters.tolist())
    assert counts == [4, 4, 4, 1]
    assert owners[0] == owners[1] == owners[2] == 10 * owners[0][:4]
    assert learners == [1, 2, 4, 1]
    assert numbers == [1, 2, 4, 4]
    assert flat.clusters.tolist() == [-1] * 40
    assert not flat.refreshes


def test_batches_are_of_one_cluster():
    codes = np.random.default_rng(0).integers(6, size=200)
    clusters = torch.from_numpy(np.random.default_rng(1).integers(3, size=200))
    sampler = ClusterSampler(batch_size=16, samples_per_class=2)
    sampler.follow(clusters)
    batches = sampler.epoch(codes, np.random.default_rng(2))
    for rows in batches:
        assert len(np.unique(clusters[rows])) == 1
        assert np.bincount(codes[rows]).max() == 2
    assert {int(clusters[rows[0]]) for rows in batches} == {0, 1, 2}
    sampler.follow(torch.full((200,), -1))
    plain = ClassBalancedSampler(batch_size=16, samples_per_class=2)
    for ours, theirs in zip(
        sampler.epoch(codes, np.random.default_rng(2)),
        plain.epoch(codes, np.random.default_rng(2)),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_training_draws_from_the_clusters_of_the_loss():
    """Each batch changes one learner's rows of the last layer alone, until it conquers."""
    seen = []

    class Watched(L.DivideAndConquerLoss):
        def compute(self, embeddings, labels, indices=None, features=None):
            seen.append(self.clusters[indices].unique().tolist())
            return super().compute(embeddings, labels, indices, features)

    loss = Watched(L.SupConLoss(), 3, conquer_from=1)
    embedder = DeepEmbedder(loss=loss, n_components=12, **QUICK).fit(X, y)
    assert all(len(clusters) == 1 for clusters in seen)
    numbers = [number for (number,) in seen]
    assert {0, 1, 2} <= {*numbers}
    assert numbers[-1] == -1
    assert embedder.net_.criterion_.n_epochs == 2


@pytest.mark.parametrize(
    ("module", "loss", "sizes"),
    [
        ("multi_level", "cascaded", (22, 22, 22)),
        ("convnet", "cascaded", (21, 21, 22)),
        ("attention", "grouped", (16, 16, 16, 16)),
    ],
)
def test_rows_of_the_guide_train_by_their_defaults(module, loss, sizes):
    embedder = DeepEmbedder(module, loss, **{**QUICK, "max_epochs": 1}, image_shape=(8, 8))
    embedder.set_params(loss_params={"loss": "contrastive"}).fit(X[:100], y[:100])
    assert embedder.net_.criterion_.group_sizes == sizes
    assert embedder.transform(X[:3]).shape == (3, sum(sizes))


def test_cascade_of_unequal_groups_is_that_of_the_sizes():
    x = torch.randn(12, 7, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(12) % 3
    by_default = L.CascadedLoss(L.ContrastiveLoss(1.0)).build(3, 7)
    given = L.CascadedLoss(L.ContrastiveLoss(1.0), groups=(2, 2, 3)).build(3, 7)
    early = L.CascadedLoss(L.ContrastiveLoss(1.0), embedding_dim=7)
    assert by_default(x, labels) == given(x, labels) == early(x, labels)
    with pytest.raises(ValueError, match="groups must divide the 2 dimensions"):
        L.CascadedLoss(L.ContrastiveLoss()).build(3, 2)


#: What by its defaults wraps a loss that takes pairs, on rows without columns and rows.
BY_DEFAULTS = sorted(
    L.WRAPPERS.keys() - {"high_order", "two_views", "sampled_proxies", "weighted_sum"}
)


@pytest.mark.parametrize("name", BY_DEFAULTS)
def test_wrapper_of_defaults_is_saved_and_goes_on(tmp_path, name):
    inner = "margin" if name == "diverse_aggregation" else "contrastive"
    settings = {**QUICK, "max_epochs": 1, "loss_params": {"loss": inner}}
    embedder = DeepEmbedder(loss=name, **settings).fit(X[:100], y[:100])
    embedder.save(tmp_path / "model")
    loaded = DeepEmbedder.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.transform(X), embedder.transform(X))
    loaded.set_params(warm_start=True).fit(X[:100], y[:100])
    assert loaded.n_iter_ == 2


@pytest.mark.parametrize("name", ["dynamic_soft_margin", "embedding_moments", "self_distillation"])
def test_new_classes_come_where_nothing_of_classes_is_learned(name):
    settings = {**QUICK, "loss_params": {"loss": "contrastive"} if name in L.WRAPPERS else None}
    embedder = DeepEmbedder(loss=name, **settings).partial_fit(X[y < 5], y[y < 5])
    embedder.partial_fit(X, y)
    assert len(embedder.classes_) == 10
    settings["loss_params"] = {"loss": "arcface"}
    embedder = DeepEmbedder(loss="self_distillation", **settings).partial_fit(X[y < 5], y[y < 5])
    with pytest.raises(ValueError, match="has learned something of each class"):
        embedder.partial_fit(X, y)


@pytest.mark.parametrize("inner", [L.BoostedLoss(2), L.GroupedLoss(L.SupConLoss(), 2)])
def test_nested_dimensions_have_groups_of_their_own(inner):
    """The head scales none of them: a prefix cuts its groups elsewhere than the next one."""
    embedder = DeepEmbedder(
        loss=L.Matryoshka(inner, (4, 8)), n_components=8, max_epochs=1, random_state=0
    ).fit(X, y)
    assert len(embedder.net_.module_.head.group_sizes) == 1
    loss, z = embedder.net_.criterion_, torch.randn(10, 8, dtype=torch.float64)
    labels = torch.tensor([0, 1] * 5)
    by_hand = [
        part(normalize(z[:, :width], dim=1), labels)
        for part, width in zip(loss.losses, (4, 8), strict=True)
    ]
    torch.testing.assert_close(loss(z, labels), sum(by_hand))


def test_a_divided_part_is_found_however_deep():
    inner = L.DivideAndConquerLoss(L.SupConLoss(), 2, embedding_dim=4, n_samples=6)
    loss = L.WeightedSum([L.WeightedSum([L.SupConLoss(), inner])])
    loss.refresh(torch.randn(6, 4), torch.arange(6) % 2)
    assert torch.equal(loss.clusters, inner.clusters)
