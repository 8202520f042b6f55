"""Hostile input to every loss, miner and sampler: one clear error, or a finite result.

Seeded and bounded; the long form is ``-m slow``.
"""

import re

import numpy as np
import pytest
import torch
from helpers.loss_batches import fresh
from helpers.oracles import LOSSES
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from metriclearn.deep import miners as M
from metriclearn.deep import samplers
from metriclearn.deep.samplers import SAMPLERS

#: Arguments that an error may name.
NAMED = re.compile(r"\b(embeddings|labels|selection|reference|codes|\w+Sampler needs)\b")
VALUES = [0.0, 1.0, -1.0, 0.5, 1e-3, 1e-30, 1e-45, -1e-310, 1e4, 1e10, 1e18, 1e30, 1e38, 1e300,
          float("inf"), float("nan")]  # fmt: skip
#: Most batches are of tame values, so that what is behind the checks is reached.
TAME = [0.0, 1.0, -1.0, 0.5, 1e-3, 30.0]
FLOATS = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
OTHER = [torch.int64, torch.bool, torch.complex64]
CODES = [-(2**63), -2, -1, 0, 1, 2, 3, 4, 255, 2**40, 2**63 - 1]
LABELS = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
          torch.float32, torch.float64, torch.complex64]  # fmt: skip

short = settings(max_examples=12, phases=[Phase.generate])
long = settings(short, max_examples=400)


@st.composite
def embeddings(draw, rows=None):
    n = draw(st.sampled_from([0, 1, 2, 3, 5, 8])) if rows is None else rows
    width = draw(st.sampled_from([3, 3, 3, 3, 1, 0, 5]))
    shape = draw(st.sampled_from([(n, width)] * 8 + [(n,), (n, width, 1), ()]))
    dtype = draw(st.sampled_from(FLOATS * 4 + OTHER))
    values = draw(st.sampled_from([TAME, TAME, TAME, VALUES]))
    size = int(np.prod(shape))
    flat = draw(st.lists(st.sampled_from(values), min_size=size, max_size=size))
    tensor = torch.tensor(flat, dtype=torch.float64)
    if not dtype.is_floating_point:
        tensor = torch.nan_to_num(tensor).clamp(-100, 100)
    return tensor.to(dtype).reshape(shape)


@st.composite
def labels(draw, n):
    n = draw(st.sampled_from([n] * 9 + [n + 1]))
    shape = draw(st.sampled_from([(n,)] * 9 + [(n, 2), (n, 0), ()]))
    dtype = draw(st.sampled_from([torch.int64] * 8 + LABELS))
    codes = draw(st.sampled_from([[0, 1, 2, 3], [0, 1], [0, 1, -1], [0], CODES]))
    size = int(np.prod(shape))
    flat = draw(st.lists(st.sampled_from(codes), min_size=size, max_size=size))
    tensor = torch.tensor(flat, dtype=torch.int64).reshape(shape)
    if dtype.is_floating_point and draw(st.integers(0, 4)) == 0:
        return (tensor.to(dtype) * 1e30).nan_to_num()
    return tensor.to(dtype)


@st.composite
def selections(draw, n):
    kind = draw(st.sampled_from(["none", "none", "none", "pairs", "triplets", "four", "bad"]))
    index = st.integers(-1 if draw(st.integers(0, 3)) == 0 else 0, max(n - 1, 0) + draw(
        st.sampled_from([0, 0, 0, 3])))  # fmt: skip
    size = draw(st.integers(0, 4))
    columns = [
        torch.tensor(draw(st.lists(index, min_size=size, max_size=size)), dtype=torch.int64)
        for _ in range(4)
    ]
    return {
        "none": None,
        "pairs": M.MinedPairs(torch.stack(columns[:2], 1), torch.stack(columns[2:], 1)),
        "triplets": tuple(columns[:3]),
        "four": tuple(columns),
        "bad": draw(st.sampled_from([3, "all", (1, 2, 3), columns[:2], columns[0]])),
    }[kind]


def same(a, b):
    return torch.equal(torch.nan_to_num(a), torch.nan_to_num(b)) and a.dtype == b.dtype


def assert_error_names_an_argument(error):
    assert type(error).__name__ in ("ValueError", "TypeError", "NotFiniteError"), repr(error)
    assert NAMED.search(str(error)), error


