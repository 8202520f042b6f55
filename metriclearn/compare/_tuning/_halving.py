"""Successive halving: how many settings, and on how many rows, cost what is asked."""

import numpy as np

FACTOR = 3


def plan_halving(n_fits, n_rows, fewest_rows, n_settings=None, factor=FACTOR):
    """Plan rounds of successive halving that cost as much as a number of fits on all rows.

    Each round keeps the best third and gives them three times the rows; the last
    round has all rows.

    Parameters
    ----------
    n_fits : int
    n_rows : int
    fewest_rows : int
        The first round has no fewer.
    n_settings : int, default=None
        Size of the search space, where it ends.
    factor : int, default=3

    Returns
    -------
    n_candidates : int
        Settings in the first round.
    first_rows : int
        Rows that each of them gets.

    Examples
    --------
    >>> plan_halving(20, 900, 80)
    (57, 100)
    """
    most_rounds = 1 + int(np.log(n_rows / max(1, fewest_rows)) / np.log(factor) + 1e-9)
    best = (1, n_rows)
    n_candidates = 0
    while n_settings is None or n_candidates < n_settings:
        n_candidates += 1
        rounds = min(most_rounds, 1 + int(np.log(n_candidates) / np.log(factor) + 1e-9))
        first_rows = n_rows // factor ** (rounds - 1)
        cost, kept = 0, n_candidates
        for i in range(rounds):
            cost += kept * first_rows * factor**i
            kept = -(-kept // factor)
        if cost > n_fits * n_rows:
            if rounds == most_rounds:
                break
            continue
        best = (n_candidates, first_rows)
    return best
