"""metriclearn: linear and deep metric learning behind one scikit-learn contract.

Nothing is imported before it is used: ``from metriclearn import LMNN`` loads
neither torch nor cvxpy nor faiss nor matplotlib.
"""

from metriclearn._extras import lazy

__version__ = "0.1.0"

__all__, __getattr__, __dir__ = lazy(__name__)