def check_loss(case, data):
    x = data.draw(embeddings())
    n = len(x) if x.ndim else 0
    y, selection = data.draw(labels(n)), data.draw(selections(n))
    reference = None
    if data.draw(st.integers(0, 3)) == 0:
        rows = data.draw(embeddings(rows=3))
        reference = M.Reference(rows, data.draw(labels(3)))
    loss = fresh(case, torch.float64 if x.dtype == torch.float64 else torch.float32)
    before = x.clone(), y.clone(), [p.clone() for p in loss.parameters()]
    try:
        value = loss(x, y, selection, reference)
    except Exception as error:
        assert_error_names_an_argument(error)
    else:
        assert value.shape == ()
        assert torch.isfinite(value), (x, y, selection, reference)
    assert same(x, before[0])
    assert same(y, before[1])
    assert all(same(p, q) for p, q in zip(loss.parameters(), before[2], strict=True))


@pytest.mark.parametrize("case", LOSSES, ids=lambda case: case.name)
@short
@given(data=st.data())
def test_losses(case, data):
    check_loss(case, data)


@pytest.mark.slow
@pytest.mark.parametrize("case", LOSSES, ids=lambda case: case.name)
@long
@given(data=st.data())
def test_losses_at_length(case, data):
    check_loss(case, data)


def check_miner(name, data):
    x = data.draw(embeddings())
    n = len(x) if x.ndim else 0
    y, reference = data.draw(labels(n)), None
    if data.draw(st.integers(0, 3)) == 0:
        reference = M.Reference(data.draw(embeddings(rows=3)), data.draw(labels(3)))
    before = x.clone(), y.clone()
    try:
        chosen = M.MINERS[name]()(x, y, reference)
    except Exception as error:
        assert_error_names_an_argument(error)
    else:
        rows, columns = chosen.indices()
        m = n + (0 if reference is None else 3)
        assert ((rows >= 0) & (rows < n)).all()
        assert ((columns >= 0) & (columns < m)).all()
        known = y.long() if reference is None else torch.cat([y.long(), reference.labels.long()])
        for index in chosen:
            assert (known[index] != -1).all()
    assert same(x, before[0])
    assert same(y, before[1])


@pytest.mark.parametrize("name", M.MINERS)
@short
@given(data=st.data())
def test_miners(name, data):
    check_miner(name, data)


@pytest.mark.slow
@pytest.mark.parametrize("name", M.MINERS)
@long
@given(data=st.data())
def test_miners_at_length(name, data):
    check_miner(name, data)


@st.composite
def codes(draw):
    n = draw(st.sampled_from([0, 1, 2, 3, 5, 9, 30]))
    shape = draw(st.sampled_from([(n,)] * 9 + [(n, 2), ()]))
    some = draw(st.sampled_from([[0, 1, 2], [0, 1, -1], [0], [-1], CODES]))
    dtype = draw(st.sampled_from([np.int64] * 6 + [np.int8, np.uint8, bool, np.float32, object]))
    size = int(np.prod(shape))
    flat = draw(st.lists(st.sampled_from(some), min_size=size, max_size=size))
    with np.errstate(over="ignore"):
        array = np.array(flat, dtype=np.int64).reshape(shape).astype(dtype)
    if array.dtype.kind == "f" and array.size and draw(st.booleans()):
        array.flat[0] = draw(st.sampled_from([np.nan, np.inf, 0.5]))
    return array


def check_sampler(name, data):
    given_codes, size = data.draw(codes()), data.draw(st.sampled_from([4, 8, 16, 100]))
    least = {"hierarchical": 16}.get(name, 4)
    sampler = SAMPLERS[name](batch_size=max(size, least))
    before = given_codes.copy()
    n = len(given_codes) if given_codes.ndim else 0
    try:
        if sampler.due:
            sampler.refresh(torch.randn(n, 3), given_codes)
        batches = sampler.epoch(given_codes, np.random.default_rng(0))
    except Exception as error:
        assert_error_names_an_argument(error)
    else:
        assert batches
        for batch in batches:
            assert 1 <= len(np.unique(batch)) == len(batch) <= sampler.batch_size + 1
            assert 0 <= batch.min() <= batch.max() < n
            if not sampler.continuous_labels and not sampler.draws_unlabeled:
                assert (given_codes[batch] != -1).all()
    np.testing.assert_array_equal(given_codes, before)


@pytest.mark.parametrize("name", SAMPLERS)
@short
@given(data=st.data())
def test_samplers(name, data):
    check_sampler(name, data)


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLERS)
@long
@given(data=st.data())
def test_samplers_at_length(name, data):
    check_sampler(name, data)


def test_every_public_miner_and_sampler_is_tried():
    for module, base, tried in ((M, M.Miner, M.MINERS), (samplers, samplers.Sampler, SAMPLERS)):
        public = {
            name
            for name in module.__all__
            if isinstance(thing := getattr(module, name), type) and issubclass(thing, base)
        }
        # Miners of triplets of one class or of three serve one loss, which mines with them.
        within = {"ThreeClassMiner", "WithinClassMiner"}
        assert public - within == {each.__name__ for each in tried.values()} | {base.__name__}
