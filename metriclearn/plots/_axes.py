"""What every Display asks of its input and does with its axes."""

import warnings
from contextlib import nullcontext

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.utils import check_array
from threadpoolctl import threadpool_limits

from metriclearn._extras import require
from metriclearn._validation import check_numeric

# Of which t-SNE has too little to do in a step for it to be shared.
_FEW_ROWS = 2000


def axes_for(ax, figsize=None, square=False):
    """Return the axes to draw on: those given, or those of a new figure.

    Parameters
    ----------
    ax : matplotlib.axes.Axes or None
    figsize : tuple of float, default=None
    square : bool, default=False
        Whether a unit will be as high as wide, as in an image: the layout must know.

    Returns
    -------
    matplotlib.axes.Axes
    """
    if ax is not None:
        return ax
    pyplot = require("matplotlib.pyplot", "plots")
    layout = "compressed" if square else "constrained"
    return pyplot.subplots(figsize=figsize, layout=layout)[1]


def color_bar(ax, image, label):
    """Draw the scale of an image's colors beside it, as high as the image.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    image : matplotlib.image.AxesImage
    label : str

    Returns
    -------
    matplotlib.colorbar.Colorbar
    """
    return ax.figure.colorbar(image, cax=ax.inset_axes([1.04, 0, 0.05, 1]), label=label)


def curve_style(position):
    """How to draw a curve apart from those before it: in color, in stroke and in mark."""
    return {
        "color": class_color(position % 10, 10),
        "linestyle": ("-", "--", "-.", ":")[position % 4],
        "marker": class_marker(position),
    }


def legend_beside(ax, handles, names, own_figure):
    """List classes to the right of the axes; a figure of one's own is widened for it."""
    legend = ax.legend(
        handles,
        names,
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        frameon=False,
        fontsize="small",
        labelspacing=0.35,
    )
    if own_figure:
        ax.figure.draw_without_rendering()
        width = legend.get_window_extent().width / ax.figure.dpi
        ax.figure.set_figwidth(ax.figure.get_figwidth() + width)
    return legend


def hide_covered(texts):
    """Hide texts that would cover one before them; return whether all can be seen.

    Parameters
    ----------
    texts : sequence of matplotlib.text.Text
        Of a figure that was laid out, by ``draw_without_rendering``.

    Returns
    -------
    bool
    """
    taken = []
    for text in texts:
        extent = (text.get_bbox_patch() or text).get_window_extent()
        covered = any(extent.overlaps(other) for other in taken)
        text.set_visible(not covered)
        if not covered:
            taken.append(extent)
    return len(taken) == len(texts)


def shorten(text, longest=24):
    """Leave out the middle of a long name: names of kin differ at either end.

    Examples
    --------
    >>> from metriclearn.plots._axes import shorten
    >>> shorten("Chevrolet Silverado 1500 Extended Cab 2012", 16)
    'Chevrole…ab 2012'
    """
    text = str(text)
    if len(text) <= longest:
        return text
    return text[: longest // 2] + "…" + text[len(text) - (longest - longest // 2 - 1) :]


def finish(display, ax):
    """Write the name of a display above the axes, and keep them on the display."""
    if display.name:
        ax.set_title(display.name)
    display.ax_, display.figure_ = ax, ax.figure
    return display


def without_frame(ax):
    """Take away what says nothing: the upper and right-hand sides of the frame."""
    ax.spines[["top", "right"]].set_visible(False)


# Rows whose features vary this many times more, or less, than those that a metric was learned
# from are in other units.
_OTHER_UNITS = 10


def embed(estimator, X):
    """Embed rows with a fitted learner."""
    if not hasattr(estimator, "transform"):
        raise ValueError(
            f"estimator must be a fitted learner with transform, got {type(estimator).__name__}"
        )
    return estimator.transform(X)


def check_labeled(embeddings, labels):
    """Return embeddings as a finite float array and as many labels, or say what is wrong."""
    check_numeric(embeddings, "embeddings")
    embeddings = check_array(embeddings, dtype=np.float64, input_name="embeddings")
    labels = np.asarray(labels)
    if labels.shape != (len(embeddings),):
        raise ValueError(
            f"labels must be of shape ({len(embeddings)},), one for each row of embeddings, got "
            f"{labels.shape}"
        )
    return embeddings, labels


def mahalanobis_matrix(estimator):
    """Return the matrix of a fitted linear learner."""
    if not hasattr(estimator, "get_mahalanobis_matrix"):
        raise ValueError(
            f"{type(estimator).__name__} has no matrix: only linear learners have "
            f"get_mahalanobis_matrix()"
        )
    return np.asarray(estimator.get_mahalanobis_matrix())


def feature_names_of(estimator, feature_names):
    """Names as given, else those that the learner was fitted with, else None."""
    if feature_names is None:
        return getattr(estimator, "feature_names_in_", None)
    check_names(feature_names, estimator.n_features_in_)
    return np.asarray(feature_names)


def check_names(feature_names, n_features):
    """Raise ``ValueError`` where there is not one name for each feature."""
    if feature_names is not None and len(feature_names) != n_features:
        raise ValueError(f"feature_names has {len(feature_names)} names for {n_features} features")


def check_matrix(matrix):
    """Return the matrix of a metric as a finite, symmetric float array, or say what is wrong."""
    check_numeric(matrix, "matrix")
    matrix = check_array(matrix, dtype=np.float64, input_name="matrix")
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"matrix must be square, got shape {matrix.shape}")
    if np.abs(matrix - matrix.T).max() > 1e-6 * np.abs(matrix).max():
        raise ValueError("matrix must be symmetric, as that of a metric is")
    return matrix


