"""Small, seeded data that every test room may use."""

import os
import signal

# Read by scipy at import: without it scikit-learn skips its array API check.
os.environ["SCIPY_ARRAY_API"] = "1"
# The suite runs in parallel by processes; threads on top of them only wait for each other.
for pool in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(pool, "1")

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from sklearn.datasets import load_iris

# Seeded, and by no clock: on a busy machine an example may take any time. To explain a failure
# hypothesis traces the test, and Python 3.11 may then loop for ever.
settings.register_profile(
    "seeded",
    deadline=None,
    derandomize=True,
    database=None,
    phases=[each for each in Phase if each != Phase.explain],
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("seeded")

# Other seeds show that a test holds for more than one draw; see CONTRIBUTING.md.
SEED = int(os.environ.get("METRICLEARN_TEST_SEED", "0"))


@pytest.fixture
def rng():
    return np.random.RandomState(SEED)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in, with a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("METRICLEARN_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def interruptible():
    """Let Ctrl-C interrupt: a shell that started the tests in the background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def iris():
    X, y = load_iris(return_X_y=True)
    return (X - X.mean(axis=0)) / X.std(axis=0), y


@pytest.fixture
def iris_frame():
    bunch = load_iris(as_frame=True)
    return bunch.data.assign(species=bunch.target_names[bunch.target])


@pytest.fixture(scope="session")
def small():
    """Forty-five rows of three classes in four features, the last two pure noise."""
    rng = np.random.RandomState(SEED)
    y = np.repeat([0, 1, 2], 15)
    X = rng.randn(45, 4)
    X[:, 0] += 3 * (y == 1)
    X[:, 1] += 3 * (y == 2)
    X[:, 2] *= 4
    return X, y
