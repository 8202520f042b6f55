"""Laws over the table of losses: right against a loop, invariant, finite, attached."""

import copy
import inspect
import pickle
import re
from pathlib import Path

import pytest
import torch
from helpers.loss_batches import assert_equal, batch, fresh, value_and_gradients
from helpers.oracles import DIM, LOSSES, N_CLASSES, ORDERED

from metriclearn.deep import losses as L
from metriclearn.deep import miners as M
from metriclearn.deep.losses._proxy_base import ProxyLoss

by_case = pytest.mark.parametrize("case", LOSSES, ids=lambda case: case.name)

#: No gradient flows through the weights that these losses give their terms.
WEIGHTED = {
    "circle", "ranked-list", "ranked-list-full",
    "adaptive-triplet", "adaptive-triplet-soft", "adaptive-triplet-mean", "dynamic-soft-margin",
    "boosted", "boosted-three", "boosted-sizes",
}  # fmt: skip
#: The columns of the embeddings are not alike to these.
OF_COLUMNS = ("snr", "vicreg", "matryoshka", "boosted", "grouped", "cascaded")
#: Losses that the laws below do not call, why, and where their formulas are held instead.
APART = {
    L.MetricLoss: ("the base class, without a formula", "test_views.py"),
    L.DiverseAggregationLoss: (
        "draws triplets and sees views and features",
        "test_disentangled.py",
    ),
    L.SharedCharacteristicsLoss: ("sees features, rows by their place", "test_disentangled.py"),
    L.DivideAndConquerLoss: ("sees rows by their place, and clusters them", "test_ensembles.py"),
    L.InstanceLoss: ("sees rows by their place, and no labels", "test_single_losses.py"),
    L.SemiSupervisedLoss: ("sees two views, and rows without a label", "test_views.py"),
    L.HighOrderLoss: ("sees maps of a convolution", "test_systems.py"),
    L.SelfDistillationLoss: ("sees features", "test_systems.py"),
    L.SampledProxies: ("draws classes at random", "test_sampled.py"),
}


@pytest.mark.parametrize("loss", APART, ids=lambda loss: loss.__name__)
def test_losses_that_stand_apart_have_a_place_of_their_own(loss):
    why, place = APART[loss]
    held = (Path(__file__).parent / place).read_text()
    assert re.search(rf"\b{loss.__name__}\b", held)
    assert why


@by_case
def test_loss_is_its_formula(case):
    embeddings, labels = batch()
    loss, slow = fresh(case), fresh(case)
    value, gradients = value_and_gradients(
        lambda x: loss(x, labels), embeddings, list(loss.parameters())
    )
    truth, expected = value_and_gradients(
        lambda x: case.oracle(slow, list(x), labels.tolist()), embeddings, list(slow.parameters())
    )
    assert_equal(value, truth)
    for ours, theirs in zip(gradients, expected, strict=True):
        assert_equal(ours, theirs)


@pytest.mark.parametrize(
    "case", [c for c in LOSSES if c.name not in WEIGHTED], ids=lambda case: case.name
)
def test_gradient_is_the_derivative(case):
    embeddings, labels = batch(seed=1)
    loss = fresh(case).eval()
    parameters = [p for p in loss.parameters() if p.requires_grad]
    inputs = (embeddings.requires_grad_(), *parameters)
    assert torch.autograd.gradcheck(lambda x, *_: loss(x, labels), inputs, atol=1e-6)


@by_case
def test_order_of_rows_does_not_matter(case):
    embeddings, labels = batch()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(5))
    if isinstance(case.loss, L.TwoViewLoss):
        return  # it goes by the places of the rows
    if case.name in ORDERED:  # only the order of the classes may change
        order = torch.cat([(labels == c).nonzero()[:, 0] for c in (2, 0, 3, 1)])
    values = [fresh(case)(embeddings[at], labels[at]) for at in (slice(None), order)]
    assert_equal(*values)


@by_case
def test_names_of_labels_do_not_matter(case):
    loss = fresh(case)
    if loss.continuous_labels:
        return  # to these labels are amounts: other numbers are other distances
    embeddings, labels = batch()
    names = torch.tensor([2, 0, 3, 1])
    renamed = copy.deepcopy(loss)
    by_class = {"proxies", "bias", "centers", "beta_class", "class_margins"}
    state = renamed.state_dict()
    for name, tensor in state.items():
        if name.rpartition(".")[2] in by_class:
            at = torch.argsort(names)
            grouped = tensor.view(-1, N_CLASSES, *tensor.shape[1:])[:, at].view_as(tensor)
            state[name] = grouped[:, at] if name.endswith("class_margins") else grouped
    renamed.load_state_dict(state)
    assert_equal(loss(embeddings, labels), renamed(embeddings, names[labels]))


