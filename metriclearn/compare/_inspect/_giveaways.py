"""Columns that say the label again, alone: all of it, one class of it, or with errors.

Each needs an agreement, or a form, that features of honest data do not have; what cannot be told
from a strong feature is left alone.
"""

import re

import numpy as np

from metriclearn._arrays import count_classes
from metriclearn._text import counted, option
from metriclearn.compare._inspect._finding import listed, make_finding
from metriclearn.compare._inspect._view import NUMBER, row_groups

_CELLS = 4_000_000  # looked at together
_RANGE = 20  # rows of about one value
_GIVEN_AWAY = 0.98  # a column that tells the label at least this often gives it away


def label_rates(values, codes):
    """How often each column alone tells the label, classes weighted alike.

    For each row the label is guessed from the row that is nearest in that column, of equals one
    at random: a leave-one-out score that needs no model.

    Parameters
    ----------
    values : ndarray of shape (n, n_columns)
    codes : ndarray of int, shape (n,)
        Classes, from 0.

    Returns
    -------
    ndarray of shape (n_columns,)
    """
    n_rows, n_columns = values.shape
    shuffled = np.random.RandomState(0).permutation(n_rows)  # equals in no order of the file's
    codes = codes[shuffled]
    counts = np.bincount(codes)
    weights = 1 / (np.count_nonzero(counts) * np.maximum(counts, 1))[codes]
    rates = np.empty(n_columns)
    width = max(1, _CELLS // max(1, n_rows))
    for start in range(0, n_columns, width):
        block = values[shuffled, start : start + width]
        gaps = np.isnan(block)
        if gaps.any():  # beyond all values, so that a gap can tell the label, too
            top = np.where(gaps, -np.inf, block).max(axis=0)
            beyond = np.where(np.isfinite(top), 1 + 2 * np.abs(np.where(gaps, 0, block)).max(0), 0)
            block = np.where(gaps, beyond, block)
        order = np.argsort(block, axis=0, kind="stable")
        sorted_values = np.take_along_axis(block, order, axis=0)
        labels = codes[order]
        gaps = np.diff(sorted_values, axis=0)
        edge = np.full((1, gaps.shape[1]), np.inf)
        from_left = np.vstack([edge, gaps]) <= np.vstack([gaps, edge])
        left = np.vstack([labels[1:2], labels[:-1]])
        right = np.vstack([labels[1:], labels[-2:-1]])
        right_guess = np.where(from_left, left, right) == labels
        rates[start : start + width] = (right_guess * weights[order]).sum(axis=0)
    return rates


def range_rates(values, codes):
    """How often the class that rules among some rows of about one value is right, by column.

    A column that tells the label does so by ranges; copies of a row, or repeated measurements,
    agree with each other alone.

    Parameters
    ----------
    values : ndarray of shape (n, n_columns)
    codes : ndarray of int, shape (n,)

    Returns
    -------
    ndarray of shape (n_columns,)
    """
    places = np.arange(len(codes)) // _RANGE
    shape = places[-1] + 1, codes.max() + 1
    rates = np.empty(values.shape[1])
    for j, column in enumerate(values.T):
        table = count_classes(places, codes[np.argsort(column, kind="stable")], shape)
        rates[j] = table.max(axis=1).sum() / len(codes)
    return rates


def giveaway(text, names, why="they are made of the label"):
    """Build the finding that columns give the label away.

    Parameters
    ----------
    text : str
        A sentence.
    names : list of str
    why : str
        What is to be true where they are to be left out, said of several.

    Returns
    -------
    Finding
    """
    one = len(names) == 1
    if one:
        why = why.replace("they are", "it is")
    how = option("drop", [str(name) for name in names[:5]])
    action = f"Kept; if {why}, leave {'it' if one else 'them'} out with {how}."
    return make_finding("giveaway", text, action, columns=names)


def check_giveaways(view, codes, rates, trusted=None):
    """Find columns that give the label away, and those whose values are groups of one label each.

    Parameters
    ----------
    view : View
    codes : ndarray of int, shape (n,)
    rates : ndarray of shape (n_columns,)
        Of ``label_rates``.
    trusted : ndarray of bool, shape (n_columns,), default=None
        Columns whose rate is not that of copies of a row; all by default.

    Returns
    -------
    list of Finding
    """
    counts = np.bincount(codes)
    counts = counts[counts > 0]
    if not beyond_chance(counts, len(view.names)):
        return []
    giving, findings, grouping = [], [], {}
    for j in np.flatnonzero(rates >= _GIVEN_AWAY):
        n_groups = _groups_of_one_label(view, j, codes)
        if n_groups:  # columns that group the rows alike are one finding
            alike = row_groups(view.values[:, [j]]).tobytes()
            grouping.setdefault((alike, n_groups), []).append(view.names[j])
        elif trusted is None or trusted[j]:
            giving.append(j)
    for (_, n_groups), names in grouping.items():
        one = len(names) == 1
        findings.append(
            make_finding(
                "repeated_measurements",
                f"{'Column' if one else 'Columns'} {listed(names)} "
                f"{'has' if one else 'have the same'} {counted(n_groups, 'value')}, each in "
                f"several rows that are all of one class: "
                f"{'it may name' if one else 'rows repeat but for other columns, or they name'} "
                f"what was measured repeatedly.",
                f"Rows of one value may be in training and test; {option('groups', names[0])} "
                f"keeps them together.",
                columns=names,
            )
        )
    said, known = {}, {*giving}
    if giving:
        said[f"tell{{s}} the label alone ({max(rates[giving]):.1%} right)"] = giving
    known |= {j for j, name in enumerate(view.names) if _is_grouping(name, grouping)}
    others = [j for j in range(len(view.names)) if j not in known]
    sizes = np.bincount(codes)
    large = np.array([beyond_chance(np.array([n, len(codes) - n]), len(rates)) for n in sizes])
    for j in others:
        text = _said_again(view.values[:, j], codes, large)
        if text is not None:
            said.setdefault(text, []).append(j)
            known.add(j)
    knowledge = (rates - 1 / len(counts)) / (1 - 1 / len(counts))
    named = _named_as_labels([(j, view.names[j], knowledge[j]) for j in others], len(codes))
    if named := [j for j in named if j not in known]:
        right = f"({max(rates[named]):.0%} right)"
        said["{has} the name of a prediction or a label, and tell{s} it " + right] = named
    why = "they are not known before the label is"
    for place, (text, columns) in enumerate(said.items()):
        names = [view.names[j] for j in columns]
        one = len(names) == 1
        words = {"s": "s", "has": "has"} if one else {"s": "", "has": "have"}
        subject = f"{'Column' if one else 'Columns'} {listed(names)}{'' if one else ', each,'} "
        findings.insert(place, giveaway(f"{subject}{text.format(**words)}.", names, why))
    return findings


def _is_grouping(name, grouping):
    return any(name in names for names in grouping.values())


# A column of so few values is looked at value by value.
_MAX_VALUES = 64
# Precision and recall of one of two values for one class, which features seldom reach; and how
# often as many values as there are classes go with one class each.
_ONE_CLASS, _ONE_EACH = 0.9, 0.95


def _said_again(column, codes, large):
    """Return words where a column is the label but for names, fineness or errors, else None."""
    gaps = np.isnan(column)
    values, places = np.unique(column, return_inverse=True)
    places, counts = places.reshape(-1), np.bincount(codes)
    of_value = np.bincount(places)
    has_many = len(values) > _MAX_VALUES
    if has_many:  # the most frequent value, and the gaps
        often = of_value.argmax()
        places = np.where(gaps, 2, np.where(places == often, 1, 0))
    table = count_classes(places, codes, (places.max() + 1, len(counts)))
    there = counts > 0
    table, counts, large = table[:, there], counts[there], large[there]
    # 0 in the rows of all other classes: days since a diagnosis, say.
    rest = (counts - table[1 if has_many else table.sum(axis=1).argmax()])[None]
    of_one = table[1:] if has_many else table
    agreement = _agreement(of_one, of_one.sum(axis=1), counts)
    of_rest = _agreement(rest, rest.sum(axis=1), counts)
    if (np.vstack([agreement, of_rest]) * large).max(initial=0) >= 0.99:
        return "tell{s} one class from all others, by one of the values or by the gaps"
    if has_many:
        return None
    most = table.argmax(axis=0)
    if (table.max(axis=0) >= 0.99 * counts).all() and len(np.unique(most)) > 1 and counts.min() > 4:
        return "{has} the same value in all rows of a class: some classes, or groups of them"
    n_classes = len(counts)
    recall = np.mean(table.max(axis=0) / counts)
    if len(values) == n_classes == len(np.unique(most)) and recall >= _ONE_EACH:
        return f"{{has}} as many values as there are classes, one for each ({recall:.0%} right)"
    enough = (agreement * (counts >= 20))[:, large].max(initial=0) >= _ONE_CLASS
    if len(values) == 2 and n_classes > 2 and enough:
        return "tell{s} one class from all others by one of two values, but for a few rows"
    return None


def _agreement(table, sizes, counts):
    """How far each value and each class are the same rows: the smaller of precision and recall.

    And those of all other values for all other classes, which are the few where a class, and a
    value, have nearly all rows.
    """
    n_rows, sizes = counts.sum(), sizes[:, None]
    others = n_rows - sizes - counts + table
    of_value = table / np.maximum(np.maximum(counts, sizes), 1)
    return np.minimum(of_value, others / np.maximum(n_rows - np.minimum(counts, sizes), 1))


_PREDICTIONS = {
    *("pred", "preds", "predicted", "prediction", "predictions", "yhat", "logit", "logits"),
    *("proba", "probas", "prob", "probs", "probability", "probabilities", "softmax", "posterior"),
}
_LABELS = {
    *("label", "labels", "target", "class", "outcome", "truth", "score", "scores", "confidence"),
    *("risk", "diagnosis", "result", "decision", "verdict", "y"),
}


def _named_as_labels(columns, n_rows):
    """Return the columns that have the name of a prediction or a label, and tell of it.

    Parameters
    ----------
    columns : list of (int, str, float)
        Place, name, and how much each column tells, from 0 for chance to 1.
    n_rows : int

    Returns
    -------
    list of int
    """
    predictions, labels = [], []
    for j, name, knowledge in columns:
        words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
        if _PREDICTIONS & set(words) or words[-2:] == ["y", "hat"]:
            predictions.append((j, knowledge))
        elif _LABELS & set(words) and knowledge >= 0.7:  # scores may be features, too
            labels.append(j)
    if any(knowledge >= max(0.2, 4 / n_rows**0.5) for _, knowledge in predictions):
        labels += [j for j, _ in predictions]
    return sorted(labels)


def beyond_chance(counts, n_columns):
    """Whether a column that splits the classes would be no accident among so many columns."""
    from scipy.special import gammaln

    n_orders = gammaln(counts.sum() + 1) - gammaln(counts + 1).sum() - gammaln(len(counts) + 1)
    return n_orders > np.log(max(1, n_columns)) + np.log(1e4)


def _groups_of_one_label(view, j, codes):
    """Return the number of values where these name groups and not the label, else 0."""
    values = view.values[:, j]
    distinct, places = np.unique(values[~np.isnan(values)], return_inverse=True)
    codes = codes[~np.isnan(values)]
    n_classes = len(np.unique(codes))
    sizes = np.bincount(places)
    if len(distinct) < max(8, 3 * n_classes) or np.median(sizes) < 2:
        return 0
    if view.kinds[j] == NUMBER:
        first = np.unique(places, return_index=True)[1]
        runs = 1 + np.count_nonzero(np.diff(codes[first]))
        if runs <= max(2 * n_classes, 0.2 * len(distinct)):  # classes are ranges of an amount
            return 0
    return len(distinct)
