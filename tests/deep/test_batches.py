"""What every loss and miner is called with: no batch, no rows, no labels, amounts, half of it."""

import pytest
import torch
from helpers.loss_batches import assert_equal, batch, fresh, value_and_gradients
from helpers.oracles import LOSSES, N_CLASSES

from metriclearn.deep import losses as L
from metriclearn.deep import miners as M
from metriclearn.deep.tensors import _row_sums
from metriclearn.deep.tensors._selections import Reference

every_case = pytest.mark.parametrize("case", LOSSES, ids=lambda case: case.name)
by_case = pytest.mark.parametrize(
    "case", [c for c in LOSSES if c.loss.needs_labels], ids=lambda case: case.name
)

STATE_BY_CLASS = ("proxies", "bias", "centers", "beta_class", "class_margins")
by_case_with_classes = pytest.mark.parametrize(
    "case",
    [c for c in LOSSES if any(name.endswith(STATE_BY_CLASS) for name in c.loss.state_dict())],
    ids=lambda case: case.name,
)

BAD_BATCHES = {
    "fewer labels": (lambda x, y: (x, y[:5]), ValueError, r"\(b, d\) and labels"),
    "labels twice": (lambda x, y: (x, torch.stack([y] * 3)), ValueError, r"\(b, d\) and labels"),
    "one row": (lambda x, y: (x[0], y), ValueError, r"\(b, d\) and labels"),
    "a list": (lambda x, y: (x, y.tolist()), TypeError, r"got a list; use torch.as_tensor\(labels"),
}
by_batch = pytest.mark.parametrize("bad", BAD_BATCHES.values(), ids=BAD_BATCHES)


@by_case
@by_batch
def test_losses_refuse_what_is_no_batch(case, bad):
    spoil, error, message = bad
    with pytest.raises(error, match=message):
        fresh(case)(*spoil(*batch()))


@pytest.mark.parametrize("name", M.MINERS)
@by_batch
def test_miners_refuse_what_is_no_batch(name, bad):
    spoil, error, message = bad
    with pytest.raises(error, match=message):
        M.MINERS[name]()(*spoil(*batch()))


@pytest.mark.parametrize("label", [-2, N_CLASSES])
@by_case_with_classes
def test_losses_built_for_classes_refuse_others(case, label):
    embeddings, labels = batch()
    labels[3] = label
    with pytest.raises(ValueError, match=f"labels from 0 to {N_CLASSES - 1}, got {label}"):
        fresh(case)(embeddings, labels)


def test_given_pairs_need_no_labels():
    embeddings, labels = batch()
    selection = M.MultiSimilarityMiner()(embeddings, labels)
    assert L.ContrastiveLoss()(embeddings, None, selection).isfinite()


# No rows, no labels ---------------------------------------------------------------------------


@every_case
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_a_batch_of_no_rows_has_a_loss_of_zero_and_a_graph(case, dtype):
    embeddings = torch.zeros(0, 3, dtype=dtype, requires_grad=True)
    value = fresh(case, torch.float32)(embeddings, torch.zeros(0, dtype=torch.int64))
    value.backward()
    assert value.shape == ()
    assert value == 0
    assert embeddings.grad.shape == (0, 3)


@pytest.mark.parametrize("name", M.MINERS)
def test_miners_select_nothing_of_no_rows(name):
    selection = M.MINERS[name]()(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))
    assert all(len(index) == 0 for index in selection)
    assert {index.dtype for index in selection} == {torch.int64}


def with_unlabeled(seed=0):
    """A batch, and the same with rows among it that have no label."""
    embeddings, labels = batch(seed)
    at = torch.tensor([0, 0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9, 9])
    known = torch.ones(len(at), dtype=torch.bool)
    known[[0, 4, 12]] = False
    mixed = torch.where(known, labels[at], -1)
    rows = torch.where(known[:, None], embeddings[at], -embeddings[at] + 0.1)
    return embeddings, labels, rows, mixed, known


