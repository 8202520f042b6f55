"""Principal components of parts of the rows, which may be fewer than the components."""

from sklearn.decomposition import PCA


class Span(PCA):
    """Principal components, no more than the rows that it is fitted on have.

    Settings are judged on a part of the training rows, and this part may be small: of a few rows
    a class, of classes that have no row to spare, or the first round of a search by halving.
    """

    def fit(self, X, y=None):
        """Find the components."""
        most = min(X.shape)
        pca = PCA(**self.get_params())
        if isinstance(pca.n_components, int):
            pca.n_components = min(pca.n_components, most)
        pca.fit(X)
        vars(self).update({name: value for name, value in vars(pca).items() if name[-1] == "_"})
        self._fit_svd_solver = pca._fit_svd_solver
        return self

    def fit_transform(self, X, y=None):
        """Find the components, and return the rows in them."""
        return self.fit(X).transform(X)
