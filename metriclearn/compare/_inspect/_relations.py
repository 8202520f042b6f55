"""What gives the label away without being said by one value of one column.

Sums and ratios of columns, gaps, decimals, words within texts, shares of the class itself, counters
that start again in each class, rows that follow one another, ids whose first part names a thing.
Each needs an agreement that honest data do not reach: what cannot be told from a strong feature is
left alone.
"""

import numpy as np

from metriclearn._arrays import count_classes
from metriclearn._text import option
from metriclearn.compare._inspect._finding import listed, make_finding
from metriclearn.compare._inspect._giveaways import beyond_chance, giveaway
from metriclearn.compare._inspect._marks import TELLS, check_marks
from metriclearn.compare._inspect._view import NUMBER

# Variance between classes to that within, of a sum of columns: honest ones come to some hundreds.
_FIXED = 1e5
_MAX_COLUMNS = 300
_MAX_ROWS = 4000
# Steps between neighboring rows, squared, to those between any two of a class.
_SMOOTH = 0.4
# So many rows apart, those of a series differ more than neighbors do, those of a part no more.
_FAR = 3


def check_relations(view, codes, rates):
    """Find what gives the label away by more than one value of one column.

    Parameters
    ----------
    view : View
    codes : ndarray of int, shape (n,)
    rates : ndarray of shape (n_columns,)
        How often each column alone tells the label, as of ``label_rates``.

    Returns
    -------
    list of Finding
    """
    counts = np.bincount(codes)
    if not beyond_chance(counts[counts > 0], len(view.names)):
        return []
    told = rates >= TELLS
    return [*_fixed_sums(view, codes, told), *check_marks(view, codes, told)]


def _fixed_sums(view, codes, told):
    """Columns whose sum or difference, ratio or product, is the same for all rows of a class."""
    places = np.flatnonzero(~told & _changing(view))
    rows = np.random.RandomState(0).permutation(len(codes))[:_MAX_ROWS]
    values = view.values[np.ix_(rows, places)]
    positive = (values > 0).all(axis=0)
    tried = (("sum or difference", values, places),)
    if positive.sum() > 1:
        tried += (("ratio or product", np.log(values[:, positive]), places[positive]),)
    for what, given, columns in tried:
        names = [view.names[columns[j]] for j in _fixed(given, codes[rows])]
        if names:
            text = f"A {what} of columns {listed(names)} is the same for all rows of a class"
            return [
                giveaway(f"{text}, and differs between classes: it gives the label away.", names)
            ]
    return []


def _changing(view):
    """Return a mask of the columns of numbers, without a gap, that are not constant."""
    values = view.values
    return view.complete_numbers() & (
        values.max(axis=0, initial=-np.inf) > values.min(axis=0, initial=np.inf)
    )


def _fixed(values, codes):
    """Return the columns whose weighted sum has no spread within the classes, but between them."""
    from scipy.linalg import eigh

    n, d = values.shape
    classes, places, counts = np.unique(codes, return_inverse=True, return_counts=True)
    if not 2 <= d <= _MAX_COLUMNS or n - len(classes) < 2 * d + 10:
        return []
    centered = values - values.mean(axis=0)
    scale = centered.std(axis=0)
    if not (scale > 0).all():
        return []
    centered /= scale
    means = np.zeros((len(classes), d))
    np.add.at(means, places.reshape(-1), centered)
    means /= counts[:, None]
    within = centered - means[places.reshape(-1)]
    between = (means.T * counts) @ means / n
    spread, directions = eigh(between, within.T @ within / n + 1e-10 * np.eye(d))
    if spread[-1] < _FIXED:
        return []
    weights = np.abs(directions[:, -1])
    chosen = np.flatnonzero(weights > 0.05 * weights.max())
    return chosen if len(chosen) > 1 else []