@by_case
def test_unlabeled_rows_have_no_part_in_a_loss(case):
    embeddings, labels, rows, mixed, known = with_unlabeled()
    value, (gradient,) = value_and_gradients(lambda x: fresh(case)(x, labels), embeddings)
    among, (mixed_gradient,) = value_and_gradients(lambda x: fresh(case)(x, mixed), rows)
    assert_equal(among, value)
    assert_equal(mixed_gradient[known], gradient)
    assert (mixed_gradient[~known] == 0).all()
    alone = fresh(case)(embeddings.requires_grad_(), torch.full((len(labels),), -1))
    assert alone == 0
    alone.backward()


@pytest.mark.parametrize("name", M.MINERS)
def test_unlabeled_rows_are_never_mined(name):
    torch.manual_seed(0)
    embeddings, labels, rows, mixed, known = with_unlabeled()
    place = known.nonzero()[:, 0]
    plain = M.MINERS[name]()(embeddings, labels)
    torch.manual_seed(0)
    among = M.MINERS[name]()(rows, mixed)
    torch.manual_seed(0)
    assert [index.tolist() for index in among] == [place[index].tolist() for index in plain] or (
        name in ("random", "distance_weighted")
    )
    for index in among:
        assert known[index].all()
    reference = Reference(rows, mixed)
    for index in M.MINERS[name]()(embeddings, labels, reference):
        assert torch.cat([torch.ones(10, dtype=torch.bool), known])[index].all()


@pytest.mark.parametrize(
    "case", [c for c in LOSSES if c.loss.takes_reference], ids=lambda case: case.name
)
def test_unlabeled_rows_of_a_reference_have_no_part(case):
    embeddings, labels, rows, mixed, known = with_unlabeled()
    whole = fresh(case)(embeddings, labels, reference=Reference(rows, mixed))
    part = fresh(case)(embeddings, labels, reference=Reference(rows[known], mixed[known]))
    assert_equal(whole, part)


@by_case
def test_amounts_are_refused_by_losses_of_classes(case):
    embeddings, labels = batch()
    if case.loss.continuous_labels:
        return
    with pytest.raises(ValueError, match=r"labels must be classes of an integer type, got torch.f"):
        fresh(case)(embeddings, labels.float())


@pytest.mark.parametrize("name", M.MINERS)
def test_amounts_are_refused_by_miners(name):
    embeddings, labels = batch()
    with pytest.raises(ValueError, match=r"labels must be classes of an integer type, got torch.f"):
        M.MINERS[name]()(embeddings, labels.float())


BAD_EMBEDDINGS = {
    "integers": (torch.ones(10, 3, dtype=torch.int64), TypeError, "tensor of floats, got torch.i"),
    "complex": (torch.ones(10, 3, dtype=torch.complex64), TypeError, "tensor of floats, got"),
    "an array": (torch.ones(10, 3).numpy(), TypeError, "tensor of floats, got ndarray; use torch"),
    "no columns": (torch.ones(10, 0), ValueError, r"a column at least, got \(10, 0\)"),
    "NaN": (torch.full((10, 3), torch.nan), ValueError, "embeddings must be finite"),
    "infinite": (torch.full((10, 3), torch.inf), ValueError, "embeddings must be finite"),
    "too long": (torch.full((10, 3), 1e30), ValueError, r"short enough .* size 1e\+30"),
}


@every_case
@pytest.mark.parametrize("bad", BAD_EMBEDDINGS.values(), ids=BAD_EMBEDDINGS)
def test_losses_refuse_what_are_no_embeddings(case, bad):
    embeddings, error, message = bad
    with pytest.raises(error, match=message):
        fresh(case, torch.float32)(embeddings, batch()[1])


@pytest.mark.parametrize("name", M.MINERS)
@pytest.mark.parametrize("bad", BAD_EMBEDDINGS.values(), ids=BAD_EMBEDDINGS)
def test_miners_refuse_what_are_no_embeddings(name, bad):
    embeddings, error, message = bad
    with pytest.raises(error, match=message):
        M.MINERS[name]()(embeddings, batch()[1])


# What was active ------------------------------------------------------------------------------


@by_case
def test_losses_say_whether_anything_was_active(case):
    embeddings, labels = batch()
    loss = fresh(case)
    if any("memory" in type(part).__name__.lower() for part in loss.modules()):
        loss.eval()
    loss(embeddings, labels)
    assert loss.active_ > 0
    loss(embeddings[:0], labels[:0])
    assert loss.active_ == 0


