"""The primitives every loss and miner is made of: comparisons of rows, masks, safe reductions.

Two habits make them fast on a CPU and a GPU alike. Masks are of the embeddings' own floating
dtype (0 or 1) and enter by multiplication, which vectorises where boolean selection branches.
And where a value's derivative is known in closed form it is handed over together with the value
(`with_gradient`), as the linear learners do with their weights, so nothing of the size of a
triplet list is ever stored.

Half precision is widened to float32 before any product, and automatic mixed precision is
switched off inside: distances of close rows do not survive 8 or 11 bits.
"""

import functools
from dataclasses import dataclass

import torch
from torch.autograd import Function

from metriclearn.deep.tensors._selections import as_selection


def first_derivative_only(backward):
    """Decorate the ``backward`` of a Function whose result is no function of its inputs any more.

    torch's ``once_differentiable`` raises at a second derivative only where the incoming gradient
    asks for one, and is silently constant elsewhere; this one raises as soon as a graph of the
    derivative is asked for.
    """

    @functools.wraps(backward)
    def once(ctx, *gradients):
        if torch.is_grad_enabled():  # as it is where create_graph=True
            raise RuntimeError(
                "the losses of metriclearn have first derivatives only: create_graph=True, for "
                "gradient penalties or Hessians, cannot pass through them"
            )
        return backward(ctx, *gradients)

    return once


#: Side of the squares that a large matrix is worked on by: what stays in a core's cache.
_TILE = 256


def widen(embeddings):
    """Embeddings in float32 at least."""
    if embeddings.dtype in (torch.float16, torch.bfloat16):
        return embeddings.float()
    return embeddings


def attached_zero(embeddings):
    """Zero that is still a function of the embeddings, with zero gradient."""
    return widen(embeddings).sum() * 0


class _UnitRows(Function):
    @staticmethod
    def forward(ctx, x):
        norm = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        inverse = torch.where(norm > 0, norm.reciprocal(), torch.zeros_like(norm))
        unit = x * inverse
        ctx.save_for_backward(unit, inverse)
        return unit

    @staticmethod
    @first_derivative_only
    def backward(ctx, gradient):
        unit, inverse = ctx.saved_tensors
        along = (gradient * unit).sum(1, keepdim=True)
        return torch.addcmul(gradient, unit, along, value=-1).mul_(inverse)


def unit_rows(x):
    """Rows of length one; a zero row stays zero and gets no gradient."""
    return _UnitRows.apply(widen(x))


def row_blocks(x):
    """Slices of rows that stay in the cache from one operation to the next.

    All rows in one where they are few, and on an accelerator.
    """
    size = 2**18 // max(1, x.shape[1]) if x.device.type == "cpu" else len(x)
    return [slice(start, start + size) for start in range(0, len(x), max(1, size))]


def full_precision(x):
    """Context without automatic mixed precision on the device of ``x``."""
    return torch.autocast(x.device.type, enabled=False)


def _gradient_of_gram(gradient, x, others):
    """Gradient of ``⟨gradient, x [x; others]ᵀ⟩`` in ``x``; nothing flows to ``others``."""
    n = len(x)
    square = gradient[:, :n]
    if n < 2 * _TILE or x.device.type != "cpu":
        result = (square + square.T) @ x
    else:  # by tiles, as a large transpose leaves the cache
        result = torch.zeros_like(x)
        tiles = [slice(start, start + _TILE) for start in range(0, n, _TILE)]
        for number, i in enumerate(tiles):
            for j in tiles[number:]:
                tile = square[i, j] + square[j, i].T
                result[i].addmm_(tile, x[j])
                if i != j:
                    result[j].addmm_(tile.T, x[i])
    if others is not None:
        result.addmm_(gradient[:, n:], others)
    return result


class _Gram(Function):
    @staticmethod
    def forward(ctx, x, others):
        ctx.save_for_backward(x, others)
        with full_precision(x):
            return x @ (x if others is None else torch.cat([x, others])).T

    @staticmethod
    @first_derivative_only
    def backward(ctx, gradient):
        with full_precision(gradient):
            return _gradient_of_gram(gradient, *ctx.saved_tensors), None


class _Products(Function):
    """``a bᵀ`` at full precision with gradient to both."""

    @staticmethod
    def forward(ctx, a, b):
        ctx.save_for_backward(a, b)
        with full_precision(a):
            return a @ b.T

    @staticmethod
    @first_derivative_only
    def backward(ctx, gradient):
        a, b = ctx.saved_tensors
        with full_precision(gradient):
            return (
                gradient @ b if ctx.needs_input_grad[0] else None,
                gradient.T @ a if ctx.needs_input_grad[1] else None,
            )


