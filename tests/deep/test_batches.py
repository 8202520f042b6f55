"""What is no batch is refused by every loss and miner with one clear error."""

import pytest
import torch
from helpers.loss_batches import batch, fresh
from helpers.oracles import LOSSES, N_CLASSES

from metriclearn.deep import losses as L
from metriclearn.deep import miners as M

by_case = pytest.mark.parametrize(
    "case",
    [c for c in LOSSES if not c.name.startswith(("uniformity", "embedding-norm"))],
    ids=lambda case: case.name,
)  # those two do not look at labels

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


@pytest.mark.parametrize("label", [-1, N_CLASSES])
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
