"""Watch over a run: its mean loss, and warnings when nothing is learned."""

import warnings

import torch
from sklearn.exceptions import ConvergenceWarning

from metriclearn.deep.losses._wrappers import MinedLoss

# Embeddings this many times closer together than at the start have collapsed.
COLLAPSE = 10
# Rows this many times closer together than all rows are stand at one point.
ONE_POINT = 20
# A loss is at its margin within this share of it.
NEAR_MARGIN = 0.05


class Watch:
    """The losses and embeddings of a run, an epoch at a time.

    Parameters
    ----------
    criterion : nn.Module
        Whose margin tells what the loss of collapsed embeddings is.
    learned : bool, default=False
        Whether an earlier run taught the weights something: a loss of 0 is then success.
    """

    def __init__(self, criterion, learned=False):
        self.criterion = criterion
        self.learned = learned
        self.margin = _margin(criterion)
        self.first_spread = None
        self.last = None
        self.warned = set()
        self.begin_epoch()

    def begin_epoch(self):
        """Forget the losses of the epoch before."""
        self.n_rows, self.total, self.all_zero = 0, 0.0, True
        self.n_active = 0

    def see(self, embeddings, batch):
        """Note the embeddings of a batch; nothing is read from the device."""
        if self.first_spread is None:
            self.first_spread = _spread(embeddings)
        self.last = embeddings, batch
        active = self.criterion.active_
        self.n_active = self.n_active + (len(embeddings) if active is None else active)

    def count(self, loss, n_rows):
        """Note the loss of a batch."""
        self.total += loss * n_rows
        self.n_rows += n_rows
        self.all_zero &= loss == 0

    def mean_loss(self):
        """Return the mean loss of the epoch over its rows."""
        return self.total / self.n_rows

    def warn(self, epoch):
        """Warn, once a run, if nothing was ever learned or the embeddings have collapsed.

        A loss that comes down to 0 has learned all there is to learn, and classes that the
        first weights keep apart have nothing to teach.
        """
        embeddings, batch = self.last
        self.last = None
        if self.all_zero or self.n_active == 0:
            if not self.learned and not _apart(embeddings, batch):
                what = "the loss was 0" if self.all_zero else "nothing was active"
                where = "in every batch" if self.all_zero else "in any batch"
                self._once(f"{what} {where} of epoch {epoch}: {self._remedy(batch)}")
            return
        self.learned = True
        how = self._collapsed(embeddings, batch)
        if how is not None:
            self._once(
                f"the embeddings have collapsed by epoch {epoch}: {how}, and the loss stands at "
                f"its margin; lower lr, or take a less hard miner (miner='semi_hard') or another "
                f"loss (loss='contrastive')"
            )

    def _collapsed(self, embeddings, batch):
        """Say how embeddings have collapsed; None where they have not."""
        if self.margin is None or abs(self.mean_loss() - self.margin) > NEAR_MARGIN * self.margin:
            return None
        spread = _spread(embeddings)
        if float(spread) < float(self.first_spread) / COLLAPSE:
            return f"they are {COLLAPSE} times closer together than at the start"
        if not _are_classes(embeddings, batch):
            return None
        own, other = _extremes(embeddings, batch.targets)
        near = spread / ONE_POINT
        if float(((own < near) & (other < near)).float().mean()) >= 0.5:
            return "half of the rows or more stand at one point with rows of another class"
        return None

    def _remedy(self, batch):
        """Say why nothing was learned, and what to do."""
        targets = batch.targets
        if "selection" in batch.extra:
            return "every constraint is met; raise the loss's margin, or give harder constraints"
        if targets.is_floating_point():
            return (
                "no two labels differ by as much or as little as the loss wants; give its bounds "
                "in the units of y (loss_params={'near': ..., 'far': ...})"
            )
        if len(targets.unique()) == len(targets) and not self.criterion.needs_views:
            return (
                "no two rows of a batch are of one class; give classes of at least two rows, with "
                "sampler='class_balanced', or take a loss with proxies (loss='proxy_anchor')"
            )
        done = "or, if the training is done, lower max_epochs"
        if self.criterion.needs_views:
            return f"the two views of each row are as the loss wants them; augment more, {done}"
        if isinstance(self.criterion, MinedLoss):
            miner = type(self.criterion.miner).__name__
            return (
                f"{miner} found nothing for the loss to change; take another miner "
                f"(miner='batch_hard', or None), raise the loss's margin, {done}"
            )
        return f"every pair or triplet is as the loss wants it; raise its margin, {done}"

    def _once(self, message):
        kind = message.partition(" epoch ")[0]
        if kind not in self.warned:
            self.warned.add(kind)
            warnings.warn(message, ConvergenceWarning, stacklevel=2)


def _spread(embeddings):
    """Root of the mean squared distance of embeddings from their mean."""
    return embeddings.float().var(dim=0, correction=0).sum().sqrt()


def _are_classes(embeddings, batch):
    """Return whether the targets of a batch are one class for each row."""
    targets = batch.targets
    one_each = targets.ndim == 1 and len(targets) == len(embeddings)
    return one_each and "selection" not in batch.extra and not targets.is_floating_point()


def _extremes(embeddings, targets):
    """Return each row's distance to the farthest of its class and to the nearest of another."""
    distances = torch.cdist(embeddings.float(), embeddings.float())
    same = targets[:, None] == targets
    farthest = distances.where(same, distances.new_zeros(())).amax(dim=1)
    nearest = distances.where(~same, distances.new_full((), torch.inf)).amin(dim=1)
    return farthest, nearest


def _apart(embeddings, batch):
    """Return whether every row of a batch is nearer to all rows of its class than to any other."""
    if not _are_classes(embeddings, batch):
        return False
    farthest, nearest = _extremes(embeddings, batch.targets)
    repeated = len(batch.targets.unique()) < len(batch.targets)
    return repeated and bool((farthest < nearest).all())


def _margin(criterion):
    """Return the margin of a loss, or of the one loss that it wraps; None where there is none."""
    margins = [vars(part).get("margin") for part in criterion.modules()]
    margins = [margin for margin in margins if isinstance(margin, float | int) and margin > 0]
    return margins[0] if len(margins) == 1 else None
