"""The split that a list of photos or its folders bring along."""

import numpy as np

_TRAIN = ("train", "training")


def photo_split(images, split):
    """Return what part each photo is of, as `as_source` takes it.

    Parameters
    ----------
    images : ImagePaths
        With ``split``, and with ``is_query`` and ``is_gallery`` where these are apart.
    split : "split", array-like of shape (n,) or None
        ``"split"`` takes what the photos bring along.

    Returns
    -------
    array-like of shape (n,), or None

    Raises
    ------
    ValueError
        If they bring nothing, or the same photo is sometimes a query and gallery.
    """
    if split is None or not isinstance(split, str):
        return split
    if split != "split" or (images.split is None and images.is_query is None):
        there = (
            "; --split split takes that of the list"
            if images.split is not None
            else (
                "; they have none: columns split, is_query, is_gallery, or folders train and test"
            )
        )
        raise ValueError(f"split={split!r} is not known of photos{there}")
    words = np.asarray(
        [""] * len(images) if images.split is None else images.split, dtype=object
    ).copy()
    if images.is_query is None or images.is_gallery is None:
        return words
    tested = ~np.isin(words, _TRAIN)
    query, gallery = images.is_query[tested], images.is_gallery[tested]
    if (query & gallery).all():  # each is searched for among the others
        words[tested] = "test"
    elif (query & gallery).any():
        both = int((query & gallery).sum())
        raise ValueError(
            f"split: {both:,} of {tested.sum():,} photos are both query and gallery; either all "
            f"are, or none"
        )
    else:
        used = query | gallery
        words[tested] = np.where(query, "query", np.where(used, "gallery", "train"))
    return words