def check_shares(view, codes):
    """Find columns made of the labels: each value is the share of a class among its rows.

    Parameters
    ----------
    view : View
        All rows, also equal ones.
    codes : ndarray of int, shape (n,)

    Returns
    -------
    list of Finding
    """
    names = []
    few = len(view.names) <= _MAX_COLUMNS and codes.max() < 20
    for name, kind, values in zip(view.names, view.kinds, view.values.T, strict=True):
        if kind != NUMBER or np.isnan(values).any():
            continue
        if not few and (values.min() < 0 or values.max() > 1):
            continue
        distinct, places, counts = np.unique(values, return_inverse=True, return_counts=True)
        if not 3 <= len(distinct) <= 0.7 * len(values):
            continue
        shape = len(distinct), codes.max() + 1
        shares = count_classes(places.reshape(-1), codes, shape) / counts[:, None]
        exact = (np.abs(shares - distinct[:, None]) < 1e-6).all(axis=0)
        exact = exact.any() and np.sum((distinct > 0) & (distinct < 1)) >= 3
        made = few and any(
            _too_close(distinct, share, counts) or _smoothed(distinct, share, counts)
            for share in shares.T
        )
        if exact or made:
            names.append(name)
    if not names:
        return []
    text = f"{listed(names)} {'is' if len(names) == 1 else 'are'} the share of a class among the "
    return [giveaway(f"{text}rows of each value: made of the labels that are to be told.", names)]


def _smoothed(values, shares, counts):
    """Whether values are shares of a class among c rows, drawn to that among all by m / (c + m).

    Each value then says what c / m is; m is sought that makes c whole, and a divisor of the number
    of rows, in all groups.
    """
    prior = np.average(shares, weights=counts)
    with np.errstate(all="ignore"):
        ratios = (prior - values) / (values - shares)
    usable = np.isfinite(ratios) & (ratios > 0) & (np.abs(prior - values) > 1e-6)
    if usable.sum() < 6 or usable.mean() < 0.8:
        return False
    ratios, counts, shares = ratios[usable], counts[usable], shares[usable]
    small = counts.argmin()
    for size in range(1, min(counts[small], 500) + 1):
        if counts[small] % size:
            continue
        sizes = np.rint(whole := ratios * size / ratios[small])
        hits = (np.abs(whole - sizes) < 1e-4 * np.maximum(sizes, 1)) & (sizes > 0)
        hits &= np.abs(sizes * shares - np.rint(sizes * shares)) < 1e-6
        hits &= counts % np.maximum(sizes, 1) == 0
        if hits.mean() >= 0.9:
            return True
    return False


def _too_close(values, shares, counts):
    """Whether shares of a class follow the values they belong to more closely than chance permits.

    The share among n rows of one value varies with p (1 - p) / n about what the value stands for.
    Encodings of the target, smoothed or not, were made of these shares, and vary less.
    """
    from scipy.stats import chi2

    weights = counts * (counts > 1)
    if np.count_nonzero(weights) < 10:  # of different values, so that they have a spread
        return False
    middle, mean = (np.average(each, weights=weights) for each in (values, shares))
    spread = np.average((values - middle) ** 2, weights=weights)
    slope = np.average((values - middle) * (shares - mean), weights=weights) / spread
    expected = mean + slope * (values - middle)
    told = slope**2 * spread  # of the variance of the shares
    if told < max(0.5 * np.average((shares - mean) ** 2, weights=weights), 0.01):
        return False
    open_ = (weights > 0) & (expected > 0.1) & (expected < 0.9)
    if open_.sum() < 10:
        return False
    expected, shares, counts = expected[open_], shares[open_], counts[open_]
    distance = (counts * (shares - expected) ** 2 / (expected * (1 - expected))).sum()
    return bool(chi2.cdf(distance, open_.sum() - 2) < 1e-7)


def counts_within_classes(values, codes):
    """Whether a column numbers the rows of each class, or of each run of rows of one class."""
    if np.isnan(values).any() or len(values) < 20:
        return False
    order = np.argsort(codes, kind="stable")
    for rows in (order, np.arange(len(codes))):
        same = np.diff(codes[rows]) == 0
        steps = np.diff(values[rows])[same]
        if same.mean() > 0.5 and steps[0] != 0 and (steps == steps[0]).all():
            return True
    return False


