"""Scores of a fitted learner from one search, in each protocol, by class, and of amounts."""

import time
from dataclasses import dataclass, field

import numpy as np
from sklearn.metrics import median_absolute_error, r2_score
from sklearn.neighbors import NearestNeighbors

from metriclearn._arrays import unit_of
from metriclearn.compare._records import ByClass, Growth
from metriclearn.metrics._growth import count_nearer_classes
from metriclearn.metrics._retrieval import retrieval_scores

#: Numbers of nearest neighbors that are tried on validation rows.
NEIGHBORS = (1, 3, 5, 9, 15)
DEFAULT_K = 3
RECALL_KS = (1, 2, 4, 8, 16, 32)
#: Measures of judgments; ``new_`` of those about new items.
JUDGED = ("agreement", "pair_auc", "pair_accuracy")
#: Those of the rows of unseen classes.
RETRIEVAL = ("recall_at_1", "r_precision", "map_at_r")
MEASURES = {
    "closed": ("accuracy", "balanced_accuracy", "r2", "median_error", *JUDGED),
    "open": (*RETRIEVAL, *(f"new_{name}" for name in JUDGED)),
}
#: The measure that settles a protocol's winner, and that settings are chosen by.
HEADLINE = {"closed": "accuracy", "open": "map_at_r"}
MEASURE_NAMES = {
    "accuracy": "k-NN accuracy",
    "balanced_accuracy": "balanced accuracy",
    "recall_at_1": "Recall@1",
    "r_precision": "R-precision",
    "map_at_r": "MAP@R",
    "r2": "k-NN R²",
    "median_error": "median error",
    "agreement": "agreement",
    "pair_auc": "pair AUC",
    "pair_accuracy": "pair accuracy",
    "new_agreement": "agreement on new items",
    "new_pair_auc": "pair AUC on new items",
    "new_pair_accuracy": "pair accuracy on new items",
}
#: What the measures that settle a winner are measured on; the first of a record is told of it.
MEASURED_ON = {
    "accuracy": "closed set",
    "balanced_accuracy": "closed set",
    "map_at_r": "open set",
    "r2": "new rows",
    "agreement": "known items",
    "pair_auc": "known items",
    "new_agreement": "new items",
    "new_pair_auc": "new items",
}
#: Measures of amounts in units of the target; the smaller the better.
IN_UNITS = ("median_error",)
# Settings are judged on no more validation rows than this.
MAX_JUDGED = 2000


@dataclass(frozen=True)
class Measured:
    """Scores of a fitted learner; see ``FoldRecord``.

    ``Z`` holds the embeddings of the test rows, ``gallery`` those of the rows that were searched;
    None where the test rows were searched among themselves. ``predicted`` are classes of the test
    rows, by the vote of their neighbors, or the mean of their amounts; None in the open set.
    ``first_is_right`` says of each test row whether the nearest row is of its class, and
    ``nearest`` which rows of the gallery are near, nearest first; None where nobody asked.
    """

    dimension: int | None
    scores: dict
    recall_at: dict = field(default_factory=dict)
    embed_seconds: float | None = None
    bytes_per_row: int | None = None
    Z: np.ndarray | None = None
    gallery: np.ndarray | None = None
    predicted: np.ndarray | None = None
    first_is_right: np.ndarray | None = None
    nearest: np.ndarray | None = None


def measure(estimator, gallery, X_test, y_test, protocol, *, k=DEFAULT_K):
    """Score a fitted learner on rows that it has not seen.

    Parameters
    ----------
    estimator : transformer, or classifier without ``transform``
    gallery : tuple of ndarray (X, y), or None
        The rows that are searched; None where the test rows search each other.
    X_test, y_test : ndarray
        Labels are codes of classes, or amounts.
    protocol : {"closed", "open"}
    k : int, default=3
        Nearest neighbors that vote, in the closed set.

    Returns
    -------
    Measured
    """
    if not hasattr(estimator, "transform"):
        predicted = estimator.predict(X_test)
        return Measured(None, scores_of(predicted, y_test), predicted=predicted)
    start = time.process_time()
    Z = embed(estimator, X_test)
    embed_seconds = (time.process_time() - start) / max(1, len(X_test))
    price = {"embed_seconds": embed_seconds, "bytes_per_row": Z.shape[1] * Z.dtype.itemsize}
    others = None if gallery is None else embed(estimator, gallery[0])
    if protocol == "open":
        ks = [k for k in RECALL_KS if k <= (len(Z) - 1 if others is None else len(others))]
        names = [f"recall_at_{k}" for k in ks]
        apart = {} if others is None else {"gallery": others, "gallery_labels": gallery[1]}
        wanted = {*RETRIEVAL, *names}
        each = retrieval_scores(Z, y_test, wanted, **apart, average=False)
        first_is_right = each["recall_at_1"] == 1
        if np.isnan(each["recall_at_1"]).all():
            raise ValueError("no test row has another of its class among the rows searched")
        scores = {measure: float(np.nanmean(each[measure])) for measure in RETRIEVAL}
        recall_at = {
            str(k): float(np.nanmean(each[name])) for k, name in zip(ks, names, strict=True)
        }
        found = {"Z": Z, "gallery": others, "first_is_right": first_is_right}
        return Measured(Z.shape[1], scores, recall_at, **found, **price)
    nearest = nearest_rows(Z, others, max(RECALL_KS[-1], k))
    neighbors = gallery[1][nearest]
    found = {"Z": Z, "gallery": others, "nearest": nearest}
    if are_amounts(y_test):
        predicted = mean_of_nearest(neighbors, [k])[0]
        scores = amount_scores(predicted, y_test)
        return Measured(Z.shape[1], scores, predicted=predicted, **found, **price)
    hits = np.maximum.accumulate(neighbors == y_test[:, None], axis=1)
    recall_at = {str(k): float(hits[:, k - 1].mean()) for k in RECALL_KS if k <= hits.shape[1]}
    votes = vote(neighbors, [k])[0]
    scores = closed_scores(votes, y_test)
    found |= {"predicted": votes, "first_is_right": hits[:, 0]}
    return Measured(Z.shape[1], scores, recall_at, **found, **price)


