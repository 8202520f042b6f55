"""Batches and helpers that the tests of the losses share."""

import copy

import torch

from helpers.oracles import DIM


def batch(seed=0, dtype=torch.float64):
    """Ten shuffled rows: classes of four, three, two and one row; one class twice as spread."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 2, 2, 3])
    labels = labels[torch.randperm(len(labels), generator=generator)]
    embeddings = torch.randn(len(labels), DIM, generator=generator, dtype=torch.float64)
    embeddings[labels == 1] *= 2
    return (embeddings * 0.6).to(dtype), labels


def fresh(case, dtype=torch.float64):
    return copy.deepcopy(case.loss).to(dtype)


def value_and_gradients(function, embeddings, parameters=()):
    embeddings = embeddings.clone().requires_grad_()
    value = function(embeddings)
    return value, torch.autograd.grad(value, [embeddings, *parameters], allow_unused=True)


def assert_equal(ours, theirs, tolerance=1e-10):
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