SPARED = {
    "contrastive": (L.ContrastiveLoss(), 0.0, 10.0),
    "contrastive-cosine": (L.ContrastiveLoss(form="cosine"), 0.0, None),
    "triplet": (L.TripletLoss(), 0.1, 10.0),
    "triplet-mean": (L.TripletLoss(reduction="mean"), 0.1, 10.0),
    "margin": (L.MarginLoss(), 0.1, 10.0),
    "ranked-list": (L.RankedListLoss(), 0.1, 10.0),
    "quadruplet": (L.QuadrupletLoss(), 0.1, 10.0),
}


@pytest.mark.parametrize("name", SPARED)
def test_nothing_is_active_where_every_margin_is_kept(name):
    loss, near, far = SPARED[name]
    x = torch.tensor([[1.0, near], [1.0, 0.0], [-1.0, 0.0], [-1.0, near]])
    if far is not None:
        x[2:, 0] = far
    assert loss(x, torch.tensor([0, 0, 1, 1])) == 0
    assert loss.active_ == 0
    assert loss(x, torch.tensor([0, 1, 0, 1])) > 0
    assert loss.active_ > 0


@pytest.mark.parametrize("loss", [L.NTXentLoss(), L.InfoNCELoss(), L.TupletMarginLoss()])
def test_nothing_is_active_without_negatives(loss):
    pairs = M.MinedPairs(torch.tensor([[0, 1], [2, 3]]), torch.zeros(0, 2, dtype=torch.int64))
    assert loss(batch()[0], None, pairs) == 0
    assert loss.active_ == 0


# Second derivatives ---------------------------------------------------------------------------


#: Made of torch's own operations.
TWICE_DIFFERENTIABLE = ("center", "embedding-norm", "vicreg")


@every_case
def test_second_derivatives_are_right_or_refused(case):
    embeddings, labels = batch()
    loss = fresh(case).eval()

    def gradient(x):
        return torch.autograd.grad(loss(x, labels), x, create_graph=True)[0]

    x = embeddings.requires_grad_()
    way = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype)
    if not case.name.startswith(TWICE_DIFFERENTIABLE):
        with pytest.raises(RuntimeError, match="first derivatives only: create_graph=True"):
            gradient(x)
        return
    (second,) = torch.autograd.grad((gradient(x) * way).sum(), x)
    step = 1e-6 * way
    ahead, behind = (gradient((x + s).detach().requires_grad_()) for s in (step, -step))
    torch.testing.assert_close(second, (ahead - behind).detach() / 2e-6, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["ntxent", "supcon", "multi_similarity"])
def test_large_batch_in_blocks_of_rows_is_the_batch_at_once(name, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(53, 4, generator=generator, dtype=torch.float64)
    labels = torch.randint(-1, 9, (53,), generator=generator)
    found = []
    for large, block in ((10**9, 10**9), (2, 7), (2, 53), (2, 1)):
        monkeypatch.setattr(_row_sums, "LARGE", large)
        monkeypatch.setattr(_row_sums, "BLOCK", block)
        loss = L.LOSSES[name]()
        value, gradients = value_and_gradients(lambda x: loss(x, labels), embeddings)  # noqa: B023
        found.append((value, *gradients, loss.active_.double()))
    for other in found[1:]:
        for ours, theirs in zip(other, found[0], strict=True):
            assert_equal(ours, theirs)
    assert_equal(*(L.LOSSES[name]()(embeddings, labels * 0) for _ in range(2)))
    x = embeddings.clone().requires_grad_()
    with pytest.raises(RuntimeError, match="first derivatives only"):
        torch.autograd.grad(L.LOSSES[name]()(x, labels), x, create_graph=True)


@pytest.mark.parametrize("name", ["ntxent", "supcon", "multi_similarity"])
def test_large_batch_needs_the_memory_of_a_block(name):
    n = _row_sums.LARGE
    x = torch.nn.functional.normalize(torch.randn(n, 8)).requires_grad_()
    held = []

    def keep(tensor):
        held.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept):
        L.LOSSES[name]()(x, torch.arange(n) // 3)
    assert max(held) <= n * _row_sums.BLOCK
    with torch.inference_mode():
        assert torch.isfinite(L.LOSSES[name]()(x.detach().clone(), torch.arange(n) // 3))
