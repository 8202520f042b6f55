"""Laws over the table of losses: right against a loop, invariant, finite, attached."""

import copy

import pytest
import torch
from oracles import DIM, LOSSES

by_case = pytest.mark.parametrize("case", LOSSES, ids=lambda case: case.name)


def batch(seed=0, dtype=torch.float64):
    """Eleven shuffled rows: classes of four, three, two and one, one class twice as spread."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 2, 2, 3])
    labels = labels[torch.randperm(len(labels), generator=generator)]
    embeddings = torch.randn(len(labels), DIM, generator=generator, dtype=torch.float64)
    embeddings[labels == 1] *= 2
    return (embeddings * 0.6).to(dtype), labels


def value_and_gradients(function, embeddings, parameters=()):
    embeddings = embeddings.clone().requires_grad_()
    value = function(embeddings)
    wanted = [embeddings, *(p for p in parameters if p.requires_grad)]
    return value, torch.autograd.grad(value, wanted, allow_unused=True)


@by_case
def test_loss_is_its_formula(case):
    embeddings, labels = batch()
    loss, slow = copy.deepcopy(case.loss), copy.deepcopy(case.loss)
    value, gradients = value_and_gradients(
        lambda x: loss(x, labels), embeddings, list(loss.parameters())
    )
    truth, expected = value_and_gradients(
        lambda x: case.oracle(slow, list(x), labels.tolist()), embeddings, list(slow.parameters())
    )
    torch.testing.assert_close(value, truth, rtol=1e-10, atol=1e-10)
    for ours, theirs in zip(gradients, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