@by_case
def test_axes_do_not_matter(case):
    embeddings, labels = batch()
    if (
        case.name.startswith(OF_COLUMNS)
        or list(case.loss.parameters())
        or list(case.loss.buffers())
    ):
        return  # of columns, or compared with vectors that would have to turn with the rows
    rotation = torch.linalg.qr(torch.randn(DIM, DIM, dtype=torch.float64))[0]
    assert_equal(fresh(case)(embeddings, labels), fresh(case)(embeddings @ rotation, labels))


DEGENERATE = {
    "one row": ([[0.3, -0.5, 0.1]], [1]),
    "two rows of one class": ([[0.3, -0.5, 0.1], [0.2, 0.2, 0.2]], [1, 1]),
    "one class": ([[0.1, 0.2, 0.3], [0.3, -0.5, 0.1], [0.2, 0.2, -0.9]], [2, 2, 2]),
    "no positives": ([[0.1, 0.2, 0.3], [0.3, -0.5, 0.1], [0.2, 0.2, -0.9]], [2, 0, 1]),
    "collapsed": ([[0.6, 0.0, 0.8]] * 6, [0, 0, 1, 1, 1, 2]),
    "collapsed, one class": ([[0.6, 0.0, 0.8]] * 3, [0, 0, 0]),
    "zero": ([[0.0, 0.0, 0.0]] * 4, [0, 0, 1, 2]),
    "duplicates": (
        [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 0.0]],
        [0, 0, 1, 1],
    ),
    "opposite": ([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [0.0, 0.0, 1.0]], [0, 0, 1]),
}


@by_case
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_degenerate_batches_are_finite_and_attached(case, dtype):
    for name in DEGENERATE:
        check_finite_and_attached(case, name, dtype)


def check_finite_and_attached(case, name, dtype):
    rows, labels = DEGENERATE[name]
    if isinstance(case.loss, L.TwoViewLoss):
        rows, labels = 2 * rows, 2 * labels
    embeddings = torch.tensor(rows, dtype=dtype, requires_grad=True)
    loss = fresh(case, torch.float64 if dtype == torch.float64 else torch.float32)
    value = loss(embeddings, torch.tensor(labels))
    value.backward()
    assert value.shape == (), name
    assert torch.isfinite(value), name
    assert torch.isfinite(embeddings.grad).all(), name
    for parameter in loss.parameters():
        assert parameter.grad is None or torch.isfinite(parameter.grad).all(), name


@by_case
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_that_of_the_input_only(case, dtype):
    embeddings, labels = batch(dtype=dtype)
    half = fresh(case, torch.float32)(embeddings, labels)
    full = fresh(case, torch.float32)(embeddings.float(), labels)
    assert half.dtype == torch.float32
    assert_equal(half, full, 1e-6)


