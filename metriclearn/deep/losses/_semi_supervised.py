"""Labels of some rows, and two views of all."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from metriclearn.deep.losses._adapters import as_metric_loss
from metriclearn.deep.losses._two_views import TwoViewLoss
from metriclearn.deep.losses._wrappers import Composite
from metriclearn.deep.tensors._ranges import NOT_NEGATIVE, check_ranges


class SemiSupervisedLoss(Composite):
    """A loss on the rows that have a label, plus a loss on two views of every row.

    ::

        loss(z of the labeled rows, y) + weight · views([z; z'])

    with z and z' the two views of a row. -1 is the label of a row without one.

    Parameters
    ----------
    loss : Module
        The loss on labels; it sees the first view.
    views : Module, default=None
        The loss on two views; None is ``TwoViewLoss()``, which compares by `NTXentLoss`.
    weight : float, default=1
        At least 0; with 0 no second view is made, and what is left is ``loss``.

    See Also
    --------
    TwoViewLoss : No labels at all.

    Notes
    -----
    *Needs* what its two losses need; labels, of which any may be -1.

    *Relations*: a loss on labels with instance discrimination [1]_ as regularizer, as the
    semi-supervised forms of self-supervised losses [2]_. With ``weight=0`` the loss on labels.

    Time O(that of the loss on b rows and of the other on 2b); memory likewise.

    References
    ----------
    .. [1] Wu, Xiong, Yu and Lin, "Unsupervised Feature Learning via Non-Parametric Instance
       Discrimination", CVPR 2018. :doi:`10.1109/CVPR.2018.00393`
    .. [2] Zhai, Oliver, Kolesnikov and Beyer, "S4L: Self-Supervised Semi-Supervised Learning",
       ICCV 2019. :doi:`10.1109/ICCV.2019.00156`

    Examples
    --------
    >>> import torch
    >>> from metriclearn.deep.losses import SemiSupervisedLoss, SupConLoss
    >>> x = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    >>> loss = SemiSupervisedLoss(SupConLoss(temperature=0.5), weight=0.5)
    >>> round(loss(torch.cat([x, x]), torch.tensor([0, 0, -1]).repeat(2)).item(), 3)
    0.091
    """

    keeps_unlabeled = True

    _parameter_constraints: dict = {"weight": [NOT_NEGATIVE]}

    def __init__(
        self, loss: nn.Module, views: nn.Module | None = None, weight: float = 1.0
    ) -> None:
        super().__init__()
        self.loss = as_metric_loss(loss)
        self.views = TwoViewLoss() if views is None else as_metric_loss(views)
        self.weight = weight
        check_ranges(self)
        if not self.views.needs_views:
            raise ValueError(
                f"views must be a loss on two views, got {type(self.views).__name__}; wrap it: "
                f"TwoViewLoss({type(self.views).__name__}())"
            )

    @property
    def needs_views(self) -> bool:
        """Whether two views of each row are to be given."""
        return self.weight > 0

    def parts(self) -> list[Any]:
        """Return the loss on labels and the loss on views."""
        return [self.loss, self.views]

    def compute(
        self,
        embeddings: torch.Tensor,
        labels: torch.Tensor,
        indices: torch.Tensor | None = None,
        features: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Value on ``embeddings`` (2b, d), ``labels`` (2b,); (b, d) and (b,) with weight 0."""
        if not self.needs_views:
            return self.loss(embeddings, labels, None, None, indices, features)
        n, odd = divmod(len(embeddings), 2)
        if odd:
            raise ValueError(
                f"embeddings must be the first views and, behind them, the second views of as many "
                f"rows, got {len(embeddings)} rows"
            )
        first = [part if part is None else part[:n] for part in (indices, features)]
        value = self.loss(embeddings[:n], labels[:n], None, None, *first)
        return value + self.weight * self.views(embeddings, labels, None, None, indices, features)
