"""Tables as they come, in front of a learner: a transformer that reads and cleans them."""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from metriclearn._extras import require
from metriclearn.compare._tables._cleaning import make_cleaner
from metriclearn.compare._tables._columns import read_columns
from metriclearn.compare._tables._labels import as_frame


class TableReader(TransformerMixin, BaseEstimator):
    """Read the columns of a table as numbers: categories, text, dates, gaps.

    Parameters
    ----------
    columns : list of str
        Names of the columns that are read; others are ignored. An array has as many columns, in
        this order, or they are called ``x0``, ``x1``, ...

    Attributes
    ----------
    kinds_ : dict of str to str
        Kind of dtype of each column: "f" numbers, "M" times, "O" words.
    cleaner_ : ColumnTransformer or None
        Medians, categories and components of text, learned from the rows fitted on.
    """

    def __init__(self, columns):
        self.columns = columns

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
        frame = read_columns(self._chosen(X)).frame
        self.kinds_ = {
            name: "O" if frame[name].dtype.kind not in "fM" else frame[name].dtype.kind
            for name in frame.columns
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
        read = read_columns(raw).frame
        columns = {}
        for name, kind in self.kinds_.items():
            column = read[name] if name in read else raw[name]
            if kind == "f" and column.dtype.kind != "f":
                column = pandas.to_numeric(raw[name], errors="coerce").astype(float)
            elif kind == "M" and column.dtype.kind != "M":
                column = pandas.to_datetime(raw[name], errors="coerce")
            elif kind == "O" and column.dtype.kind in "fM":
                column = raw[name].map(lambda cell: None if cell is None else str(cell))
            columns[name] = column.to_numpy()
        frame = pandas.DataFrame(columns)
        if self.cleaner_ is None:
            return frame.to_numpy(dtype=np.float64)
        return np.asarray(self.cleaner_.transform(frame))

    def _chosen(self, X):
        frame = as_frame(X)
        if frame is None:
            X = np.asarray(X)
            names = list(self.columns)
            if X.shape[1] != len(names):
                names = [f"x{j}" for j in range(X.shape[1])]
            frame = require("pandas", "cli").DataFrame(X, columns=names)
        frame = frame.copy(deep=False)
        frame.columns = [str(column) for column in frame.columns]
        missing = [name for name in self.columns if name not in frame]
        if missing:
            raise ValueError(f"X has no column {missing[0]!r}, which the metric was learned from")
        return frame[list(self.columns)].reset_index(drop=True)
