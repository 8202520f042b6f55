"""What scikit-learn's validation of documents is told to be about."""

from sklearn.base import BaseEstimator


class Documents(BaseEstimator):
    """What the documents of a fit are like, named in errors."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        return tags
