"""A step of an optimizer on the rows that a sparse gradient tells of, and on no others."""

import torch
from torch import optim

#: Optimizers that treat each number by itself, with a state that begins with zeros.
BY_NUMBER = (
    optim.Adam,
    optim.AdamW,
    optim.SGD,
    optim.RMSprop,
    optim.Adadelta,
    optim.Adamax,
    optim.NAdam,
    optim.RAdam,
)


class SparseRows:
    """The rows that a sparse gradient tells of, in place of the whole while an optimizer steps.

    Of a parameter, its gradient and its part of the optimizer's state, `take` leaves these rows;
    what a step then makes of them `put_back` writes into the whole.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        One of `BY_NUMBER`.
    parameters : iterable of Parameter
    """

    def __init__(self, optimizer, parameters):
        self.optimizer = optimizer
        self.parameters = list(parameters)
        self.taken = []

    def take(self):
        """Put the rows in the place of each parameter whose gradient is sparse."""
        for parameter in self.parameters:
            gradient = parameter.grad
            if gradient is None or not gradient.is_sparse:
                continue
            gradient = gradient.coalesce()
            (rows,) = gradient.indices()
            whole, state = parameter.data, self.optimizer.state.get(parameter, {})
            kept = {
                name: value
                for name, value in state.items()
                if isinstance(value, torch.Tensor) and value.shape == whole.shape
            }
            self.taken.append((parameter, whole, gradient, kept))
            state.update({name: value[rows] for name, value in kept.items()})
            _replace(parameter, whole[rows], gradient.values())

    def put_back(self):
        """Put the parameters back, with their rows as they are now."""
        for parameter, whole, gradient, kept in self.taken:
            (rows,) = gradient.indices()
            own = parameter.data
            state = self.optimizer.state.get(parameter, {})
            for name, value in state.items():
                if isinstance(value, torch.Tensor) and value.shape == own.shape:
                    all_rows = kept[name] if name in kept else value.new_zeros(whole.shape)
                    state[name] = all_rows.index_copy_(0, rows, value)
            _replace(parameter, whole.index_copy_(0, rows, own), gradient)
        self.taken.clear()


def _replace(parameter, data, gradient):
    """Give a parameter other numbers, of which there may be more or fewer, and a gradient."""
    parameter.grad = None
    parameter.data = data
    parameter.grad = gradient