def warn_of_other_units(learner, X):
    """Warn where rows are in other units than those that a linear learner was fitted with."""
    fitted = getattr(learner, "_spread", None)
    X = np.asarray(X)
    if fitted is None or X.ndim != 2 or X.shape[1] != len(fitted) or len(X) < 2:
        return
    fitted = np.asarray(fitted)
    with np.errstate(over="ignore"):
        given = X.std(axis=0)
    known = (fitted > 0) & (given > 0)
    ratio = given[known] / fitted[known]
    if not len(ratio):
        return
    # A few alike rows vary little in some features, but in none ten times more.
    most, usual = ratio.max(), np.median(ratio)
    if most > _OTHER_UNITS or usual < 1 / _OTHER_UNITS:
        kind = type(learner).__name__
        warnings.warn(
            f"a feature of X varies {most if most > _OTHER_UNITS else usual:.3g} times as much as "
            f"in the rows that the {kind} was fitted with, after a scaler for example: give the "
            f"whole pipeline, or X as it was fitted with",
            UserWarning,
            stacklevel=3,
        )


METHODS = ("tsne", "pca", "umap")
# Shapes tell classes apart where colors do not, to color-blind eyes among others.
_MARKERS = "osD^vP*X"


def lay_out(embeddings, method="tsne", random_state=None):
    """Lay rows out in two dimensions.

    Parameters
    ----------
    embeddings : array-like of shape (n, n_components)
    method : {"tsne", "pca", "umap"}, default="tsne"
        t-SNE keeps neighbors together and distorts what is far apart; PCA
        keeps the two directions of largest variance as they are; UMAP is like t-SNE
        and faster on many rows, where umap-learn is installed.
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    ndarray of shape (n, 2)

    Examples
    --------
    >>> from metriclearn.plots._axes import lay_out
    >>> lay_out([[0.0, 0.0, 0.0], [0.0, 3.0, 0.0]], method="pca").shape
    (2, 2)
    """
    if method not in METHODS:
        raise ValueError(f"method={method!r} is unknown; take one of {METHODS}")
    Z = np.asarray(embeddings, dtype=np.float64)
    Z = Z - Z.mean(axis=0)
    n_rows, width = Z.shape
    if width <= 2:
        return np.column_stack([Z, np.zeros((n_rows, 2 - width))])
    if not np.any(Z):  # all rows alike
        return np.zeros((n_rows, 2))
    if method == "pca" or n_rows <= 5:  # t-SNE has nothing to say of a handful of rows
        flat = PCA(min(2, n_rows), svd_solver="full").fit_transform(Z)
        return np.column_stack([flat, np.zeros((n_rows, 2 - flat.shape[1]))])
    if method == "umap":
        umap = require("umap", "umap")
        neighbors = min(15, n_rows - 1)
        layout = umap.UMAP(n_neighbors=neighbors, random_state=random_state, n_jobs=1)
        return np.asarray(layout.fit_transform(Z), dtype=np.float64)
    tsne = TSNE(
        perplexity=min(30.0, (n_rows - 1) / 3), init="pca", max_iter=500, random_state=random_state
    )
    # Its threads wait for each other, going round in circles, twice in each of its short steps:
    # beside other programs that takes thirty times as long for 300 rows.
    with threadpool_limits(1) if n_rows <= _FEW_ROWS else nullcontext():
        return tsne.fit_transform(Z / Z.std())


def class_color(position, n_classes):
    """Return an RGB color for a class, far from those of its neighbors in order.

    Parameters
    ----------
    position : int
    n_classes : int

    Returns
    -------
    tuple of float
        Red, green and blue from 0 to 1.

    Examples
    --------
    >>> from metriclearn.plots._axes import class_color
    >>> class_color(0, 3)
    (0.231, 0.49, 0.847)
    """
    if n_classes <= len(_PALETTE):
        code = _PALETTE[position]
        return tuple(round(int(code[i : i + 2], 16) / 255, 3) for i in (0, 2, 4))
    hue, lightness = 137.5 * position % 360, 0.42 + 0.12 * (position % 3)
    return tuple(_from_hsl(hue, 0.6, lightness, offset) for offset in (0, 8, 4))


def class_marker(position):
    """Return a shape for the rows of a class: neighbors in order have different ones.

    Examples
    --------
    >>> from metriclearn.plots._axes import class_marker
    >>> class_marker(0), class_marker(1), class_marker(8)
    ('o', 's', 'o')
    """
    return _MARKERS[position % len(_MARKERS)]


# Of middling lightness: readable on white and on black.
_PALETTE = (
    "3b7dd8",
    "e8743b",
    "19a979",
    "d6477f",
    "8d62d0",
    "b39a12",
    "13a4b4",
    "9a6248",
    "808891",
    "c93a3a",
)


def _from_hsl(hue, saturation, lightness, offset):
    k = (offset + hue / 30) % 12
    chroma = saturation * min(lightness, 1 - lightness)
    return round(lightness - chroma * max(-1, min(k - 3, 9 - k, 1)), 3)
