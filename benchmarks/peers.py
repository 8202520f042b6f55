"""Other packages' learners, repaired where today's scikit-learn and scipy broke them.

Only what keeps them from running is repaired, and nothing of what they compute:
metric-learn 0.7 calls a keyword that scikit-learn 1.8 removed, and one of
graphical_lasso that 1.5 removed; PyLMNN 1.6 imports two packages that it does not
declare and passes a matrix where scipy wants a vector.
"""

import functools
import sys
import types
import warnings

import numpy as np


def _renamed(function):
    @functools.wraps(function)
    def call(*args, **kwargs):
        if "force_all_finite" in kwargs:
            kwargs["ensure_all_finite"] = kwargs.pop("force_all_finite")
        return function(*args, **kwargs)

    return call


def metric_learn():
    """metric_learn, patched."""
    from metric_learn import _util, sdml

    if not hasattr(_util.check_array, "__wrapped__"):
        _util.check_array, _util.check_X_y = _renamed(_util.check_array), _renamed(_util.check_X_y)
        lasso = sdml.graphical_lasso
        sdml.graphical_lasso = lambda *args, cov_init=None, **kwargs: lasso(*args, **kwargs)
    import metric_learn

    return metric_learn


def pylmnn():
    """pylmnn, patched."""
    if "GPyOpt" not in sys.modules:
        for name in ("GPyOpt", "GPyOpt.methods"):
            sys.modules[name] = types.ModuleType(name)
        sys.modules["GPyOpt.methods"].BayesianOptimization = object
        sys.modules["GPyOpt"].methods = sys.modules["GPyOpt.methods"]
    import pylmnn
    from pylmnn import lmnn
    from scipy.optimize import minimize

    def minimize_vector(**arguments):
        arguments["x0"] = np.ravel(arguments["x0"])
        arguments["options"].pop("disp")
        return minimize(**arguments)

    lmnn.minimize = minimize_vector
    return pylmnn


def learners():
    """Name of each peer to a function that makes it, on its defaults."""

    def of(name, **arguments):
        return lambda: getattr(metric_learn(), name)(**arguments)

    def sklearn_nca():
        from sklearn.neighbors import NeighborhoodComponentsAnalysis

        return NeighborhoodComponentsAnalysis(random_state=0)

    def one_thread_lmnn():
        warnings.simplefilter("ignore")
        return pylmnn().LargeMarginNearestNeighbor(random_state=0)

    return {
        "scikit-learn NCA": sklearn_nca,
        "PyLMNN": one_thread_lmnn,
        "metric-learn LMNN": of("LMNN", random_state=0),
        "metric-learn NCA": of("NCA", random_state=0),
        "metric-learn MLKR": of("MLKR", random_state=0),
        "metric-learn MMC": of("MMC_Supervised", random_state=0),
        "metric-learn ITML": of("ITML_Supervised", random_state=0),
        "metric-learn LSML": of("LSML_Supervised", random_state=0),
        "metric-learn SDML": of("SDML_Supervised", random_state=0),
        "metric-learn SCML": of("SCML_Supervised", random_state=0),
        "metric-learn LFDA": of("LFDA"),
        "metric-learn RCA": of("RCA_Supervised", random_state=0),
    }
