"""The versions and the machine that numbers were made on."""

import os
import platform
from importlib import metadata

from metriclearn import __version__


def environment():
    """Versions and machine, as a result was made on."""
    packages = ("numpy", "scipy", "scikit-learn", "torch", "skorch")
    versions = {"metriclearn": __version__, "python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "versions": versions,
        "platform": platform.platform(terse=True),
        "n_cores": os.cpu_count(),
    }
