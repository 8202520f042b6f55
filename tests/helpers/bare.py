"""A plugin of pytest for a Python with numpy, scipy and scikit-learn only.

Everything that needs none of the extras must pass. A test that needs one is skipped, if
the package names the extra that is missing or the test itself imports it; an import
error of the package that does not say what to install is a failure.

    python -m pytest -p helpers.bare tests
"""

from pathlib import Path

import pytest

import metriclearn

PACKAGE = Path(metriclearn.__file__).parent


def missing_extra(error):
    """Return why a test is skipped, or None if it is not for a missing extra."""
    if "pip install 'metriclearn[" in str(error):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        from_tests = PACKAGE not in Path(origin(error)).resolve().parents
        return f"needs {error.name}" if from_tests else None
    return None


def root_cause(error):
    """Return the first of a chain of errors that is an ImportError, or the error."""
    cause = error
    while cause is not None and not isinstance(cause, ImportError):
        cause = cause.__cause__ or cause.__context__
    return cause or error


def origin(error):
    """Return the file of the innermost frame that is not of the standard library's import."""
    frames = []
    traceback = error.__traceback__
    while traceback is not None:
        frames.append(traceback.tb_frame.f_code.co_filename)
        traceback = traceback.tb_next
    return [frame for frame in frames if "importlib" not in frame][-1]


def as_skip(report, excinfo):
    """Turn the report of a failure into one of a skip, if an extra is missing."""
    reason = missing_extra(root_cause(excinfo.value))
    if reason is not None:
        report.outcome = "skipped"
        report.longrepr = (str(report.nodeid), 0, f"Skipped: {reason.splitlines()[0]}")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    report = yield
    if report.outcome == "failed":
        as_skip(report, report.call.excinfo)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.outcome == "failed" and call.excinfo is not None:
        as_skip(report, call.excinfo)
    return report
