"""How far the label of the nearest row is from the true one, where labels are amounts."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike

from metriclearn._arrays import unit_of
from metriclearn._label_parts import columns_of_parts, value_of_each_part
from metriclearn._sklearn import POSITIVE
from metriclearn.metrics._checks import check_given_together, check_rows, fit_for_products
from metriclearn.metrics._relevance import numeric_labels
from metriclearn.neighbors._exact import ExactSearch


def median_label_error(
    embeddings: ArrayLike,
    labels: ArrayLike,
    *,
    period: float | Sequence[float | None] | None = None,
    parts: Sequence[Sequence[int]] | None = None,
    gallery: ArrayLike | None = None,
    gallery_labels: ArrayLike | None = None,
    metric: str = "euclidean",
    average: bool = True,
) -> float | np.ndarray:
    """Compute the median distance from the label of a row to that of its nearest row.

    ::

        median over i of ‖y_i - y_j‖,   j = argmin_j d(z_i, z_j)

    and with a period p each difference goes the short way around the circle::

        |δ| = min(r, p - r),   r = (y_i - y_j) mod p

    It is the measure of localization by retrieval [1]_: the pose of a photo is that of the most
    similar one. Errors of position and of direction are reported apart, with ``parts``.

    Parameters
    ----------
    embeddings : array-like of shape (n_queries, n_features)
        Rows whose nearest is looked for.
    labels : array-like of shape (n_queries,) or (n_queries, n_outputs)
        Amounts; with several columns the error is their Euclidean distance.
    period : float or sequence of float, default=None
        Of labels that go in a circle, more than 0, in their units: 360 of degrees, 24 of hours.
        With ``parts`` it may be one for each, None for a part that goes in no circle.
    parts : sequence of sequences of int, default=None
        Columns of the parts of labels that have several, each with an error of its own:
        ``((0, 1), (2,))`` for a position and an angle.
    gallery : array-like of shape (n_gallery, n_features), default=None
        Rows that are found; the embeddings themselves by default, which do not find
        themselves.
    gallery_labels : array-like of shape (n_gallery,) or (n_gallery, n_outputs), default=None
        Needed with ``gallery``.
    metric : {"euclidean", "cosine", "inner_product"}, default="euclidean"
        Distance of the search.
    average : bool, default=True
        False gives the error of each query, of which ``(errors <= t).mean()`` is the share within
        ``t``, and ``(errors <= [t, r]).all(axis=1).mean()`` that of two parts.

    Returns
    -------
    float or ndarray of shape (n_queries,), (n_parts,) or (n_queries, n_parts)
        In the units of the labels; at most half a period for one circular label. With ``parts``,
        one for each.

    Raises
    ------
    ValueError
        If labels are not finite numbers, one row of them for each row; or ``period`` is not
        more than 0.

    See Also
    --------
    retrieve : ``relevance=t`` counts labels within ``t`` as right answers.
    metriclearn.deep.losses.LabelDistanceTripletLoss : Trains on labels that are amounts.

    References
    ----------
    .. [1] Kendall, A., Grimes, M. & Cipolla, R. "PoseNet: a convolutional network for real-time
       6-DOF camera relocalization", ICCV, 2015. :doi:`10.1109/ICCV.2015.336`

    Examples
    --------
    >>> from metriclearn.metrics import median_label_error
    >>> Z, degrees = [[0.0], [0.1], [5.0]], [359.0, 2.0, 180.0]
    >>> median_label_error(Z, degrees), median_label_error(Z, degrees, period=360)
    (357.0, 3.0)
    """
    wrong = not isinstance(period, Real | tuple | list) or isinstance(period, bool | np.bool_)
    if isinstance(period, Real) and not 0 < period < np.inf:
        wrong = True
    if period is not None and wrong:
        raise ValueError(f"period must be a number of more than 0, or None, got {period!r}")
    periods = value_of_each_part(period, parts, "period", POSITIVE)
    check_given_together(gallery, gallery_labels)
    embeddings = check_rows(embeddings, "embeddings")
    own = _labels_of(embeddings, labels, "embeddings", "labels")
    if gallery is None:
        embeddings, _, _ = fit_for_products(metric, embeddings, embeddings)
        _, found = ExactSearch(embeddings, metric).search_all(1)
        others = own
    else:
        gallery = check_rows(gallery, "gallery")
        others = _labels_of(gallery, gallery_labels, "gallery", "gallery_labels")
        for name, rows, reference in (
            ("gallery", gallery, embeddings),
            ("gallery_labels", others, own),
        ):
            if rows.shape[1] != reference.shape[1]:
                raise ValueError(
                    f"{name} must have {reference.shape[1]} columns, as those of the queries have, "
                    f"got {rows.shape[1]}"
                )
        embeddings, gallery, _ = fit_for_products(metric, embeddings, gallery)
        _, found = ExactSearch(gallery, metric).search(embeddings, 1)
    columns = [...] if parts is None else columns_of_parts(parts, own.shape[1])
    errors = [
        _errors(own[:, part], others[found[:, 0]][:, part], period)
        for part, period in zip(columns, periods, strict=True)
    ]
    errors = errors[0] if parts is None else np.column_stack(errors)
    if not average:
        return errors
    return float(np.median(errors)) if parts is None else np.median(errors, axis=0)


def _errors(own, others, period):
    """Distances of labels, around a circle where there is a period."""
    unit = max(unit_of(own), unit_of(others))
    apart = np.abs(own / unit - others / unit)
    if period is not None:
        apart %= period / unit
        apart = np.minimum(apart, period / unit - apart)
    with np.errstate(over="ignore"):
        return (apart[:, 0] if apart.shape[1] == 1 else np.linalg.norm(apart, axis=1)) * unit


def _labels_of(rows, labels, rows_name, name):
    labels = numeric_labels(labels, name, "for errors of labels")
    if len(labels) != len(rows):
        raise ValueError(f"{name} has {len(labels)} entries for {len(rows)} rows of {rows_name}")
    return labels
