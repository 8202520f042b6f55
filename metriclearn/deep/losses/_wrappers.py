"""Losses made of other losses."""

from torch import nn

from metriclearn.deep._tuples import check_composition


class MinedLoss(nn.Module):
    """A loss on what a miner selects.

    Parameters
    ----------
    loss : Module
        Its ``accepts`` has to name what the miner yields.
    miner : callable
        ``miner(embeddings, labels)`` to `Pairs` or `Triplets`.

    Raises
    ------
    ValueError
        Where the two do not fit.

    Notes
    -----
    Where the miner is a window on the loss's own distance (all, hard, semi-hard) nothing is
    listed: the loss sums over the window.

    Examples
    --------
    >>> from metriclearn.deep.losses import MinedLoss, MultiSimilarityLoss, TripletLoss
    >>> from metriclearn.deep.miners import MultiSimilarityMiner, SemiHardMiner
    >>> loss = MinedLoss(TripletLoss(margin=0.1), SemiHardMiner())
    >>> loss = MinedLoss(TripletLoss(), MultiSimilarityMiner())
    Traceback (most recent call last):
    ...
    ValueError: TripletLoss does not work with MultiSimilarityMiner, which yields pairs: ...
    """

    def __init__(self, loss, miner):
        super().__init__()
        check_composition(loss, miner)
        self.loss = loss
        self.miner = miner

    def forward(self, embeddings, labels, reference=None):
        """Value of the loss on the miner's selection of ``embeddings`` (b, d), ``labels`` (b,)."""
        window = self.miner.window(self.loss) if hasattr(self.miner, "window") else None
        if window is not None and getattr(self.loss, "takes_window", lambda _: False)(window):
            return self.loss(embeddings, labels, selection=window, reference=reference)
        selection = self.miner(embeddings, labels, reference)
        return self.loss(embeddings, labels, selection=selection, reference=reference)