class _Distances(Function):
    @staticmethod
    def forward(ctx, x, others, squared):
        # Distances do not change with the origin; the rounding of products does.
        center = x.mean(0, keepdim=True)
        x = x - center
        if others is not None:
            others = others - center
        y = x if others is None else torch.cat([x, others])
        x_sq = x.square().sum(1, keepdim=True)
        y_sq = x_sq if others is None else y.square().sum(1, keepdim=True)
        # What is left of equal rows after rounding is noise: distance 0, gradient 0.
        noise = x_sq * (16 * torch.finfo(x.dtype).eps)
        d = x.new_empty(len(x), len(y))
        for rows in row_blocks(d):
            block = d[rows]
            with full_precision(x):
                torch.addmm(y_sq.T, x[rows], y.T, alpha=-2, out=block)
            block.add_(x_sq[rows])
            block.mul_(torch.gt(block, noise[rows], out=torch.empty_like(block)))
            if not squared:
                block.sqrt_()
        d[:, : len(x)].fill_diagonal_(0)
        ctx.squared = squared
        ctx.save_for_backward(x, others, *(() if squared else (d,)))
        return d

    @staticmethod
    @first_derivative_only
    def backward(ctx, gradient):
        x, others, *rest = ctx.saved_tensors
        n = len(x)
        if ctx.squared:
            weights = gradient * 2
        else:
            (d,) = rest
            # 1/d where rows differ, 0 where they coincide: the subgradient of least norm.
            weights = d.square().add_(torch.finfo(d.dtype).tiny)
            torch.div(d, weights, out=weights).mul_(gradient)
        with full_precision(gradient):
            result = _gradient_of_gram(weights, x, others).neg_()
        degree = weights.sum(1) + weights[:, :n].sum(0)
        return result.addcmul_(degree[:, None], x), None, None


class _WithGradient(Function):
    @staticmethod
    def forward(ctx, x, value, gradient):
        ctx.save_for_backward(gradient)
        return value

    @staticmethod
    @first_derivative_only
    def backward(ctx, upstream):
        (gradient,) = ctx.saved_tensors
        return upstream * gradient, None, None


def with_gradient(x, value, gradient):
    """Scalar ``value`` whose derivative with respect to ``x`` is known to be ``gradient``."""
    return _WithGradient.apply(x, value, gradient)


def products(a, b):
    """Inner products of the rows of ``a`` and of ``b``, in float32 at least."""
    a, b = widen(a), widen(b)
    return _Products.apply(a, b.to(a.dtype))


def _others(x, reference):
    return None if reference is None else reference.detach().to(x.dtype)


def dot_products(x, reference=None):
    """Inner products of the rows with ``[x; reference]``, of shape (b, b + r)."""
    x = widen(x)
    return _Gram.apply(x, _others(x, reference))


def cosines(x, reference=None):
    """Cosines of the rows with ``[x; reference]``, of shape (b, b + r); 0 for a zero row."""
    x = unit_rows(x)
    others = _others(x, reference)
    return _Gram.apply(x, None if others is None else unit_rows(others))


def sq_distances(x, reference=None):
    """Squared Euclidean distances to ``[x; reference]``; zero on the diagonal.

    Differences below rounding (about ``1e-3`` of a row's length in float32, ``1e-7`` in float64)
    count as equal rows: distance 0.
    """
    x = widen(x)
    return _Distances.apply(x, _others(x, reference), True)


def distances(x, reference=None):
    """Euclidean distances to ``[x; reference]``, with gradient 0 between equal rows."""
    x = widen(x)
    return _Distances.apply(x, _others(x, reference), False)


class _ListedDistances(Function):
    @staticmethod
    def forward(ctx, x, others, rows, columns, squared):
        y = x if others is None else torch.cat([x, others])
        away = x.index_select(0, rows).sub_(y.index_select(0, columns))
        d = away.square().sum(1) if squared else torch.linalg.vector_norm(away, dim=1)
        ctx.squared, ctx.n = squared, len(x)
        ctx.save_for_backward(away, rows, columns, None if squared else d)
        return d

    @staticmethod
    @first_derivative_only
    def backward(ctx, gradient):
        away, rows, columns, d = ctx.saved_tensors
        weights = 2 * gradient if ctx.squared else torch.where(d > 0, gradient / d, 0)
        away = away * weights[:, None]
        result = away.new_zeros(ctx.n, away.shape[1]).index_add_(0, rows, away)
        own = columns < ctx.n
        if own.all():
            result.index_add_(0, columns, away, alpha=-1)
        else:
            result.index_add_(0, columns[own], away[own], alpha=-1)
        return result, None, None, None, None


