"""Libraries that some tests need: imported by the test that uses one, not by its file."""

from importlib import import_module


class Optional:
    """A module that is imported when something of it is used."""

    def __init__(self, name):
        self._name = name

    def __getattr__(self, attribute):
        if attribute.startswith("_"):  # asked by pytest, which looks for tests in what a file names
            raise AttributeError(attribute)
        return getattr(import_module(self._name), attribute)


cvxpy = Optional("cvxpy")
deep = Optional("metriclearn.deep")
faiss = Optional("faiss")
Image = Optional("PIL.Image")
losses = Optional("metriclearn.deep.losses")
miners = Optional("metriclearn.deep.miners")
pandas = Optional("pandas")
parquet = Optional("pyarrow.parquet")
pyplot = Optional("matplotlib.pyplot")
samplers = Optional("metriclearn.deep.samplers")
torch = Optional("torch")
