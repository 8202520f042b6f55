"""Two encoders side by side, their loss, and its gradient in chunks."""

import numpy as np
import torch
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator
from torch import nn
from torch.utils.data import Dataset

from metriclearn.deep.pairs._net import PairsNet
from metriclearn.deep.tensors._masked_sums import FAR
from metriclearn.deep.training._chunks import (
    Chunks,
    Whole,
    buffers_kept,
    check_chunks,
    measuring_layers,
)
from metriclearn.deep.training._rows import Rows

# Their logits against all others are held at once, and no more.
PAIRS_AT_A_TIME = 128


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
        return sum(self.parts(queries, documents, batch, len(batch)))

    def parts(self, queries, documents, batch, size):
        """Yield the shares of some pairs at a time in the mean, in the memory of these."""
        for pairs in batch.pairs.split(size):
            q, d = pairs.T
            value = self._found(queries[q], documents, batch.linked_to_queries(q), d)
            if self.symmetric:
                linked = batch.linked_to_documents(d)
                value = (value + self._found(documents[d], queries, linked, q)) / 2
            yield value / len(batch)

    def _found(self, seekers, sought, linked, own):
        """Sum over the rows that seek of ``log(1 + Σ exp(others - own))``."""
        logits = seekers @ sought.T / self.temperature
        # What a query is paired with is no negative of it; each pair has its own row.
        others = (logits - FAR * linked.to(logits.dtype)).logsumexp(dim=1)
        return nn.functional.softplus(others - logits.gather(1, own[:, None])[:, 0]).sum()


class Chosen:
    """Rows of an array for a batch, of which a part is read where it is embedded.

    Parameters
    ----------
    rows : Rows
    which : ndarray of int
        Row numbers.
    """

    def __init__(self, rows, which):
        self.rows = rows
        self.which = which

    def __len__(self):
        return len(self.which)

    @property
    def device(self):
        """Where the rows are put."""
        return self.rows.device

    def tensor_split(self, n):
        """Return ``n`` parts, as of a tensor."""
        return [Chosen(self.rows, part) for part in np.array_split(self.which, n)]

    def read(self):
        """Return the rows as a tensor."""
        return self.rows.take(self.which)


class Documents(BaseEstimator):
    """What the documents of a fit are like, named in errors."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        return tags


class TowerBatch:
    """The distinct queries and documents of some pairs.

    Parameters
    ----------
    queries, documents : tensor or Chosen
        Rows to embed.
    pairs : tensor of shape (b, 2)
        Places of the pairs among them.
    linked : sparse array or ndarray of bool, shape (a, c)
        Which query and document are a pair anywhere in the training set.
    """

    def __init__(self, queries, documents, pairs, linked):
        self.queries = queries
        self.documents = documents
        self.pairs = pairs
        self.linked = csr_array(linked)
        self._turned = csr_array(self.linked.T)

    def __len__(self):
        return len(self.pairs)

    def linked_to_queries(self, which):
        """Return which documents are linked to some queries, bool of shape (k, c)."""
        return self._rows(self.linked, which)

    def linked_to_documents(self, which):
        """Return which queries are linked to some documents, bool of shape (k, a)."""
        return self._rows(self._turned, which)

    def _rows(self, linked, which):
        # All rows at once would be the one thing of a batch that grows with its square.
        return torch.from_numpy(linked[which.cpu().numpy()].toarray()).to(which.device)


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

    @property
    def rows(self):
        """The queries."""
        return self.queries

    def facts(self):
        """Return the arrays that, with the queries, define what is trained on."""
        documents = len(self.documents), self.documents.sample(1000)
        negatives = () if self.negatives is None else (self.negatives,)
        return *documents, self.pairs, *negatives

    def __getitems__(self, which):
        """Return a batch, and what skorch takes for its target."""
        chosen = self.pairs[which]
        listed = chosen[:, 1]
        if self.negatives is not None:
            listed = np.concatenate([listed, self.negatives[which].ravel()])
        queries, q = np.unique(chosen[:, 0], return_inverse=True)
        documents = np.unique(listed[listed >= 0])
        d = np.searchsorted(documents, chosen[:, 1])
        linked = self.linked[queries][:, documents]
        device = self.queries.device
        batch = TowerBatch(
            _chosen(self.queries, queries),
            _chosen(self.documents, documents),
            torch.from_numpy(np.column_stack([q, d])).to(device),
            linked,
        )
        return batch, None


def _chosen(rows, which):
    """Return rows to be read twice, or at once where that is slow or a matter of chance."""
    return Chosen(rows, which) if type(rows) is Rows else rows.take(which)


class TowerNet(PairsNet):
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

    Parameters
    ----------
    towers : TwoTowers
    criterion : TowerLoss
    batch : TowerBatch
    chunk_size : int, default=None
        None embeds all rows at once; else see `Chunks`.

    Returns
    -------
    tensor
        The loss, detached.
    """
    both = (towers.queries, batch.queries), (towers.documents, batch.documents)
    if chunk_size is None:
        sides = [Whole(_of_any_number(network), rows) for network, rows in both]
    else:
        for network, rows in both:
            check_chunks(network, len(rows), chunk_size)
        with buffers_kept(towers):
            sides = [Chunks(_of_any_number(network), rows, chunk_size) for network, rows in both]
    loss = 0.0
    for part in criterion.parts(*(side.outputs[0] for side in sides), batch, PAIRS_AT_A_TIME):
        part.backward()
        loss = loss + part.detach()
    for side in sides:
        side.backward()
    return loss


def _of_any_number(network):
    """Return a network as a function that normalizes a row alone by what it knows of others."""

    def embed(rows):
        rows = rows.read() if isinstance(rows, Chosen) else rows
        if len(rows) > 1:
            return network(rows)
        layers = measuring_layers(network)
        for layer in layers:
            layer.eval()
        embedded = network(rows)
        for layer in layers:
            layer.train()
        return embedded

    return embed