def listed_distances(x, reference, rows, columns, squared):
    """Distances of listed pairs, each by itself where the list is short.

    Parameters
    ----------
    x : tensor of shape (b, d)
    reference : tensor of shape (r, d) or None
    rows, columns : int64 tensors of shape (p,)
        Rows of ``x`` and of ``[x; reference]``.
    squared : bool

    Returns
    -------
    tensor of shape (p,)
    """
    n = len(x) + (0 if reference is None else len(reference))
    if 32 * len(rows) > len(x) * n:
        return (sq_distances if squared else distances)(x, reference)[rows, columns]
    x = widen(x)
    return _ListedDistances.apply(x, _others(x, reference), rows, columns, squared)


#: What a loss or miner may compare rows by.
KINDS = {
    "cosine": cosines,
    "dot": dot_products,
    "distance": distances,
    "sq_distance": sq_distances,
}


@dataclass(frozen=True)
class Comparisons:
    """Every row of a batch (anchors) against the batch and, behind it, a reference.

    Unpacks as ``values, positive, negative``.

    Attributes
    ----------
    values : tensor of shape (b, n)
        Distances or similarities, ``n = b + r``.
    positive, negative : tensors of shape (b, n)
        1 where row and column are of the same class (and not the same row) or of different
        classes, else 0; of the dtype of ``values``.
    labels : integer tensor of shape (b,) or None
        Given where the positives are all pairs of one class within the batch.
    """

    values: torch.Tensor
    positive: torch.Tensor
    negative: torch.Tensor
    labels: torch.Tensor | None = None

    def __iter__(self):
        return iter((self.values, self.positive, self.negative))

    def positive_pairs(self):
        """Return rows and columns of the positive pairs, row by row; see `list_positives`."""
        return list_positives(self.positive, self.labels)


def list_positives(positive, labels=None):
    """Rows and columns of the positive pairs, row by row.

    Parameters
    ----------
    positive : tensor of shape (b, n)
        Mask.
    labels : tensor of shape (b,), default=None
        Given where the mask is that of a whole batch against itself: finding the pairs in the
        labels takes a fraction of the time of searching the mask.

    Returns
    -------
    rows, columns : int64 tensors of shape (p,)
    """
    if labels is None:
        return positive.nonzero(as_tuple=True)
    order = torch.argsort(labels, stable=True)
    _, sizes = torch.unique_consecutive(labels[order], return_counts=True)
    # For each row, where its class begins in the order, and its size.
    block = torch.stack([sizes.cumsum(0) - sizes, sizes]).repeat_interleave(sizes, dim=1)
    start, size = torch.empty_like(block).index_copy_(1, order, block)
    rows = torch.arange(len(labels), device=labels.device).repeat_interleave(size)
    offset = torch.arange(len(rows), device=labels.device) - (size.cumsum(0) - size)[rows]
    columns = order[start[rows] + offset]
    others = rows != columns
    return rows[others], columns[others]


def ranks_in_class(labels):
    """Rows sorted by class, and the place of each in its class.

    Returns
    -------
    order : int64 tensor of shape (b,)
        Rows of one class are neighbors, in the order of the batch.
    rank : int64 tensor of shape (b,)
        Of ``order``'s rows: 0 for the first of a class.
    last : bool tensor of shape (b,)
        Whether one of ``order``'s rows is the last of its class.
    """
    order = torch.argsort(labels, stable=True)
    ordered = labels[order]
    last = torch.ones_like(labels, dtype=torch.bool)
    torch.ne(ordered[1:], ordered[:-1], out=last[:-1])
    place = torch.arange(len(labels), device=labels.device)
    first = torch.zeros_like(place)
    first[1:] = place[1:] * last[:-1]
    return order, place - first.cummax(0).values, last


def compare(embeddings, labels, kind, reference=None, selection=None):
    """Compare a batch with itself and, where given, with the rows of a reference.

    Parameters
    ----------
    embeddings : tensor of shape (b, d)
    labels : integer tensor of shape (b,)
    kind : {"cosine", "dot", "distance", "sq_distance"}
    reference : Reference, default=None
        Further columns, through which no gradient flows.
    selection : Selection or tuple of tensors, default=None
        Only these pairs enter the masks, each once; all pairs by default.

    Returns
    -------
    Comparisons
    """
    selection = as_selection(selection)
    rows, classes = (None, None) if reference is None else reference
    values = KINDS[kind](embeddings, rows)
    within = labels if selection.whole and reference is None else None
    return Comparisons(values, *selection.pair_masks(values, labels, classes), within)
