"""From typed columns to an array of numbers, by what training rows teach."""

import warnings

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.validation import check_is_fitted

from metriclearn._extras import require
from metriclearn.compare._tables._columns import decimal_of, read_as, read_columns
from metriclearn.compare._tables._labels import as_frame
from metriclearn.compare._tables._numbers import is_missing

# So many components stand for a column of free text or of many categories.
TEXT_COMPONENTS = 30
# What a column holds, by the kind of its dtype.
_KINDS = {"M": "times", "O": "words"}
# With fewer values than this a column of words gets a column for each of them.
MAX_CATEGORIES = 40


def make_cleaner(frame):
    """Make the transformer that turns a typed frame into numbers.

    Parameters
    ----------
    frame : DataFrame
        Of ``TypedTable``: columns are float64, datetime64 or strings.

    Returns
    -------
    ColumnTransformer or None
        Unfitted; to be fitted on training rows alone, as it learns medians, categories and
        the components of text. None where the frame is numbers without a gap: then
        ``frame.to_numpy()`` is the array.

    Notes
    -----
    Numbers keep their units; gaps get the median and a column that says so. Categories are 0 and
    1. Times and text have no unit of their own: what is made of them is standardized.
    """
    numbers = [name for name in frame.columns if frame[name].dtype.kind == "f"]
    others = [name for name in frame.columns if frame[name].dtype.kind != "f"]
    has_gaps = bool(np.isnan(frame[numbers].to_numpy()).any()) if numbers else False
    if not others and not has_gaps:
        return None
    parts = []
    if numbers:
        filled = SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)
        parts.append(("numbers", filled, numbers))
    if others:
        parts.append(("words_and_times", _vectorizer(), others))
    return ColumnTransformer(parts, verbose_feature_names_out=False)


def _vectorizer():
    skrub = require("skrub", "cli")
    vectorizer = skrub.TableVectorizer(
        cardinality_threshold=MAX_CATEGORIES,
        low_cardinality=OneHotEncoder(handle_unknown="ignore", sparse_output=False),
        high_cardinality=_standardized(
            skrub.StringEncoder(n_components=TEXT_COMPONENTS, random_state=0)
        ),
        datetime=_standardized(skrub.DatetimeEncoder()),
    )
    return make_pipeline(vectorizer, SimpleImputer(keep_empty_features=True))


def _standardized(encoder):
    return make_pipeline(encoder, StandardScaler()).set_output(transform="pandas")


def fit_cleaner(X, rows):
    """Fit the cleaning of a table on some rows.

    Parameters
    ----------
    X : ndarray or DataFrame
        Of a ``Source``.
    rows : ndarray of int
        Training rows.

    Returns
    -------
    ColumnTransformer or None
        None where there is nothing to clean.
    """
    cleaner = make_cleaner(X) if hasattr(X, "iloc") else None
    return None if cleaner is None else cleaner.fit(X.iloc[rows])


def take_rows(X, rows, cleaner=None):
    """Return rows as an array, cleaned by what ``fit_cleaner`` returned."""
    if not hasattr(X, "iloc"):
        return X[rows]
    if cleaner is None:
        return X.iloc[rows].to_numpy(dtype=np.float64)
    return np.asarray(cleaner.transform(X.iloc[rows]))


def cleaned_names(cleaner):
    """Names of the columns that cleaning makes, or None."""
    return None if cleaner is None else tuple(map(str, cleaner.get_feature_names_out()))


def split_rows(X, train, *others):
    """Return parts of the rows as arrays, cleaned by what the first part teaches.

    Parameters
    ----------
    X : ndarray or DataFrame
        Of a ``Source``.
    train : ndarray of int
        Rows that the cleaning is fitted on.
    *others : ndarray of int
        Further rows.

    Returns
    -------
    list of ndarray
        One for ``train`` and each of ``others``.
    """
    cleaner = fit_cleaner(X, train)
    return [take_rows(X, rows, cleaner) for rows in (train, *others)]


