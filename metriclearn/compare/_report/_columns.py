"""What each column contributes to the linear metrics."""

import numpy as np

MOST_COLUMNS = 20


def column_table(named):
    """Compare the shares of the columns in squared distances.

    Parameters
    ----------
    named : list of (str, Matrix, list of str)
        Name of a metric, its matrix and the names of the columns.

    Returns
    -------
    metrics : list of str
    rows : list of (str, list of float)
        Column and its share under each metric, the largest first.
    n_left_out : int
        Columns that are not shown.
    """
    if not named:
        return [], [], 0
    columns = named[0][2]
    named = [entry for entry in named if entry[2] == columns]
    shares = []
    for _, matrix, _ in named:
        weights = np.asarray(matrix.weights, dtype=float)
        shares.append(weights / (weights.sum() or 1.0))
    shares = np.array(shares).T
    order = np.argsort(-shares.max(axis=1), kind="stable")
    rows = [(columns[i], shares[i].tolist()) for i in order[:MOST_COLUMNS]]
    return [name for name, *_ in named], rows, len(columns) - len(rows)