def check_amount(view, y):
    """Find columns that are an amount in other words: in another unit, or the parts of its sum.

    Parameters
    ----------
    view : View
    y : ndarray of shape (n,), float64
        The amounts.

    Returns
    -------
    list of Finding
    """
    from scipy.stats import rankdata

    places = np.flatnonzero(_changing(view))[:_MAX_COLUMNS]
    rows = np.random.RandomState(0).permutation(len(y))[:_MAX_ROWS]
    values, y = view.values[np.ix_(rows, places)], y[rows]
    if len(np.unique(y)) < 10 or len(places) == 0:
        return []
    same = np.corrcoef(rankdata(y), rankdata(values, axis=0), rowvar=False)[0, 1:]
    names = [view.names[place] for place in places[np.abs(same) > 0.9999]]
    if names:
        verb = "rises or falls" if len(names) == 1 else "rise or fall"
        return [giveaway(f"{listed(names)} {verb} with the target in all rows.", names)]
    tried = [("sum", values, y)]
    if (values > 0).all() and (y > 0).all():
        tried.append(("product", np.log(values), np.log(y)))
    for what, given, wanted in tried:
        centered, wanted = given - given.mean(axis=0), wanted - wanted.mean()
        scaled = centered / centered.std(axis=0)
        if len(y) < 2 * len(places) + 10:
            continue
        weights = np.linalg.lstsq(scaled, wanted, rcond=1e-9)[0]
        if np.var(wanted - scaled @ weights) < 1e-8 * np.var(wanted):
            weighty = np.abs(weights) > 0.01 * np.abs(weights).max()
            names = [view.names[place] for place in places[weighty]]
            return [giveaway(f"The target is a {what} of columns {listed(names)}.", names)]
    return []


def check_series(view, codes, places):
    """Find rows that follow one another: near to the next, and of its class.

    Parameters
    ----------
    view : View
        Distinct rows in the order of the file.
    codes : ndarray of int, shape (n,)
    places : ndarray of int, shape (n,)
        Where each row stands among all.

    Returns
    -------
    Finding or None
    """
    from scipy.stats import rankdata

    same, n_rows = np.diff(codes) == 0, len(codes)
    chance = np.sum((np.bincount(codes) / n_rows) ** 2)
    if n_rows < 60 or same.mean() - chance < 5 * (chance * (1 - chance) / n_rows) ** 0.5:
        return None
    usable = view.complete_numbers()
    columns = [j for j in np.flatnonzero(usable) if len(np.unique(view.values[:, j])) >= 10]
    if not columns:
        return None
    ranks = rankdata(view.values[:, columns], axis=0)
    steps = (ranks[1:] - ranks[:-1])[same]
    rises = (np.diff(view.values[:, columns], axis=0)[same] >= 0).mean(axis=0)
    if ((rises > 0.98) | (rises < 0.02)).any():
        return None  # sorted by a column
    order = np.argsort(codes, kind="stable")
    shuffled = np.lexsort((np.random.RandomState(0).rand(len(codes)), codes))
    apart = (ranks[order] - ranks[shuffled]) ** 2
    smooth = (steps**2).mean(axis=0) < _SMOOTH * apart[order != shuffled].mean(axis=0)
    names = [view.names[j] for j, slow in zip(columns, smooth, strict=True) if slow]
    if not names:
        return None
    runs = np.r_[0, np.cumsum(~same)]
    far = (ranks[_FAR:] - ranks[:-_FAR])[runs[_FAR:] == runs[:-_FAR]][:, smooth]
    near = np.median(np.abs(steps[:, smooth]), axis=0)  # whatever happens where parts meet
    what = "a series, or a drift, may tell when a row was taken and not what it is."
    if len(far) and np.mean(near > 0.8 * np.median(np.abs(far), axis=0)) > 0.5:
        what = (
            "a drift, or sessions, may tell when a row was taken and not what it is. If a class is "
            "of parts that stand together, as finer classes do, it is these, and no leak."
        )
    return make_finding(
        "repeated_measurements",
        f"{'Column' if len(names) == 1 else 'Columns'} {listed(names)} "
        f"{'changes' if len(names) == 1 else 'change'} little from row to row, and the rows of a "
        f"class stand together{'' if same.mean() >= 0.8 else ' more than by chance'}: {what}",
        f"Neighboring rows may be in training and test; {option('groups', 'COL')} keeps those of "
        f"one session together, {option('drop')} leaves a drift out.",
        columns=names,
        rows=places,
    )