def judge(estimator, X_train, y_train, X, y, protocol, measure_name, *, seed=0):
    """Score a learner on validation rows, and choose its number of neighbors.

    Parameters
    ----------
    estimator : fitted transformer or classifier
    X_train, y_train, X, y : ndarray
        Rows fitted on, and validation rows, of which a sample is judged.
    protocol : {"closed", "open"}
    measure_name : str
    seed : int, default=0

    Returns
    -------
    score : float
    k : int or None
        None where no neighbors vote.
    """
    X, y = _sampled(X, y, seed)
    if not hasattr(estimator, "transform"):
        return scores_of(estimator.predict(X), y)[measure_name], None
    Z = embed(estimator, X)
    if protocol == "open":
        return float(retrieval_scores(Z, y, measure_name)[measure_name]), None
    gallery = embed(estimator, X_train)
    ks = [k for k in NEIGHBORS if k <= len(gallery)]
    predict = mean_of_nearest if are_amounts(y) else vote
    predictions = predict(y_train[nearest_rows(Z, gallery, ks[-1])], ks)
    scores = [scores_of(predicted, y)[measure_name] for predicted in predictions]
    best = max(scores)
    # Of ties the one in the middle: the ends of a plateau are there by chance.
    tied = [k for k, score in zip(ks, scores, strict=True) if score == best]
    return best, tied[(len(tied) - 1) // 2]


def vote(neighbors, ks):
    """Let the k nearest rows vote; of a tie the smaller code wins, as in scikit-learn.

    Parameters
    ----------
    neighbors : ndarray of int, shape (n, most)
        Classes of the nearest rows, nearest first.
    ks : list of int, ascending

    Returns
    -------
    list of ndarray of shape (n,)
        Predicted classes for each k.

    Examples
    --------
    >>> vote(np.array([[2, 0, 0]]), [1, 2, 3])
    [array([2]), array([0]), array([0])]
    """
    classes, codes = np.unique(neighbors, return_inverse=True)
    codes = codes.reshape(neighbors.shape)
    counts = np.zeros((len(neighbors), len(classes)), dtype=np.int32)
    rows, predicted = np.arange(len(neighbors)), []
    for column in range(min(ks[-1], neighbors.shape[1])):
        counts[rows, codes[:, column]] += 1
        if column + 1 in ks:
            predicted.append(classes[counts.argmax(axis=1)])
    while len(predicted) < len(ks):  # more neighbors than there are rows: all of them
        predicted.append(classes[counts.argmax(axis=1)])
    return predicted


def scores_of(predicted, y):
    """Return the scores of predictions: of amounts, or of classes."""
    return amount_scores(predicted, y) if are_amounts(y) else closed_scores(predicted, y)


def closed_scores(predicted, y):
    """Return the accuracy, and its mean over the classes.

    Examples
    --------
    >>> closed_scores(np.array([0, 0, 0, 0]), np.array([0, 0, 0, 1]))
    {'accuracy': 0.75, 'balanced_accuracy': 0.5}
    """
    right = predicted == y
    codes = np.unique(y, return_inverse=True)[1]
    recalls = np.bincount(codes, weights=right) / np.bincount(codes)
    return {"accuracy": float(right.mean()), "balanced_accuracy": float(recalls.mean())}


def protocol_of(measure):
    """Return the protocol that a measure belongs to; a ``ValueError`` if it is unknown."""
    for protocol, measures in MEASURES.items():
        if measure in measures:
            return protocol
    known = ", ".join(MEASURE_NAMES)
    raise ValueError(f"measure={measure!r} is unknown; there are {known}")


def nearest_rows(Z, gallery, most, own=None):
    """Return the rows of a gallery that are nearest to each of some others.

    Parameters
    ----------
    Z : ndarray of shape (n, d)
    gallery : ndarray of shape (n_gallery, d)
    most : int
        Rows returned for each, or all there are.
    own : ndarray of int, shape (n,), default=None
        The row of the gallery that each is, which is no answer.

    Returns
    -------
    ndarray of int, shape (n, at most ``most``)
    """
    most = min(most + (own is not None), len(gallery))
    nearest = NearestNeighbors(n_neighbors=most).fit(gallery).kneighbors(Z, return_distance=False)
    if own is None:
        return nearest
    # A row is among what it finds, though not first where others are equal to it.
    mine = nearest == own[:, None]
    mine[~mine.any(axis=1), -1] = True
    return nearest[~mine].reshape(len(Z), -1)


def _sampled(X, y, seed):
    if len(y) <= MAX_JUDGED:
        return X, y
    rows = np.random.RandomState(seed).choice(len(y), MAX_JUDGED, replace=False)
    return X[rows], y[rows]


def embed(estimator, X):
    """Return the embedding of rows; a ``ValueError`` where it is not finite."""
    Z = np.asarray(estimator.transform(X))
    if not np.all(np.isfinite(Z)):
        raise ValueError("the embedding holds NaN or infinity")
    return Z


def are_amounts(y):
    """Whether a target holds amounts, not codes of classes."""
    return y.dtype.kind == "f"


def amount_scores(predicted, y):
    """Return R², and the median absolute error in units of the target.

    Examples
    --------
    >>> import numpy as np
    >>> scores = amount_scores(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0]))
    >>> {name: float(score) for name, score in scores.items()}
    {'r2': 0.5, 'median_error': 0.0}
    """
    return {
        "r2": float(r2_score(y, predicted)),
        "median_error": float(median_absolute_error(y, predicted)),
    }


def mean_of_nearest(amounts, ks):
    """Predict the mean amount of the k nearest rows.

    Parameters
    ----------
    amounts : ndarray of shape (n, most)
        Of the nearest rows, nearest first.
    ks : list of int

    Returns
    -------
    list of ndarray of shape (n,)
        For each k; the mean of all where there are fewer.
    """
    return [amounts[:, :k].mean(axis=1) for k in ks]


#: Confusions of a fold that are kept, at most.
MAX_CONFUSED = 300
#: Test rows that growth is measured by, at most.
MAX_GROWTH_ROWS = 1000


def tell_classes(measured, y_searched, y):
    """Return how test rows of each class fared.

    Parameters
    ----------
    measured : Measured
    y_searched, y : ndarray of int
        Classes of the rows that were searched, and of the test rows.

    Returns
    -------
    ByClass
    """
    predicted = measured.predicted
    if predicted is None:  # the measures know who is right; who is wrong is asked once more
        wrong = np.flatnonzero(~measured.first_is_right)
        own = wrong if measured.gallery is None else None
        gallery = measured.Z if measured.gallery is None else measured.gallery
        predicted = y.copy()
        if len(wrong):
            predicted[wrong] = y_searched[nearest_rows(measured.Z[wrong], gallery, 1, own)[:, 0]]
    classes, n_rows = np.unique(y, return_counts=True)
    right = predicted == y
    n_right = np.bincount(np.searchsorted(classes, y), weights=right).astype(int)
    wrong = np.stack([y[~right], predicted[~right]], axis=1).astype(int)
    pairs, counts = np.unique(wrong, axis=0, return_counts=True)
    often = np.argsort(-counts, kind="stable")[:MAX_CONFUSED]
    confused = np.column_stack([pairs[often], counts[often]]).tolist()
    return ByClass(
        tuple(classes.tolist()),
        tuple(n_rows.tolist()),
        tuple(n_right.tolist()),
        tuple(tuple(entry) for entry in confused),
    )


def growth_of(measured, y_searched, y, seed):
    """Measure what more classes would do to Recall@1.

    Parameters
    ----------
    measured : Measured
    y_searched, y : ndarray of int
        Classes of the rows that were searched, and of the test rows.
    seed : int
        Of the draw of test rows, where there are many.

    Returns
    -------
    Growth or None
        None for learners without an embedding, and where no test row has another of its class.
    """
    if measured.Z is None:
        return None
    alone = measured.gallery is None
    gallery, classes = (measured.Z, y) if alone else (measured.gallery, y_searched)
    rows = np.arange(len(y))
    if len(rows) > MAX_GROWTH_ROWS:
        rows = np.sort(np.random.RandomState(seed).choice(rows, MAX_GROWTH_ROWS, replace=False))
    # Before the first row of its own class a row has none of another if the nearest is right.
    right = measured.first_is_right[rows]
    rows = rows[~right]
    unit = max(unit_of(gallery), unit_of(measured.Z))
    found = count_nearer_classes(
        measured.Z[rows] / unit, y[rows], gallery / unit, classes, rows if alone else None
    )
    found[0] += right.sum()
    if not found.any():
        return None
    nearer = np.flatnonzero(found)
    counts = np.column_stack([nearer, found[nearer]]).tolist()
    return Growth(len(found), tuple(tuple(entry) for entry in counts))
