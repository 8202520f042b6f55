"""What is particular to one loss, and what is known to go wrong elsewhere."""

import pytest
import torch
from helpers.loss_batches import assert_equal, batch, fresh, value_and_gradients
from helpers.loss_loops import cos, label_parts_triplet, log_ratio, margin
from helpers.oracles import DIM, LOSSES, N_CLASSES
from torch.nn.functional import normalize

from metriclearn.deep import losses as L
from metriclearn.deep.losses._repulsion import repulsion
from metriclearn.deep.tensors._masked_sums import masked_logsumexp, two_logsumexps
from metriclearn.deep.tensors._pairwise import distances, listed_distances, sq_distances
from metriclearn.deep.tensors._selections import masks

# Single losses ----------------------------------------------------------------------------------


def test_margin_loss_has_a_boundary_for_each_sample():
    embeddings, labels = batch()
    loss = L.MarginLoss(scope="sample", nu=0.1).build(N_CLASSES, DIM, n_samples=30).double()
    for parameter in loss.parameters():
        parameter.data += torch.linspace(0, 0.3, parameter.numel()).view_as(parameter)
    indices = torch.randperm(30, generator=torch.Generator().manual_seed(0))[:10]
    value, gradients = value_and_gradients(
        lambda x: loss(x, labels, indices=indices), embeddings, list(loss.parameters())
    )
    truth, expected = value_and_gradients(
        lambda x: margin(loss, list(x), labels.tolist(), indices),
        embeddings,
        list(loss.parameters()),
    )
    assert_equal(value, truth)
    for ours, theirs in zip(gradients, expected, strict=True):
        assert_equal(ours, theirs)
    with pytest.raises(ValueError, match="indices of the training rows are needed"):
        loss(embeddings, labels)
    with pytest.raises(RuntimeError, match=r"give n_classes and n_samples, or call build"):
        L.MarginLoss(scope="sample")(embeddings, labels)


def test_margin_loss_without_learning_keeps_its_boundary_as_a_buffer():
    loss = L.MarginLoss(learn_beta=False)
    assert not list(loss.parameters())
    assert loss.state_dict()["beta_global"] == torch.tensor(1.2)


def test_log_ratio_takes_floats_as_amounts_in_any_unit():
    embeddings, labels = batch()
    amounts = torch.linspace(-1, 2, 10, dtype=torch.float64).square()
    loss = L.LogRatioLoss()
    assert_equal(loss(embeddings, amounts), log_ratio(loss, list(embeddings), amounts.tolist()))
    assert_equal(loss(embeddings, amounts), loss(embeddings, 1000 * amounts))
    assert loss(embeddings, labels) != loss(embeddings, labels.double())


