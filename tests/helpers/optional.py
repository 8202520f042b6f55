"""Libraries that some tests need: imported by the test that uses one, not by its file."""

from importlib import import_module


class Optional:
    """A module that is imported when something of it is used."""

    def __init__(self, name):
        self._name = name

    def __getattr__(self, attribute):
        return getattr(import_module(self._name), attribute)


cvxpy = Optional("cvxpy")
Image = Optional("PIL.Image")
parquet = Optional("pyarrow.parquet")
torch = Optional("torch")
