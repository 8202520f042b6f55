"""Laws over the table of miners: the set of the loop, rows of the right classes, repeatable."""

import pytest
import torch
from oracles import MINERS


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 2, 2, 3])
    labels = labels[torch.randperm(len(labels), generator=generator)]
    return torch.randn(len(labels), 3, generator=generator, dtype=torch.float64) * 0.6, labels


def as_set(rows):
    return {tuple(row) for row in rows.tolist()}


@pytest.mark.parametrize("case", MINERS, ids=lambda case: case.name)
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
