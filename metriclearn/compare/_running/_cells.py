"""Finished fits kept on disk, so that a comparison that was killed goes on from them.

One file for each learner and split, named by a hash of all that its numbers depend on:
rows, labels, split, learner, settings, seed and versions. Something that changed has
another name, so nothing is mixed up; a file that is not whole counts as not there.
"""

import json
import os
import platform
from pathlib import Path

import joblib

from metriclearn import __version__
from metriclearn._extras import installed_version
from metriclearn._files import check_folder, write_text
from metriclearn._format import checksum
from metriclearn.compare._plain import from_plain, to_plain
from metriclearn.compare._records import FoldRecord

FORMAT = "metriclearn cell 3"


class CellStore:
    """A folder of finished fits.

    Parameters
    ----------
    folder : str or path
        Made where it does not exist; its parent must.
    """

    def __init__(self, folder):
        self.folder = Path(folder)
        open_folder(self.folder)
        self.failure = None

    def open(self, learners, X, y):
        """Prepare for a comparison.

        Parameters
        ----------
        learners : tuple of Learner
        X, y : ndarray
            The rows compared on, and their labels.

        Returns
        -------
        int
            How many fits the folder holds, of whatever comparison.
        """
        self._learners = {learner.key: _identity(learner) for learner in learners}
        self._data = joblib.hash((X, y, environment()["versions"]))
        return sum(1 for _ in self.folder.glob("*.json"))

    def path(self, task):
        """Return where the fit of a task is kept."""
        split = task.split
        about = (
            (self._data, self._learners[task.learner.key]),
            (split.protocol, split.fold, split.train, split.test, split.gallery, split.groups),
            (task.seed, task.rules, task.pictures, task.image_shape, task.axis, task.place),
        )
        return self.folder / f"{joblib.hash(about)}.json"

    def load(self, task):
        """Return the record of a task; None where there is none that is whole."""
        try:
            cell = json.loads(self.path(task).read_text(encoding="utf-8"))
            if cell["format"] != FORMAT or cell["sha256"] != checksum(cell["record"]):
                return None
            return from_plain(FoldRecord, cell["record"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, task, record):
        """Keep a finished fit. A failure is not kept: it may be mended by then."""
        if record.error is not None or self.failure is not None:
            return
        record = to_plain(record)
        cell = {"format": FORMAT, "sha256": checksum(record), "record": record}
        try:
            write_text(self.path(task), json.dumps(cell))
        except OSError as error:  # a full disk must not cost what is finished
            self.failure = f"Not every fit could be kept in {self.folder} ({error.strerror})."


class NoStore:
    """Keeps nothing."""

    failure = None

    def open(self, learners, X, y):
        """Return 0."""
        return 0

    def load(self, task):
        """Return None."""

    def save(self, task, record):
        """Do nothing."""


def open_folder(folder):
    """Make a folder if it is new; find out before any work whether it can be written.

    Parameters
    ----------
    folder : str or path
    """
    folder = Path(folder)
    if not folder.parent.is_dir():
        raise ValueError(f"resume {folder}: there is no folder {folder.parent}")
    try:
        folder.mkdir(exist_ok=True)
    except FileExistsError:
        raise ValueError(f"resume {folder}: is not a folder") from None
    except OSError as error:
        raise ValueError(f"resume {folder}: cannot be made ({error.strerror})") from None
    check_folder(folder, "resume")


def _identity(learner):
    """All that tells a learner from another, without the state of random generators."""
    # Learners of the roster are what this version makes of their name.
    own = learner.make if learner.is_own else None
    space = {
        name: (values.dist.name, values.args, values.kwds) if hasattr(values, "dist") else values
        for name, values in learner.space.items()
    }
    try:
        return joblib.hash((learner.key, learner.family, learner.max_rows, own, space))
    except Exception as error:
        raise ValueError(
            f"resume: learner {learner.key!r} cannot be pickled, so that its finished fits could "
            f"not be told from another's ({' '.join(str(error).split())})"
        ) from None


def environment():
    """Versions and machine, as a result was made on."""
    packages = ("numpy", "scipy", "scikit-learn", "torch", "skorch")
    versions = {"metriclearn": __version__, "python": platform.python_version()}
    return {
        "versions": versions | {package: installed_version(package) for package in packages},
        "platform": platform.platform(terse=True),
        "n_cores": os.cpu_count(),
    }
