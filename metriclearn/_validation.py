"""Input checks that scikit-learn does not do.

Each raises one ``ValueError`` that names the argument, says what was given and
what to do, before any work.
"""

from numbers import Real

import numpy as np
from scipy import sparse
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from metriclearn._arrays import check_in_memory, rows_of
from metriclearn._sklearn import check_sample_weight
from metriclearn._text import number_of
from metriclearn._types import is_whole
from metriclearn.images._items import refuse_images

#: The label of rows whose class is not known, among integer labels, as in scikit-learn.
UNLABELED = -1
_TIMES = ("datetime", "timedelta", "<m8", ">m8", "date", "duration", "time", "period")
_NUMBERS = (bool, int, float, np.bool_, np.number)
# Columns whose cells may be anything.
_OF_ANYTHING = ("object", "interval", "str", "large_string", "cat", "enum", "list")


def check_label_kinds(y, *, argument="y"):
    """Raise a ``ValueError`` for labels that cannot be compared with each other.

    Strings beside numbers, missing values beside either, or lists have no order, and no
    class of their own that all of numpy agrees on.
    """
    check_unmasked(y, argument)
    check_in_memory(y, argument)
    dtype = getattr(y, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind in "mM" and np.isnat(np.asarray(y)).any():
        raise ValueError(f"{argument} contains NaT: each row needs a label; drop the row")
    if isinstance(y, (list, tuple)):
        values = y
    elif isinstance(dtype, np.dtype) and dtype.kind == "f":
        values = np.asarray(y).ravel()
        values = values[~np.isfinite(values)][:1].tolist()
    elif str(dtype) == "object" or (hasattr(y, "to_numpy") and not isinstance(dtype, np.dtype)):
        values = np.asarray(y, dtype=object).ravel().tolist()
    else:
        return
    for value in values:
        if is_missing(value):
            raise ValueError(
                f"{argument} contains {'NaN' if isinstance(value, float) else value}: each row "
                f"needs a label; drop the row, or give all integer labels and -1 where the class "
                f"is not known"
            )
        if isinstance(value, float) and abs(value) == np.inf:
            raise ValueError(f"{argument} contains infinity: each row needs a label; drop the row")
    examples = {type(value): value for value in values}
    for kind in examples:
        if issubclass(kind, (list, tuple, dict, set)):
            if isinstance(y, (list, tuple)):
                return  # a nested list, of which scikit-learn says what shape it has
            raise ValueError(
                f"{argument} must hold one label for each row, got a {kind.__name__} as a label"
            )
    words = [kind for kind in examples if issubclass(kind, (str, bytes))]
    if words and len(examples) > len(words):
        other = next(kind for kind in examples if kind not in words)
        raise ValueError(
            f"{argument} mixes kinds of labels: {examples[words[0]]!r} is of type "
            f"{words[0].__name__}, {examples[other]!r} of type {other.__name__}; give all of them "
            f"as strings or all as integers"
        )


def as_labels(y):
    """Return labels that are of one kind, those of pandas' own types as numpy's.

    scikit-learn reads nullable integers and truths, and Arrow's, as floats, in which large ids
    fall together.

    Parameters
    ----------
    y : array-like
        What `check_label_kinds` accepts.

    Returns
    -------
    array-like
    """
    check_label_kinds(y)
    if hasattr(getattr(y, "dtypes", None), "items"):  # a frame
        plain = {name: _plain(dtype) for name, dtype in y.dtypes.items() if _plain(dtype)}
        return y.astype(plain) if plain else y
    plain = _plain(getattr(y, "dtype", None))
    return y.astype(plain) if plain else y


def _plain(dtype):
    """Return numpy's type for integers and truths of pandas, None for others."""
    dtype = getattr(getattr(dtype, "categories", None), "dtype", dtype)
    if isinstance(dtype, np.dtype) or getattr(dtype, "kind", None) not in ("i", "u", "b"):
        return None
    return getattr(dtype, "numpy_dtype", None)


def check_numeric(X, argument="X"):
    """Raise for what numpy would misread as numbers, or could not read at all.

    Dates and durations would be counted in their ticks, what a masked array hides would be
    read, and fields of records have no order of columns.

    Parameters
    ----------
    X : array-like
        What holds numbers is left to scikit-learn.
    argument : str, default="X"
        Name used in the error.
    """
    if sparse.issparse(X):
        return
    check_unmasked(X, argument)
    check_in_memory(X, argument)
    refuse_images(X, argument)
    if isinstance(X, (str, bytes, dict, set, frozenset)) or hasattr(X, "__next__"):
        raise TypeError(f"{argument} must be an array-like of numbers, got a {type(X).__name__}")
    if isinstance(X, (list, tuple)):
        try:
            X = np.asarray(X)
        except Exception:  # ragged lists, tensors: whoever reads them says what is wrong
            return
    columns = getattr(X, "columns", None)
    if columns is None or not hasattr(X, "dtypes"):
        parts = [(argument, getattr(X, "dtype", None), None)]
    else:
        dtypes = X.dtypes.values() if isinstance(X.dtypes, dict) else list(X.dtypes)
        named = zip(columns, dtypes, strict=False)
        parts = [(f"{argument}: column {name!r}", dtype, name) for name, dtype in named]
    for name, dtype, column in parts:
        kind = str(dtype).lower()
        if kind.startswith(_TIMES):
            raise ValueError(
                f"{name} holds times ({dtype}), whose numbers depend on the unit they are kept "
                f"in; give numbers, such as days since the first, or leave the column out"
            )
        if getattr(dtype, "names", None):
            raise ValueError(
                f"{name} holds records with the fields {', '.join(dtype.names)}; give an array of "
                f"numbers, as numpy.lib.recfunctions.structured_to_unstructured makes it"
            )
        if kind.startswith(_OF_ANYTHING) or getattr(dtype, "kind", "") in ("O", "S", "U"):
            cells = np.asarray(X if column is None else X[column], dtype=object)
            _check_objects(cells.ravel().tolist(), name)


def _check_objects(values, name):
    """Raise for objects that are neither numbers nor the text of one."""
    for kind, value in {type(value): value for value in values}.items():
        is_text = issubclass(kind, (str, bytes))
        if not is_text and not hasattr(kind, "__float__") and not is_missing(value):
            raise TypeError(
                f"{name} holds {value!r:.60}: an entry of this argument must be a string or a real "
                f"number, not {kind.__name__!r}"
            )
        words = (word for word in values if isinstance(word, (str, bytes))) if is_text else ()
        word = next((word for word in words if number_of(word) is None), None)
        if word is not None:
            raise ValueError(
                f"{name} holds text, {word!r:.60}; give numbers: words become columns by "
                f"OneHotEncoder, sentences vectors by a text encoder"
            )


def check_unmasked(values, argument):
    """Raise a ``ValueError`` for a masked array that hides entries, which numpy would read."""
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise ValueError(
            f"{argument} is a masked array that hides {np.ma.count_masked(values)} entries; leave "
            f"their rows out, or fill them by .filled(...)"
        )


def as_truths(values, argument):
    """Return yes or no, given as booleans, 1 and 0, or 1 and -1, as an array of booleans."""
    check_unmasked(values, argument)
    values = np.asarray(values)
    if values.dtype == object and all(isinstance(value, _NUMBERS) for value in values.ravel()):
        values = values.astype(float)
    known = values.dtype.kind in "biuf" and np.all(np.isin(values, (-1, 0, 1)))
    if not known or ((values == -1).any() and (values == 0).any()):  # is 0 no, or not known?
        raise ValueError(f"{argument} must hold True/False, 1/0 or 1/-1")
    return values > 0


def check_known_numbers(y):
    """Raise a ``ValueError`` for a missing number: None, NaN, ``pandas.NA`` or ``pandas.NaT``.

    Parameters
    ----------
    y : array-like
        What numpy holds as numbers is left to scikit-learn.
    """
    dtype = getattr(y, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind != "O":
        return
    if not isinstance(y, (list, tuple)) and not hasattr(y, "to_numpy") and str(dtype) != "object":
        return
    for value in np.asarray(y, dtype=object).ravel().tolist():
        if is_missing(value):
            raise ValueError(
                f"y contains {'NaN' if isinstance(value, float) else value}: each row needs a "
                f"number; drop the row"
            )


def is_missing(label):
    """Whether it stands for no label: None, NaN, ``pandas.NA`` or ``pandas.NaT``."""
    if label is None or type(label).__name__ in ("NAType", "NaTType"):
        return True
    return (
        isinstance(label, (float, np.floating)) and label != label
    )  # only NaN differs from itself


def as_count(count, name, least=1, most=None):
    """Return a whole number from ``least`` on, or to ``most``, as a Python integer."""
    if not is_whole(count) or count < least or (most is not None and count > most):
        limits = f"of at least {least}" if most is None else f"from {least} to {most:,}"
        raise ValueError(f"{name} must be an integer {limits}, got {count!r:.80}")
    return int(count)


def check_share(value, name):
    """Check that a value is one number from 0 to 1."""
    if not isinstance(value, Real) or not 0 <= value <= 1:
        raise ValueError(f"{name} must be from 0 to 1, got {value!r}")


def check_classes(y, *, argument="y"):
    """Raise a ``ValueError`` for labels that are no classes: amounts, and what has no order."""
    check_label_kinds(y, argument=argument)
    if isinstance(y, np.ndarray) and y.ndim == 1 and y.dtype.kind in "biuUS":
        return  # however many: scikit-learn would warn of people with one photo each
    try:
        with np.errstate(invalid="ignore"):  # of numbers beyond any integer: classes, too
            check_classification_targets(y)
    except ValueError as error:
        if "type: unknown" not in str(error):
            raise
        kinds = sorted({type(value).__name__ for value in np.ravel(np.asarray(y, dtype=object))})
        raise ValueError(
            f"{argument}: Unknown label type: objects of type {', '.join(kinds)}; give numbers as "
            f"integers, {argument}.astype(int), and anything else as strings"
        ) from None


def validate_rows(estimator, X, y="no_validation", **options):
    """Validate rows of floats by scikit-learn's ``validate_data``, after `check_numeric`."""
    check_numeric(X)
    return validate_data(estimator, X, y, dtype=[np.float64, np.float32], **options)


def check_labels(y, *, min_rows=2, argument="y", sample_weight=None):
    """Encode class labels; raise where no metric can be learned from them.

    Parameters
    ----------
    y : array-like of shape (n,)
        Class labels: integers, strings or booleans.
    min_rows : int, default=2
        Fewest rows a class may have.
    argument : str, default="y"
        Name used in the error.
    sample_weight : ndarray of shape (n,), default=None
        A row of weight two counts as two rows of its class.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        The distinct labels, sorted.
    codes : ndarray of shape (n,), dtype intp
        Index of each label in ``classes``.
    """
    check_classes(y, argument=argument)
    classes, codes, counts = encode(y)
    if not len(classes):
        raise ValueError(f"{argument} has no class: every label is -1, a row of no known class")
    if len(classes) < 2:
        raise ValueError(
            f"{argument} has one class only ({classes.tolist()[0]!r}): a metric is learned from "
            f"rows of at least 2 classes"
        )
    if sample_weight is not None:
        counts = np.maximum(counts, np.bincount(codes, sample_weight).astype(np.intp))
    check_class_counts(classes, counts, min_rows, argument=argument)
    return classes, codes


def encode(y):
    """Return the distinct labels, sorted, the index of each row's among them, and their counts."""
    y = np.asarray(y)
    if y.dtype.kind in "iu" and y.size:
        low, high = int(y.min()), int(y.max())
        if high - low < 4 * y.size and high < 2**62:  # a table of all labels is small: no sorting
            places = np.subtract(y, low, dtype=np.intp, casting="unsafe")
            table = np.bincount(places)
            present = np.flatnonzero(table)
            numbers = np.zeros(len(table), dtype=np.intp)
            numbers[present] = np.arange(len(present))
            return (present + low).astype(y.dtype), numbers[places], table[present]
    classes, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    return classes, codes.reshape(-1), counts


def check_class_counts(classes, counts, min_rows, *, argument="y"):
    """Raise a ``ValueError`` for classes of fewer than ``min_rows`` rows, naming the smallest."""
    smallest = int(np.argmin(counts))
    if counts[smallest] < min_rows:
        n_small = int(np.sum(counts < min_rows))
        others = f" (and {n_small - 1} more such classes)" if n_small > 1 else ""
        rows = "row" if counts[smallest] == 1 else "rows"
        raise ValueError(
            f"{argument}: class {classes.tolist()[smallest]!r} has {counts[smallest]} {rows}"
            f"{others}, at least {min_rows} are needed; drop the class or add rows to it"
        )


def is_labeled(y):
    """Return which rows have a class: all but those of label -1 where labels are numbers."""
    y = np.asarray(y)
    return y != UNLABELED if y.dtype.kind in "if" else np.ones(y.shape, dtype=bool)


def weighted_rows(sample_weight, X, *aligned):
    """Leave out the rows of weight zero.

    Parameters
    ----------
    sample_weight : array-like of shape (n,) or None
        Not negative, one above zero at least.
    X : array of shape (n, d)
    *aligned : array of shape (n,) or None
        More arrays with an entry for each row.

    Returns
    -------
    sample_weight, X, *aligned
        All of the rows that count; the weights None where they were, else float64.
    """
    if sample_weight is None:
        return sample_weight, X, *aligned
    weights = check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
    if not weights.any():
        raise ValueError("sample_weight is zero for every row; give some row a weight above zero")
    counts = weights > 0
    if counts.all():
        return weights, X, *aligned
    return weights[counts], X[counts], *(a if a is None else a[counts] for a in aligned)


def labeled_rows(sample_weight, X, y):
    """Leave out the rows of weight zero and the rows without a label.

    Parameters
    ----------
    sample_weight : array-like of shape (n,) or None
    X : array of shape (n, d), or of row numbers of shape (n,)
    y : ndarray of shape (n,)
        Class labels; -1 among integers is a row whose class is not known.

    Returns
    -------
    sample_weight, X, y
        See :func:`weighted_rows`; the same arrays where every row counts.
    """
    sample_weight, X, y = weighted_rows(sample_weight, X, y)
    labeled = is_labeled(y)
    if labeled.all():
        return sample_weight, X, y
    rows = np.flatnonzero(labeled)
    left = np.unique(y[rows])
    if len(left) < 2:
        known = f"one class only ({left.tolist()[0]!r})" if len(left) else "no class"
        raise ValueError(
            f"y has {known} beside -1, which marks rows whose class is not known, as in "
            f"scikit-learn; name two classes 0 and 1, not -1 and 1"
        )
    weights = None if sample_weight is None else sample_weight[rows]
    return weights, rows_of(X, rows), y[rows]


def check_n_neighbors(n_neighbors, classes, counts):
    """Raise a ``ValueError`` for more target neighbors than the smallest class has rows."""
    smallest = int(np.argmin(counts))
    if n_neighbors > counts[smallest]:
        raise ValueError(
            f"n_neighbors={n_neighbors} is larger than the smallest class: "
            f"{classes.tolist()[smallest]!r} has {counts[smallest]} rows; lower "
            f"n_neighbors to {counts[smallest] - 1} or drop the class"
        )


def check_n_components(n_components, n_features):
    """Resolve ``n_components``, which must not be more than there are features.

    Returns
    -------
    int
        ``n_features`` for None.
    """
    if n_components is None:
        return n_features
    if n_components > n_features:
        raise ValueError(
            f"n_components={n_components} is larger than the number of features, {n_features}; "
            f"lower it or leave it None"
        )
    return int(n_components)
