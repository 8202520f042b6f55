"""Derivatives handed over in closed form: the first ones, and an error where a second is wanted."""

import functools

import torch


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
