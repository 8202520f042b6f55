"""Look at the data before anything is fitted.

``inspect`` is called once, on typed columns (``_tables._columns.read_columns``) or an array and on
labels without gaps (``_tables._labels.read_labels``). What its ``Inspection`` implies is applied by
the caller: ``left_out`` columns are dropped, ``equal`` joins the groups of every split, classes in
``small`` are no queries.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np

from metriclearn._text import counted
from metriclearn.compare._inspect._alike import check_alike, find_alike_rows
from metriclearn.compare._inspect._columns import (
    MUCH,
    check_column,
    check_named_groups,
    kept_text,
    left_out_text,
)
from metriclearn.compare._inspect._finding import KINDS, Finding, listed, make_finding
from metriclearn.compare._inspect._giveaways import check_giveaways, label_rates, range_rates
from metriclearn.compare._inspect._labels import check_labels, query_mask
from metriclearn.compare._inspect._pairs import check_pairs, check_steps
from metriclearn.compare._inspect._relations import (
    check_amount,
    check_relations,
    check_series,
    check_shares,
    counts_within_classes,
)
from metriclearn.compare._inspect._rows import check_duplicates, check_repeats, find_equal_rows
from metriclearn.compare._inspect._things import check_leading_digits, check_static, check_stems
from metriclearn.compare._inspect._view import NUMBER, as_bytes, averages, make_view, row_groups
from metriclearn.compare._inspect._within import check_within

# Of more findings of one kind about single columns, one finding lists the columns.
MAX_ALIKE = 3
_REPEATED = "repeated_measurements"


@dataclass(frozen=True)
class Inspection:
    """What was found, and what it implies.

    Attributes
    ----------
    findings : tuple of Finding
        In the order of ``KINDS``.
    left_out : tuple of str
        Columns that are left out by default.
    equal : ndarray of int, shape (n,)
        Equal rows have the same number.
    queries : ndarray of bool, shape (n,)
        Rows of classes that are large enough to be tested on.
    """

    findings: tuple[Finding, ...]
    left_out: tuple[str, ...]
    equal: np.ndarray
    queries: np.ndarray


def inspect(
    X,
    y,
    *,
    names=None,
    groups=None,
    keep=(),
    min_rows=5,
    target="y",
    is_image=False,
    is_amount=None,
):
    """Find what a reader of the result should know about the data.

    Parameters
    ----------
    X : DataFrame or array-like of shape (n, n_columns)
        Numbers, times and text; images are flattened.
    y : array-like of shape (n,)
        Labels, none missing.
    names : list of str, default=None
        Columns of an array.
    groups : array-like of shape (n,), default=None
        Rows that belong together; where given, repeated measurements are no finding.
    keep : iterable of str, default=()
        Columns that are not left out, whatever they are.
    min_rows : int, default=5
        Classes with fewer rows are no queries.
    target : str, default="y"
        Name of the target column.
    is_image : bool, default=False
        Columns that are pixels are not looked at one by one.
    is_amount : bool, default=None
        Whether the labels are taken for amounts; found out by default.

    Returns
    -------
    Inspection
    """
    labels = np.asarray(y)
    codes = np.unique(labels, return_inverse=True)[1].reshape(-1)
    findings = check_labels(labels, target=target, min_rows=min_rows, is_amount=is_amount)
    if is_amount is None:
        is_amount = any(finding.kind == "amount_target" for finding in findings)
    classes = None if is_amount else codes
    if is_image:
        view, about, left_out = None, [], np.zeros(0, dtype=bool)
        values, equal, n_near = _read_images(X)
    else:
        view = make_view(X, names)
        about, left_out = _look_at_columns(view, classes, set(keep))
        findings += about + _wide(len(view.values), int((~left_out).sum()))
        values = view.values[:, ~left_out]
        equal, n_near = find_equal_rows(values)
    findings += _made(check_duplicates(equal, n_near, classes))
    if not is_amount:
        first = np.sort(np.unique(equal, return_index=True)[1])
        repeats = None if groups is not None else check_repeats(values[first], codes[first], first)
        found = _made(repeats)
        if view is not None:
            found = _look_at_classes(view, left_out, about, codes, first, repeats, groups)
            if not any(finding.kind == _REPEATED for finding in found):
                equal, alike = _join_alike(values, equal, first)
                found += alike
        findings += found
    elif view is not None:
        findings += check_amount(view.only(_free(view, left_out, about)), labels.astype(np.float64))
    findings.sort(key=lambda finding: KINDS.index(finding.kind))
    names_out = tuple(view.names[place] for place in np.flatnonzero(left_out))
    return Inspection(tuple(findings), names_out, equal, query_mask(labels, min_rows))


def _made(*findings):
    """Return the findings that were made of what may find nothing."""
    return [finding for finding in findings if finding is not None]


def _read_images(X):
    """Numbers by which images are compared, which of them are equal, and how many but for rounding.

    Bytes do not differ by rounding.
    """
    pixels = as_bytes(X)
    if pixels is not None:
        return averages(pixels), row_groups(pixels), 0
    values = make_view(X).values
    return values, *find_equal_rows(values)


def _free(view, left_out, about):
    """Which columns may say more of the labels than what is said of them already."""
    explained = {name for each in about if each.kind != "id" for name in each.columns}
    return ~left_out & np.array([name not in explained for name in view.names], dtype=bool)


def _look_at_classes(view, left_out, about, codes, first, repeats, groups):
    """Find what columns say of the classes, and of what was measured repeatedly.

    ``first`` are distinct rows; ``repeats`` what these say by themselves.
    """
    free = _free(view, left_out, about)
    columns, distinct = view.only(free), view.only(free, first)
    found = _look_for_labels(distinct, codes[first], repeats)
    found += check_shares(columns, codes)
    found += check_within(columns, codes)
    if groups is not None:
        return [finding for finding in found if finding.kind != _REPEATED]
    things = _look_for_things(view, left_out, codes)
    named = {name for each in things for name in each.columns}
    found = [each for each in found if not named.issuperset(each.columns)] + things
    if repeats is None and not found:
        found += check_static(columns, codes)
    if any(finding.kind == _REPEATED for finding in found):
        return found
    return found + _made(repeats or check_series(distinct, codes[first], first))


def _join_alike(values, equal, first):
    """Give rows that are alike one number, as equal ones have; say what was found."""
    alike, how = find_alike_rows(values[first])
    if not how:
        return equal, []
    _, starts, of_row = np.unique(equal, return_index=True, return_inverse=True)
    joined = alike[np.searchsorted(first, starts[of_row.reshape(-1)])]
    return joined, [check_alike(alike, how, first)]


def _look_for_labels(view, codes, repeats):
    """Columns that give the label away, and those that say what was measured repeatedly."""
    rates = label_rates(view.values, codes)
    # Of repeated measurements the nearest in any column is of the same thing.
    trusted = None if repeats is None else range_rates(view.values, codes) >= MUCH
    found = check_giveaways(view, codes, rates, trusted)
    known = {name for each in found if each.kind == "giveaway" for name in each.columns}
    unknown = np.array([name not in known for name in view.names], dtype=bool)
    rest = view.only(unknown)
    related = check_relations(rest, codes, rates[unknown])
    # Copies of a row agree with each other, and two columns may be enough to know them by.
    if not related and repeats is None:
        related = check_steps(rest, codes) or check_pairs(rest, codes)
    found += related
    return found + check_named_groups(view, found)


def _look_for_things(view, left_out, codes):
    """Ids that were left out and say in a part what was measured repeatedly."""
    found = [
        check_stems(view.names[j], words, view.values[:, j], codes)
        for j, words in view.words.items()
        if left_out[j]
    ]
    found += [
        check_leading_digits(view.names[j], view.values[:, j], codes)
        for j in range(len(view.names))
        if view.kinds[j] == NUMBER
    ]
    return [finding for finding in found if finding is not None]


def _look_at_columns(view, codes, keep):
    by_kind, left_out = {}, np.zeros(len(view.names), dtype=bool)
    for j, (name, kind) in enumerate(zip(view.names, view.kinds, strict=True)):
        finding, out = check_column(
            name,
            kind,
            view.values[:, j],
            view.words.get(j),
            label_rate=partial(_label_rate, view.values[:, j], codes),
        )
        if (
            finding is None
            and kind == NUMBER
            and codes is not None
            and counts_within_classes(view.values[:, j], codes)
        ):
            text = f"Column {name!r} numbers the rows of each class."
            out, action = True, left_out_text(name)
            finding = make_finding("row_number", text, action, columns=[name])
        if finding is None:
            continue
        if out and name in keep:
            out = False
            finding = make_finding(finding.kind, finding.text, "Kept, as asked.", columns=[name])
        left_out[j] = out
        by_kind.setdefault((finding.kind, out), []).append(finding)
    findings = []
    for (kind, out), alike in by_kind.items():
        findings += alike if len(alike) <= MAX_ALIKE else [_merged(kind, out, alike)]
    return findings, left_out


def _label_rate(values, codes):
    return 0.0 if codes is None else label_rates(values[:, None], codes)[0]


_MANY = {
    "unreadable": "hold several numbers in each cell",
    "empty": "have no value in any row",
    "constant": "have the same value in all rows",
    "row_number": "number the rows",
    "id": "have a different value in every row, as ids have",
    "time": "are times",
}


def _merged(kind, out, findings):
    names = [name for finding in findings for name in finding.columns]
    text = f"{counted(len(names), 'column')} {_MANY[kind]}: {listed(names)}."
    action = left_out_text() if out else kept_text()
    return make_finding(kind, text, action, columns=names)


def _wide(n_rows, n_columns):
    if n_columns <= n_rows:
        return []
    text = f"There are more columns ({n_columns:,}) than rows ({n_rows:,})."
    action = "Metrics learned from so few rows follow chance; a selection of columns is compared."
    return [make_finding("wide", text, action)]
