"""Two encoders side by side, their loss, and its gradient in chunks."""

import copy
from contextlib import contextmanager

import numpy as np
import torch
from scipy.sparse import csr_array
from skorch import NeuralNet
from torch import nn
from torch.utils.data import Dataset

from metriclearn.deep.tensors._masked_sums import FAR
from metriclearn.deep.training._seeding import generator_states, set_generator_states


class TwoTowers(nn.Module):
    """An encoder of queries and one of documents, which may be the same.

    Parameters
    ----------
    queries, documents : EmbeddingNetwork
    """

    def __init__(self, queries, documents):
        super().__init__()
        self.queries = queries
        self.documents = documents


class TowerLoss(nn.Module):
    """Cross-entropy of picking the right document for a query, and the right query for a document.

    Parameters
    ----------
    temperature : float
    symmetric : bool
        Whether documents look for their queries, too.
    """

    def __init__(self, temperature, symmetric):
        super().__init__()
        self.temperature = temperature
        self.symmetric = symmetric

    def forward(self, queries, documents, batch):
        """Return the mean over the pairs of a batch.

        Parameters
        ----------
        queries : tensor of shape (a, d)
        documents : tensor of shape (c, d)
        batch : TowerBatch
        """
        logits = queries @ documents.T / self.temperature
        # What a query is paired with is no negative of it; each pair has its own row.
        others = logits - FAR * batch.linked.to(logits.dtype)
        q, d = batch.pairs.T
        own = logits[q, d]
        value = _softplus_of(others[q], own)
        if not self.symmetric:
            return value
        return (value + _softplus_of(others.T[d], own)) / 2


def _softplus_of(others, own):
    """Mean of ``log(1 + Σ exp(others - own))``."""
    return nn.functional.softplus(others.logsumexp(dim=1) - own).mean()


class TowerBatch:
    """The distinct queries and documents of some pairs.

    Parameters
    ----------
    queries, documents : tensor
        Rows to embed.
    pairs : tensor of shape (b, 2)
        Places of the pairs among them.
    linked : tensor of bool, shape (a, c)
        Which query and document are a pair anywhere in the training set.
    """

    def __init__(self, queries, documents, pairs, linked):
        self.queries = queries
        self.documents = documents
        self.pairs = pairs
        self.linked = linked

    def __len__(self):
        return len(self.pairs)


class TowerData(Dataset):
    """Pairs of a query and a document, read a batch at a time.

    Parameters
    ----------
    queries, documents : Rows
    pairs : ndarray of int, shape (n, 2)
        Row numbers of a query and its document.
    negatives : ndarray of int, shape (n, h), or None
        Row numbers of documents that are none of the pair's query; -1 for none.
    """

    def __init__(self, queries, documents, pairs, negatives=None):
        self.queries = queries
        self.documents = documents
        self.pairs = pairs
        self.negatives = negatives
        ones = np.ones(len(pairs), dtype=bool)
        shape = len(queries), len(documents)
        self.linked = csr_array((ones, pairs.T.astype(np.int32)), shape=shape)

    def __len__(self):
        return len(self.pairs)

    def __getitems__(self, which):
        """Return a batch, and what skorch takes for its target."""
        chosen = self.pairs[which]
        listed = chosen[:, 1]
        if self.negatives is not None:
            listed = np.concatenate([listed, self.negatives[which].ravel()])
        queries, q = np.unique(chosen[:, 0], return_inverse=True)
        documents = np.unique(listed[listed >= 0])
        d = np.searchsorted(documents, chosen[:, 1])
        linked = self.linked[queries][:, documents].toarray()
        device = self.queries.device
        batch = TowerBatch(
            self.queries.take(queries),
            self.documents.take(documents),
            torch.from_numpy(np.column_stack([q, d])).to(device),
            torch.from_numpy(linked).to(device),
        )
        return batch, None


class TowerNet(NeuralNet):
    """skorch's net, with a step that embeds a batch in chunks.

    Parameters
    ----------
    *args, **kwargs
        skorch's own.
    chunk_size : int or None
        Rows embedded at a time; None embeds all at once.
    """

    def __init__(self, *args, chunk_size=None, **kwargs):
        self.chunk_size = chunk_size
        super().__init__(*args, **kwargs)

    def train_step_single(self, batch, **fit_params):
        """Take the loss of a batch and its gradient."""
        self._set_training(True)
        loss = gradient(self.module_, self.criterion_, batch[0], self.chunk_size)
        return {"loss": loss, "y_pred": loss}


def gradient(towers, criterion, batch, chunk_size=None):
    """Add the gradient of the loss of a batch to that of the parameters.

    In chunks [1]_: all rows are embedded without a graph; the loss is derived by the embeddings;
    then each chunk is embedded once more, with the same random numbers, and what the loss's
    derivative says of its rows goes back through it. The gradient is that of the whole batch, and
    at any time there is the graph of one chunk.

    Parameters
    ----------
    towers : TwoTowers
    criterion : TowerLoss
    batch : TowerBatch
    chunk_size : int, default=None
        None embeds all rows at once.

    Returns
    -------
    tensor
        The loss, detached.

    References
    ----------
    .. [1] L. Gao, Y. Zhang, J. Han and J. Callan, "Scaling deep contrastive learning batch size
       under memory limited setup", RepL4NLP, 2021. :doi:`10.18653/v1/2021.repl4nlp-1.31`
    """
    if chunk_size is None:
        loss = criterion(towers.queries(batch.queries), towers.documents(batch.documents), batch)
        loss.backward()
        return loss.detach()
    sides = [(towers.queries, batch.queries), (towers.documents, batch.documents)]
    embedded, chunks = [], []
    with torch.no_grad(), _statistics_kept(towers):
        for network, rows in sides:
            parts = []
            for chunk in rows.split(chunk_size):
                chunks.append((network, chunk, generator_states(chunk.device)))
                parts.append(network(chunk))
            embedded.append(torch.cat(parts).requires_grad_())
    loss = criterion(*embedded, batch)
    derivatives = torch.autograd.grad(loss, embedded)
    after = generator_states(batch.queries.device)
    left = [part for derivative in derivatives for part in derivative.split(chunk_size)]
    for (network, chunk, state), derivative in zip(chunks, left, strict=True):
        set_generator_states(chunk.device, state)
        network(chunk).backward(derivative)
    set_generator_states(batch.queries.device, after)
    return loss.detach()


@contextmanager
def _statistics_kept(module):
    """Embed without moving the statistics of batch normalization, which moves them once."""
    layers = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._NormBase)]
    before = [copy.copy(layer.momentum) for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, before, strict=True):
            layer.momentum = momentum
