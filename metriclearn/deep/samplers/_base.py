"""The base of the samplers, and the door for those that are not ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from metriclearn._sklearn import at_least
from metriclearn.deep.tensors._batches import UNLABELED
from metriclearn.deep.tensors._ranges import check_ranges

if TYPE_CHECKING:
    import torch


class Sampler:
    """Base class of the samplers: which rows of the training set are in a batch together.

    A subclass must override `draw`, may override `look`, and sets those class attributes that are
    not right as they stand. Rows of the code -1 are unlabeled and are not drawn. What ends in an
    underscore is the state, which a checkpoint keeps.

    Parameters
    ----------
    batch_size : int, default=128
        Rows in a batch, at least 2.

    See Also
    --------
    metriclearn.deep.DeepEmbedder : Trains on the batches of a sampler.

    Examples
    --------
    >>> import numpy as np
    >>> from metriclearn.deep.samplers import Sampler
    >>> class InOrder(Sampler):
    ...     '''Rows as they come.'''
    ...
    ...     def draw(self, codes, rng):
    ...         return np.array_split(np.arange(len(codes)), -(-len(codes) // self.batch_size))
    >>> codes = np.array([0, 1, -1, 0, 1])
    >>> [batch.tolist() for batch in InOrder(batch_size=2).epoch(codes, np.random.default_rng(0))]
    [[0, 1], [3, 4]]
    """

    #: Fewest rows that each class of the training set has to have.
    min_rows: int = 1
    #: Fewest classes that there have to be.
    min_classes: int = 1
    #: Whether it draws by amounts: `epoch` is then given the labels themselves, (n,) or (n, q).
    continuous_labels: bool = False
    #: Whether it draws rows without a label, too.
    draws_unlabeled: bool = False
    #: Whether `refresh` is to be called before the next epoch; it costs embedding all rows.
    due: bool = False

    _parameter_constraints: dict = {"batch_size": [at_least(2)]}

    def __init__(self, batch_size: int = 128) -> None:
        self.batch_size = batch_size
        check_ranges(self)

    def draw(self, codes: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
        """Return the batches of an epoch.

        Parameters
        ----------
        codes : ndarray of int, shape (n,)
            Class of each row, 0 to n_classes - 1, each present; the labels, where
            ``continuous_labels``.
        rng : numpy.random.Generator

        Returns
        -------
        list of ndarray of intp
            Distinct row numbers in each, about n rows in all.
        """
        raise NotImplementedError(f"{type(self).__name__} has to define draw")

    def look(self, embeddings: torch.Tensor, codes: np.ndarray) -> None:
        """Look at the training set as it is embedded now; nothing by default.

        Parameters
        ----------
        embeddings : tensor of shape (n, d)
        codes : ndarray of int, shape (n,)
            As in `draw`.
        """

    def epoch(self, codes: ArrayLike, rng: np.random.Generator) -> list[np.ndarray]:
        """Draw the batches of one epoch.

        Parameters
        ----------
        codes : array-like of int, shape (n,)
            Class of each row; -1 marks unlabeled rows. The labels, (n,) or (n, q), where
            ``continuous_labels``.
        rng : numpy.random.Generator

        Returns
        -------
        list of ndarray of intp
            Row numbers of each batch, about n in all.

        Raises
        ------
        ValueError
            If there are no rows, too few classes, or too few rows of one.
        """
        rows, codes = self._labeled(codes)
        return [rows[batch] for batch in self.draw(codes, rng)]

    def refresh(self, embeddings: torch.Tensor, codes: ArrayLike) -> None:
        """Look at the training set before an epoch for which it is ``due``.

        Parameters
        ----------
        embeddings : tensor of shape (n, d)
        codes : array-like of int, shape (n,)
            As in `epoch`.

        Raises
        ------
        ValueError
            If there are not as many embeddings as codes.
        """
        codes = np.asarray(codes)
        if codes.ndim and len(embeddings) != len(codes):
            raise ValueError(
                f"embeddings must be one row for each of the {len(codes)} codes, got "
                f"{len(embeddings)}"
            )
        rows, codes = self._labeled(codes)
        self.look(embeddings if len(rows) == len(embeddings) else embeddings[rows], codes)

    def _labeled(self, codes):
        """Return the numbers of the labeled rows, and their codes, 0 to n_classes - 1."""
        name, codes = type(self).__name__, np.asarray(codes)
        if self.continuous_labels:
            if codes.ndim not in (1, 2) or codes.dtype.kind not in "iufb" or not len(codes):
                raise ValueError(
                    f"{name} needs labels that are amounts, of shape (n,) or (n, q) with at least "
                    f"one row, got shape {codes.shape} and dtype {codes.dtype}"
                )
            if not np.isfinite(codes).all():
                raise ValueError(f"{name} needs finite labels, got infinite values or NaN")
            return np.arange(len(codes)), codes
        if codes.ndim != 1 or codes.dtype.kind not in "iub":
            raise ValueError(
                f"codes must be whole numbers of shape (n,), got shape {codes.shape} and dtype "
                f"{codes.dtype}"
            )
        rows = np.flatnonzero(codes != UNLABELED)
        if not len(rows):
            raise ValueError(f"{name} needs at least one labeled row, got {len(codes)} rows, none")
        _, codes = np.unique(codes[rows], return_inverse=True)
        n_classes = int(codes.max()) + 1
        if n_classes < self.min_classes:
            raise ValueError(
                f"{name} needs at least {self.min_classes} classes, got {n_classes}; "
                f"sampler='random' needs none"
            )
        return rows, codes


class PlainSampler(Sampler):
    """A `Sampler` made of any object with ``epoch(codes, rng)``; made by `as_sampler`.

    Parameters
    ----------
    sampler : object
    """

    def __init__(self, sampler):
        self.sampler = sampler
        self.min_rows = getattr(sampler, "min_rows", 1)

    def draw(self, codes, rng):
        """Return the batches that the object draws."""
        return [np.asarray(batch, dtype=np.intp) for batch in self.sampler.epoch(codes, rng)]


def as_sampler(sampler: object) -> Sampler:
    """Take a sampler of any origin: ours as they are, others through an adapter.

    Parameters
    ----------
    sampler : object
        With ``epoch(codes, rng)``, which returns row numbers of each batch. Its state is not kept
        by checkpoints, and it never sees the embedded training set: derive from `Sampler` for that.

    Returns
    -------
    Sampler
        The sampler itself where it is one.

    Raises
    ------
    TypeError
        If it has no ``epoch``.

    See Also
    --------
    Sampler : The base class, for samplers of one's own.

    Examples
    --------
    >>> from metriclearn.deep.samplers import RandomSampler, as_sampler
    >>> as_sampler(RandomSampler(16)).batch_size
    16
    """
    if isinstance(sampler, Sampler):
        return sampler
    if not callable(getattr(sampler, "epoch", None)):
        raise TypeError(f"sampler must have epoch(codes, rng), got {type(sampler).__name__}")
    return PlainSampler(sampler)