def test_continuous_labels_may_be_vectors():
    embeddings, _ = batch()
    positions = torch.randn(10, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    one = positions[:, :1]
    for loss in (L.LogRatioLoss(), L.LabelDistanceTripletLoss(near=0.5, far=1.0)):
        assert_equal(loss(embeddings, one), loss(embeddings, one[:, 0]))
        assert loss(embeddings, positions) != loss(embeddings, one)


def test_thresholds_of_label_distances_come_from_the_labels():
    embeddings, labels = batch()
    generator = torch.Generator().manual_seed(0)
    positions = 100 * torch.randn(400, 2, generator=generator)
    apart = torch.pdist(positions.double())
    built = L.LabelDistanceTripletLoss().build(None, DIM, labels=positions)
    expected = torch.quantile(apart, torch.tensor([0.05, 0.2], dtype=torch.float64))
    assert_equal(built.thresholds.double(), expected, 1e-5)
    near, far = built.thresholds.tolist()
    some = positions[:10]
    plain = L.LabelDistanceTripletLoss(near, far)
    assert_equal(built(embeddings, some), plain(embeddings, some))
    # In any unit, and kept with the state.
    kilometers = L.LabelDistanceTripletLoss().build(None, DIM, labels=positions / 1000)
    assert_equal(kilometers(embeddings, some / 1000), plain(embeddings, some), 1e-5)
    loaded = L.LabelDistanceTripletLoss()
    loaded.load_state_dict(built.state_dict())
    assert_equal(loaded(embeddings, some), plain(embeddings, some))
    # By itself the batch is measured; whole numbers are names of classes.
    alone = L.LabelDistanceTripletLoss()(embeddings, some)
    low, high = torch.quantile(torch.pdist(some.double()), torch.tensor([0.05, 0.2]).double())
    assert_equal(alone, L.LabelDistanceTripletLoss(float(low), float(high))(embeddings, some))
    classes = L.LabelDistanceTripletLoss()(embeddings, labels)
    assert_equal(classes, L.LabelDistanceTripletLoss(0.5, 0.5)(embeddings, labels))
    # One of the two is kept as given.
    for given in ({"near": 1e4}, {"far": 1e-3}):
        assert L.LabelDistanceTripletLoss(**given)(embeddings, some).isfinite()


def test_label_parts_have_thresholds_of_their_own():
    """A position and an angle: near in both, far in either."""
    embeddings, _ = batch()
    generator = torch.Generator().manual_seed(3)
    poses = torch.rand(10, 3, dtype=torch.float64, generator=generator) * torch.tensor([1, 1, 90])
    loss = L.LabelDistanceTripletLoss((0.6, 40.0), (0.9, 60.0), parts=((0, 1), (2,)))
    value = loss(embeddings, poses)
    assert value > 0
    assert_equal(value, label_parts_triplet(loss, list(embeddings), poses.tolist()))
    # In units of its own each, and one part of all columns is none.
    scaled = L.LabelDistanceTripletLoss((600, 40.0), (900, 60.0), parts=((0, 1), (2,)))
    assert_equal(value, scaled(embeddings, poses * torch.tensor([1000, 1000, 1])))
    moved = L.LabelDistanceTripletLoss((40.0, 0.6), (60.0, 0.9), parts=((0,), (1, 2)))
    assert_equal(value, moved(embeddings, poses[:, [2, 0, 1]]))
    whole = L.LabelDistanceTripletLoss(0.4, 1.0, parts=((0, 1, 2),))
    assert_equal(whole(embeddings, poses), L.LabelDistanceTripletLoss(0.4, 1.0)(embeddings, poses))
    # Quantiles of each part, kept with the state; what is given stays.
    built = L.LabelDistanceTripletLoss(parts=((0, 1), (2,))).build(None, DIM, labels=poses)
    for part, columns in enumerate(([0, 1], [2])):
        alone = L.LabelDistanceTripletLoss().build(None, DIM, labels=poses[:, columns])
        assert_equal(built.thresholds[:, part], alone.thresholds)
    loaded = L.LabelDistanceTripletLoss(parts=((0, 1), (2,)))
    loaded.load_state_dict(built.state_dict())
    assert_equal(loaded(embeddings, poses), built(embeddings, poses))
    given = L.LabelDistanceTripletLoss((None, 40.0), 60.0, parts=((0, 1), (2,)))
    assert given(embeddings, poses).isfinite()


def test_center_loss_moves_its_centers_in_training_only():
    loss = L.CenterLoss(alpha=0.5, n_classes=2, embedding_dim=1)
    embeddings, labels = torch.tensor([[1.0], [3.0], [5.0]]), torch.tensor([0, 0, 1])
    loss(embeddings, labels)
    # c += α Σ (x - c) / (1 + n)
    assert_equal(loss.centers, torch.tensor([[0.5 * 4 / 3], [0.5 * 5 / 2]]), 1e-6)
    loss.eval()
    before = loss.centers.clone()
    loss(embeddings, labels)
    assert torch.equal(loss.centers, before)
    with pytest.raises(RuntimeError, match="CenterLoss has no centers yet"):
        L.CenterLoss()(embeddings, labels)


def test_sphereface_anneals():
    loss = L.SphereFaceLoss(n_classes=N_CLASSES, embedding_dim=DIM)
    embeddings, labels = batch(dtype=torch.float32)
    for _ in range(3):
        loss(embeddings, labels)
    assert int(loss.step) == 3
    loss.eval()
    loss(embeddings, labels)
    assert int(loss.step) == 3


def test_hierarchical_triplet_margins_follow_the_tree():
    # Two near classes and one far: the margin to the far one is larger.
    generator = torch.Generator().manual_seed(0)
    centers = normalize(torch.tensor([[1.0, 0.1, 0.0], [1.0, -0.1, 0.0], [-1.0, 0.0, 0.2]]))
    labels = torch.arange(3).repeat_interleave(20)
    rows = normalize(centers[labels] + 0.02 * torch.randn(60, 3, generator=generator))
    loss = L.HierarchicalTripletLoss(n_classes=3)
    assert torch.equal(loss.class_margins, torch.full((3, 3), 0.1))
    loss.refresh(rows, labels)
    margins = loss.class_margins
    assert margins[0, 1] < margins[0, 2]
    between = torch.cdist(rows[labels == 0], rows[labels == 2]).square().mean()
    within = torch.pdist(rows[labels == 0]).square().mean()
    step = (
        4 - torch.stack([torch.pdist(rows[labels == c]).square().mean() for c in range(3)]).mean()
    ) / 16
    # The join is the first level above the mean distance, less the spread of the anchor's class.
    assert between - within + 0.1 - step < margins[0, 2] < between - within + 0.1 + step
    with pytest.raises(RuntimeError, match="does not know its classes yet"):
        L.HierarchicalTripletLoss()(rows, labels)


def test_subcenter_arcface_finds_rows_of_other_centers():
    loss = L.SubCenterArcFaceLoss(n_centers=2, n_classes=1, embedding_dim=2)
    loss.proxies.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    rows = torch.tensor([[1.0, 0.1], [1.0, -0.1], [0.9, 0.0], [0.0, 1.0]])
    angles = loss.angles_to_dominant(rows, torch.zeros(4, dtype=torch.int64))
    assert (angles[:3] < 10).all()
    assert_equal(angles[3], torch.tensor(90.0), 1e-4)


def test_soft_triple_merges_centers():
    torch.manual_seed(0)
    loss = L.SoftTripleLoss(n_centers=3, tau=50.0, n_classes=2, embedding_dim=4)
    optimizer = torch.optim.SGD(loss.parameters(), 0.02)
    x, labels = torch.randn(6, 4), torch.tensor([0, 0, 0, 1, 1, 1])

    def spread():
        centers = normalize(loss.proxies.detach()).view(3, 2, 4).transpose(0, 1)
        return torch.cdist(centers, centers).sum()

    before = spread()
    for _ in range(50):
        optimizer.zero_grad()
        loss(x, labels).backward()
        optimizer.step()
    assert spread() < before / 10
    assert loss.count_centers(within=0.3).tolist() == [1, 1]


def test_centers_are_counted_by_chains():
    loss = L.SoftTripleLoss(n_centers=4, n_classes=2, embedding_dim=2)
    angles = torch.tensor([[0.0, 0.09, 2.0, 0.18], [0.0, 1.0, 2.0, 1.05]])  # center by class
    with torch.no_grad():
        loss.proxies.copy_(3 * torch.stack([angles.T.cos(), angles.T.sin()], dim=2).view(8, 2))
    assert loss.count_centers().tolist() == [2, 3]
    assert loss.count_centers(within=0.01).tolist() == [4, 4]
    assert loss.count_centers(within=2.0).tolist() == [1, 1]


@pytest.mark.parametrize("alpha", [16.0, 80.0], ids=["as it is", "shifted"])
def test_repulsion_in_blocks_is_the_dense_sum(alpha):
    generator = torch.Generator().manual_seed(0)
    proxies = normalize(torch.randn(1100, 8, generator=generator, dtype=torch.float64))

    def dense(v):
        others = 1 - torch.eye(len(v), dtype=v.dtype)
        return torch.log1p((torch.exp(alpha * (v @ v.T + 0.5)) * others).sum(1)).sum()

    value, gradient = value_and_gradients(lambda v: repulsion(v, 0.5, alpha), proxies)
    truth, expected = value_and_gradients(dense, proxies)
    assert_equal(value, truth)
    assert_equal(gradient[0], expected[0])


def test_instance_loss_is_a_softmax_over_the_training_rows():
    embeddings, labels = batch()
    torch.manual_seed(0)
    loss = L.InstanceLoss(scale=4.0).build(None, DIM, n_samples=30).double()
    indices = torch.randperm(30, generator=torch.Generator().manual_seed(0))[:10]
    value, gradients = value_and_gradients(
        lambda x: loss(x, labels, indices=indices), embeddings, [loss.instances]
    )

    def slow(x):
        terms = []
        for row, own in zip(x, indices.tolist(), strict=True):
            logits = torch.stack([4.0 * cos(row, w) for w in loss.instances])
            terms.append(logits.logsumexp(0) - logits[own])
        return sum(terms) / len(terms)

    truth, expected = value_and_gradients(slow, embeddings, [loss.instances])
    assert_equal(value, truth)
    for ours, theirs in zip(gradients, expected, strict=True):
        assert_equal(ours, theirs)
    assert_equal(loss(embeddings, None, indices=indices), value)
    with pytest.raises(ValueError, match="indices of the training rows are needed by InstanceLoss"):
        loss(embeddings, labels)
    with pytest.raises(RuntimeError, match="has no vectors yet: give n_samples and embedding_dim"):
        L.InstanceLoss()(embeddings, labels, indices=indices)
    with pytest.raises(ValueError, match="n_samples must be at least 1 to build"):
        L.InstanceLoss().build(3, DIM)


def test_two_views_are_the_labels_of_two_views():
    embeddings, _ = batch()
    loss = L.TwoViewLoss(L.SupConLoss())
    assert_equal(loss(embeddings, None), L.SupConLoss()(embeddings, torch.arange(5).repeat(2)))
    with pytest.raises(ValueError, match="second views of as many rows, got 9 rows"):
        loss(embeddings[:9], None)


def test_matryoshka_trains_prefixes():
    embeddings, labels = batch()
    wide = torch.cat([embeddings] * 8, 1)
    loss = L.Matryoshka(L.ProxyAnchorLoss()).build(N_CLASSES, 24).double()
    assert [part.proxies.shape[1] for part in loss.parts()] == [12, 24]
    assert loss.needs_classes
    parts = zip(loss.parts(), (12, 24), strict=True)
    assert_equal(loss(wide, labels), sum(part(wide[:, :n], labels) for part, n in parts))
    # Of embeddings of any length the prefixes stay as they are.
    plain = L.Matryoshka(L.ContrastiveLoss(), (2,))
    assert_equal(plain(embeddings, labels), L.ContrastiveLoss()(embeddings[:, :2], labels))
    unit = L.Matryoshka(L.TripletLoss(), (2,))
    assert_equal(unit(embeddings, labels), L.TripletLoss()(normalize(embeddings[:, :2]), labels))
    for make, message in (
        (lambda: L.Matryoshka(L.SupConLoss(), ()), "dims must hold at least one number"),
        (lambda: L.Matryoshka(L.SupConLoss(), (0, 3)), "each at least 1, got"),
        (lambda: L.Matryoshka(L.SupConLoss(), (4,)).build(4, 3), "at most the 3 dimensions"),
        (lambda: L.Matryoshka(L.SupConLoss(), (2,), (1, 2)), "one for each of dims="),
        (lambda: L.Matryoshka(L.SupConLoss(), weights=(1, 2)), "one for each of dims=None"),
    ):
        with pytest.raises(ValueError, match=message):
            make()


def test_dynamic_soft_margin_keeps_a_running_histogram():
    loss = L.DynamicSoftMarginLoss(n_bins=16, momentum=0.25)
    assert not loss.histogram.any()
    loss(*batch(0, torch.float32))
    first = loss.histogram.clone()
    assert_equal(first.sum(), torch.tensor(1.0), 1e-5)
    loss(*batch(1, torch.float32))
    alone = L.DynamicSoftMarginLoss(n_bins=16)
    alone(*batch(1, torch.float32))
    assert_equal(loss.histogram, 0.75 * first + 0.25 * alone.histogram, 1e-5)
    loss.eval()
    before = loss.histogram.clone()
    loss(*batch(2, torch.float32))
    assert torch.equal(loss.histogram, before)


# What is wrong elsewhere and has to be right here -------------------------------------------------


@pytest.mark.parametrize(("n_classes", "per_class"), [(3, 2), (8, 4), (2, 5)])
def test_smooth_ap_of_a_perfect_clustering_is_zero(n_classes, per_class):
    labels = torch.arange(n_classes).repeat_interleave(per_class)
    embeddings = torch.eye(n_classes)[labels]
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    for at in (slice(None), order):
        # Equal positives tie: each counts half of the others, above and below the line alike.
        assert L.SmoothAPLoss()(embeddings[at], labels[at]).abs() < 1e-5


def test_angular_loss_does_not_see_the_length_of_negatives():
    embeddings, labels = batch()
    longer = embeddings * (1 + 2 * (labels == 1))[:, None]
    assert_equal(L.AngularLoss()(embeddings, labels), L.AngularLoss()(longer, labels))


@pytest.mark.parametrize("case", LOSSES, ids=lambda case: case.name)
def test_large_labels_do_not_collide(case):
    if list(case.loss.parameters()) or list(case.loss.buffers()):
        return  # labels of these are 0 to n_classes - 1
    if case.loss.continuous_labels:
        return
    embeddings, labels = batch()
    assert_equal(fresh(case)(embeddings, labels + 2**24), fresh(case)(embeddings, labels))


@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("n_others", [None, 7])
def test_few_listed_distances_are_those_of_the_matrix(squared, n_others):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(30, 4, dtype=torch.float64, generator=generator)
    others = None if n_others is None else torch.randn(n_others, 4, generator=generator).double()
    x[1] = x[0]
    rows = torch.tensor([0, 3, 3, 29, 8])
    columns = torch.tensor([1, 3, 4, 2, 29 + (n_others or 0)])
    whole = sq_distances if squared else distances

    def weighted(d):
        return (d * torch.arange(1, 6)).sum()

    ours = value_and_gradients(
        lambda x: weighted(listed_distances(x, others, rows, columns, squared)), x
    )
    truth = value_and_gradients(lambda x: weighted(whole(x, others)[rows, columns]), x)
    assert_equal(ours[0], truth[0])
    assert_equal(ours[1][0], truth[1][0])


def test_gradient_of_large_batches_is_that_of_small_ones():
    # Beyond 512 rows it is put together by tiles.
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(600, 3, dtype=torch.float64, generator=generator)
    others = torch.randn(5, 3, dtype=torch.float64, generator=generator)
    weights = torch.randn(600, 605, dtype=torch.float64, generator=generator)

    def plain(x):
        return (torch.cat([x, others])[None] - x[:, None]).square().sum(2)

    ours = value_and_gradients(lambda x: (sq_distances(x, others) * weights).sum(), x)
    truth = value_and_gradients(lambda x: (plain(x) * weights).sum(), x)
    assert_equal(ours[0], truth[0])
    assert_equal(ours[1][0], truth[1][0])


@pytest.mark.parametrize("plus_one", [True, False])
def test_log_sums_of_large_batches_are_those_of_all_rows_at_once(plus_one):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(600, 600, dtype=torch.float64, generator=generator)
    labels = torch.randint(0, 5, (600,), generator=generator)
    positive, negative = masks(labels, dtype=x.dtype)
    ways = torch.randn(2, 600, dtype=torch.float64, generator=generator)

    def plain(x, mask, scale):
        terms = (scale * x).masked_fill(mask == 0, -torch.inf)
        if plus_one:
            terms = torch.cat([terms, terms.new_zeros(600, 1)], 1)
        return terms.logsumexp(1)

    def weighted(pull, push):
        return (ways[0] * pull + ways[1] * push).sum()

    truth = value_and_gradients(
        lambda x: weighted(plain(x, positive, -2.0), plain(x, negative, 3.0)), x
    )
    for ours in (
        lambda x: two_logsumexps(x, positive, negative, (-2.0, 3.0), plus_one),
        lambda x: (
            masked_logsumexp(x, positive, -2.0, plus_one),
            masked_logsumexp(x, negative, 3.0, plus_one),
        ),
    ):
        value, gradient = value_and_gradients(lambda x, f=ours: weighted(*f(x)), x)
        assert_equal(value, truth[0])
        assert_equal(gradient[0], truth[1][0])


def test_equal_rows_are_at_distance_zero_and_near_ones_are_not():
    generator = torch.Generator().manual_seed(0)
    x = normalize(torch.randn(40, 64, generator=generator))
    x[1] = x[0]
    x[2] = x[0] + 0.01 / 8
    d = distances(x.requires_grad_())
    assert (d.diagonal() == 0).all()
    assert d[0, 1] == 0
    assert_equal(d[0, 2], torch.tensor(0.01), 2e-3)
    (gradient,) = torch.autograd.grad(d[0, 1] + d[0, 3], x)
    assert torch.isfinite(gradient).all()
    # Far from the origin, where products lose all digits.
    shifted = distances(x.detach() + 100)
    assert_equal(shifted, d.detach(), 5e-3)
