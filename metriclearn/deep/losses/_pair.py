"""Losses on pairs: each pair of rows is pulled together or pushed apart."""

from torch import nn

from metriclearn.deep._pairwise import compare, mean_over
from metriclearn.deep._tuples import check_selection

_CONTRASTIVE_MARGIN = {"hadsell": 1.0, "squared_hinge": 1.0, "cosine": 0.5}


class ContrastiveLoss(nn.Module):
    """Contrastive loss, in its three published forms.

    With ``d`` the Euclidean distance of a pair, ``s`` its cosine, ``m`` the margin::

        "hadsell"        similar: ½ d²     dissimilar: ½ max(0, m - d)²
        "squared_hinge"  similar: d²       dissimilar: max(0, m² - d²)
        "cosine"         similar: 1 - s    dissimilar: max(0, s - m)

    and the mean over all pairs of the batch (or the pairs a miner selects).

    Hadsell, Chopra and LeCun, "Dimensionality Reduction by Learning an Invariant Mapping", 2006,
    is the default. Libraries often leave out the squares and average similar and dissimilar
    pairs apart; this class does not.

    Parameters
    ----------
    margin : float, default=None
        Distance from which dissimilar pairs are left alone, > 0; for "cosine" the similarity
        up to which they are, in [-1, 1). None: 1 (distances) or 0.5 (cosine).
    form : {"hadsell", "squared_hinge", "cosine"}, default="hadsell"

    Notes
    -----
    Time O(b² d), memory O(b²) for b rows of d dimensions. The first two forms use the
    embeddings as they come; with rows of length one distances lie in [0, 2].

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import ContrastiveLoss
    >>> embeddings = torch.tensor([[0.0, 0.0], [0.0, 1.0], [0.6, 0.0]])
    >>> ContrastiveLoss(margin=1.0)(embeddings, torch.tensor([0, 0, 1])).item()  # (½ + ½·0.16)/3
    0.1933...
    """

    accepts = ("pairs", "triplets")

    def __init__(self, margin=None, form="hadsell"):
        super().__init__()
        if form not in _CONTRASTIVE_MARGIN:
            raise ValueError(f"form must be one of {sorted(_CONTRASTIVE_MARGIN)}, got {form!r}")
        self.margin = margin
        self.form = form

    def forward(self, embeddings, labels, selection=None, reference=None):
        """Mean over pairs of ``embeddings`` (b, d) with ``labels`` (b,)."""
        check_selection(self, selection)
        margin = _CONTRASTIVE_MARGIN[self.form] if self.margin is None else self.margin
        kind = {"hadsell": "distance", "squared_hinge": "sq_distance", "cosine": "cosine"}
        values, positive, negative = compare(
            embeddings, labels, kind[self.form], reference, selection
        )
        count = positive.sum() + negative.sum()
        if self.form == "hadsell":
            pull, push = values, (margin - values).relu()
            total = (positive * pull + negative * push).square().sum() / 2
        elif self.form == "squared_hinge":
            total = (positive * values + negative * (margin**2 - values).relu()).sum()
        else:
            total = (positive * (1 - values) + negative * (values - margin).relu()).sum()
        return mean_over(total, count)