@by_case
def test_autocast_does_not_touch_the_products(case):
    embeddings, labels = batch(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = fresh(case, torch.float32)(embeddings, labels)
    assert_equal(inside, fresh(case, torch.float32)(embeddings, labels), 1e-5)


#: Nearly the ends of what each type can hold, or its gradient, which grows as rows shrink.
LENGTHS = [
    (torch.float32, 1e-4),
    (torch.float32, 1e3),
    (torch.float16, 1e-3),
    (torch.float16, 3e4),
    (torch.bfloat16, 1e-15),
    (torch.bfloat16, 1e9),
]


@by_case
@pytest.mark.parametrize(("dtype", "length"), LENGTHS, ids=str)
def test_extreme_lengths_are_finite(case, dtype, length):
    embeddings, labels = batch(dtype=torch.float32)
    embeddings = embeddings / embeddings.abs().max() * length
    embeddings = embeddings.to(dtype).requires_grad_()
    value = fresh(case, torch.float32)(embeddings, labels)
    value.backward()
    assert torch.isfinite(value)
    if case.name == "vicreg" and (dtype, length) == (torch.float16, 3e4):
        return  # a fourth power of the lengths, whose gradient float16 cannot hold
    assert torch.isfinite(embeddings.grad).all()


@by_case
def test_what_a_loss_learns_is_the_optimizers_to_change(case):
    # Elsewhere forward casts and replaces parameters that the optimizer has seen.
    embeddings, labels = batch(dtype=torch.float16)
    loss = fresh(case, torch.float32)
    before = {name: (p, p.detach().clone()) for name, p in loss.named_parameters()}
    loss(embeddings, labels)
    after = dict(loss.named_parameters())
    assert after.keys() == before.keys()
    for name, (parameter, values) in before.items():
        assert after[name] is parameter
        assert parameter.dtype == torch.float32
        assert torch.equal(parameter, values)


@by_case
def test_trains_twice_and_survives_pickling(case):
    embeddings, labels = batch()
    loss = fresh(case)
    for _ in range(2):
        embeddings = embeddings.detach().requires_grad_()
        loss(embeddings, labels).backward()
    loss.eval()
    again = pickle.loads(pickle.dumps(loss))
    assert torch.equal(loss(embeddings, labels), again(embeddings, labels))
    other = fresh(case).eval()
    other.load_state_dict(loss.state_dict())
    assert torch.equal(loss(embeddings, labels), other(embeddings, labels))


@pytest.mark.parametrize("name", L.__all__)
def test_parameters_are_explicit_and_kept(name):
    loss_class = getattr(L, name)
    if not isinstance(loss_class, type) or loss_class in APART:
        return
    parameters = inspect.signature(loss_class).parameters.values()
    assert all(p.kind == p.POSITIONAL_OR_KEYWORD for p in parameters)
    (instance,) = [case.loss for case in LOSSES if type(case.loss) is loss_class][:1]
    assert all(hasattr(instance, p.name) for p in parameters)
    assert issubclass(loss_class, L.MetricLoss)


def test_table_holds_every_loss():
    classes = {value for value in vars(L).values() if isinstance(value, type)} - APART.keys()
    assert classes == {type(case.loss) for case in LOSSES}
    assert {*L.LOSSES.values(), *L.REGULARIZERS.values()} <= classes | APART.keys()
    assert L.InfoNCELoss is L.NTXentLoss


@pytest.mark.parametrize(
    "case", [c for c in LOSSES if isinstance(c.loss, ProxyLoss)], ids=lambda case: case.name
)
def test_proxies_are_sized_late_or_refused(case):
    loss = type(case.loss)()
    embeddings, labels = batch(dtype=torch.float32)
    assert not list(loss.parameters())
    with pytest.raises(RuntimeError, match="give n_classes and embedding_dim, or call build"):
        loss(embeddings, labels)
    assert loss.build(N_CLASSES, DIM) is loss
    assert torch.isfinite(loss(embeddings, labels))
    assert (
        type(case.loss)(n_classes=N_CLASSES, embedding_dim=DIM).proxies.shape == loss.proxies.shape
    )
    with pytest.raises(ValueError, match=r"labels from 0 to 3, got 4"):
        loss(embeddings, labels + 1)
    with pytest.raises(ValueError, match="embeddings of 3 dimensions, got 5"):
        loss(torch.randn(10, 5), labels)
    with pytest.raises(ValueError, match="n_classes must be at least 1, got 0"):
        loss.build(0, DIM)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: L.MarginLoss(scope="sample").build(3), "n_samples is needed"),
        (lambda: L.WeightedSum([L.SupConLoss()], [1, 2]), "one for each of the 1 losses, got 2"),
        (lambda: L.ProxyRegularizer(L.SupConLoss()), "one with proxies, got SupConLoss"),
        (lambda: L.CrossBatchMemory(L.ArcFaceLoss()), "takes a reference, got ArcFaceLoss"),
        (
            lambda: L.MinedLoss(L.TripletLoss(), M.MultiSimilarityMiner()),
            "TripletLoss does not work with MultiSimilarityMiner, which yields pairs: "
            "it accepts triplets",
        ),
        (
            lambda: L.MinedLoss(L.ArcFaceLoss(), M.SemiHardMiner()),
            "ArcFaceLoss does not work with SemiHardMiner, which yields triplets: "
            "it takes no miner",
        ),
    ],
)
def test_what_cannot_be_composed_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_selections_are_checked():
    embeddings, labels = batch()
    pairs = M.MultiSimilarityMiner()(embeddings, labels)
    with pytest.raises(ValueError, match="TripletLoss accepts triplets as selection, got pairs"):
        L.TripletLoss()(embeddings, labels, selection=pairs)
    with pytest.raises(TypeError, match="selection must be MinedPairs or MinedTriplets"):
        L.TripletLoss()(embeddings, labels, selection=(1, 2, 3))
