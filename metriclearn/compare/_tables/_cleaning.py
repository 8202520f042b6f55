"""From typed columns to an array of numbers, by what training rows teach."""

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from metriclearn._extras import require

# So many components stand for a column of free text or of many categories.
TEXT_COMPONENTS = 30
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
