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


HINT = "pip install 'metriclearn["


def missing_extra(error, printed=""):
    """Return why a test is skipped, or None if it is not for a missing extra."""
    if HINT in printed:
        return next(line for line in printed.splitlines() if HINT in line)
    cause = error
    while cause is not None:
        if HINT in str(cause):
            return str(cause)
        if isinstance(cause, ModuleNotFoundError) and PACKAGE not in origin(cause).parents:
            return f"needs {cause.name}"
        cause = cause.__cause__ or cause.__context__
    return None


def origin(error):
    """Return the file of the innermost frame that is not of Python's own import."""
    frames = []
    traceback = error.__traceback__
    while traceback is not None:
        frames.append(traceback.tb_frame.f_code.co_filename)
        traceback = traceback.tb_next
    return Path([frame for frame in frames if "importlib" not in frame][-1]).resolve()


def as_skip(report, excinfo):
    """Turn the report of a failure into one of a skip, if an extra is missing."""
    reason = missing_extra(excinfo.value, getattr(report, "capstderr", ""))
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