class TableReader(TransformerMixin, BaseEstimator):
    """Read the columns of a table as numbers: categories, text, dates, gaps.

    Parameters
    ----------
    columns : list of str
        Names of the columns that are read; others are ignored. An array has as many columns, in
        this order, or they are called ``x0``, ``x1``, ...
    notes : dict of str to (str, str), default=None
        What columns were read as and how, where rows to fit on were read before: values that are
        typed do not show it any more. By default it is learned from the rows.

    Attributes
    ----------
    feature_names_in_ : ndarray of str
        The columns.
    kinds_ : dict of str to str
        Kind of dtype of each column: "f" numbers, "M" times, "O" words.
    notes_ : dict of str to tuple of str
        What each column was read as, and how: new rows are read alike, however few.
    decimal_ : {".", ","}
        The decimal mark.
    strays_ : dict of str to list of str
        Cells of the rows fitted on that are nothing of their column's kind, and count as gaps.
    cleaner_ : ColumnTransformer or None
        Medians, categories and components of text, learned from the rows fitted on.

    Warns
    -----
    UserWarning
        Where cells of new rows are nothing of their column's kind, and count as gaps.
    """

    def __init__(self, columns, notes=None):
        self.columns = columns
        self.notes = notes

    def fit(self, X, y=None):
        """Learn how to read the columns.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, n_columns)
        y : object, default=None
            Not used.

        Returns
        -------
        self
        """
        raw = self._chosen(X)
        self.feature_names_in_ = np.array(self.columns, dtype=object)
        known = {name: tuple(note) for name, note in (self.notes or {}).items()}
        has_comma = any("decimal comma" in text for _, text in known.values())
        self.decimal_ = "," if has_comma else decimal_of(raw)
        read = read_columns(raw, decimal=self.decimal_)
        frame = read.frame
        self.notes_ = {note.column: (note.kind, note.text) for note in read.notes}
        typed = {name for name in raw if raw[name].dtype.kind in "fM"}
        self.notes_ |= {name: note for name, note in known.items() if name in typed}
        self.kinds_ = {
            name: "O" if frame[name].dtype.kind not in "fM" else frame[name].dtype.kind
            for name in frame.columns
        }
        self.strays_ = {
            name: sorted({str(cell) for cell in raw[name][_unread(raw[name], frame[name])]})
            for name, kind in self.kinds_.items()
            if kind in "fM"
        }
        self.cleaner_ = make_cleaner(frame)
        if self.cleaner_ is not None:
            self.cleaner_.fit(frame)
        return self

    def transform(self, X):
        """Read the columns as numbers.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, n_columns)

        Returns
        -------
        ndarray of shape (n, n_features)
        """
        check_is_fitted(self, "kinds_")
        pandas = require("pandas", "cli")
        raw = self._chosen(X)
        if self.cleaner_ is None and (values := _numbers(raw)) is not None:
            return values
        words = [name for name, kind in self.kinds_.items() if kind != "f"]
        if words and as_frame(X) is None and np.asarray(X).dtype.kind in "fiu":
            raise ValueError(
                f"X is an array of numbers, and the metric was learned from a table whose column "
                f"{words[0]!r} holds {_KINDS[self.kinds_[words[0]]]}: give a table with its columns"
            )
        read = read_columns(raw, decimal=self.decimal_).frame
        columns, unread = {}, []
        for name, kind in self.kinds_.items():
            column = read[name] if name in read else raw[name]
            # A few rows do not show what a column is, nor which of two numbers is the day.
            is_open = column.dtype.kind != kind or "format %" in self.notes_[name][1]
            if kind in "fM" and is_open and raw[name].dtype.kind != "M":
                column = pandas.Series(
                    read_as(raw[name], *self.notes_[name], decimal=self.decimal_)
                )
            elif kind == "O" and column.dtype.kind in "fM":
                column = raw[name].map(lambda cell: None if cell is None else str(cell))
            columns[name] = column.to_numpy()
            if kind in "fM":
                lost = _unread(raw[name], column)
                lost[lost] = ~raw[name][lost].map(str).isin(self.strays_[name])
                unread += _named(raw[name], lost)
        frame = pandas.DataFrame(columns)
        if self.cleaner_ is None:  # of numbers alone: a cell that is none is a gap
            values = frame.to_numpy(dtype=np.float64)
            gaps = zip(frame, np.isnan(values).T, strict=True)
            if unread := [each for name, is_gap in gaps for each in _named(raw[name], is_gap)]:
                raise ValueError(
                    f"cells cannot be read as what their column holds, and the metric was learned "
                    f"from rows without gaps: {'; '.join(unread)}; mend them, or leave the rows out"
                )
            return values
        if unread:
            warnings.warn(
                f"cells that cannot be read as what their column holds count as gaps: "
                f"{'; '.join(unread)}",
                UserWarning,
                stacklevel=2,
            )
        return np.asarray(self.cleaner_.transform(frame))

    def _chosen(self, X):
        frame = as_frame(X)
        if frame is None:
            X = np.asarray(X)
            if X.ndim != 2:
                raise ValueError(
                    f"the metric was learned from a table: X must have rows and columns, got "
                    f"{X.ndim} dimension{'s' * (X.ndim != 1)}"
                )
            names = list(self.columns)
            if X.shape[1] != len(names):
                names = [f"x{j}" for j in range(X.shape[1])]
            frame = require("pandas", "cli").DataFrame(X, columns=names)
        frame = frame.copy(deep=False)
        frame.columns = [str(column) for column in frame.columns]
        missing = [name for name in self.columns if name not in frame]
        if missing:
            raise ValueError(
                f"X has no column {', '.join(map(repr, missing[:8]))}, which the metric was "
                f"learned from"
            )
        return frame[list(self.columns)].reset_index(drop=True)


def _numbers(frame):
    """Return a frame of numbers without a gap as an array; None where it is none."""
    if not all(dtype.kind in "fiu" for dtype in frame.dtypes):
        return None
    values = frame.to_numpy(dtype=np.float64)
    return values if np.isfinite(values).all() else None


def _unread(cells, values):
    """Return which cells say something, where reading them gave none."""
    lost = values.isna().to_numpy() & cells.notna().to_numpy()
    lost[lost] = [not is_missing(str(cell)) for cell in cells[lost]]
    return lost


def _named(cells, at_fault):
    """Name the cells of a column that are at fault, by the first: a list of one text, or none."""
    rows = np.flatnonzero(at_fault)
    more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
    return [
        f"{cells.name!r} holds {cells.iat[row]!r} in row {row} (from 0){more}" for row in rows[:1]
    ]
