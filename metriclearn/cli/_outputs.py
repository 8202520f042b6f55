"""Files that a command is to write: none takes the place of what it reads."""

import os

from metriclearn._files import check_writable
from metriclearn.cli._errors import BadInputError
from metriclearn.images._decode import SUFFIXES


def check_apart(outputs, sources):
    """Check that no output would overwrite what is read or another output.

    Parameters
    ----------
    outputs : dict of str to path-like or None
        By the argument that names each; None where it was not given.
    sources : sequence of path-like
    """
    taken = {os.path.realpath(source): source for source in sources}
    for argument, path in outputs.items():
        if path is None:
            continue
        if not path:
            raise ValueError(f"{argument} needs the name of a file or folder, got an empty one")
        if os.path.realpath(path) in taken:
            other = taken[os.path.realpath(path)]
            raise ValueError(f"{argument} {path} would overwrite {other}; give another name")
        if os.path.splitext(path)[1].lower() in SUFFIXES and os.path.exists(path):
            raise ValueError(f"{argument} {path} would overwrite a picture; give another name")
        taken[os.path.realpath(path)] = argument


def check_output(argument, path, model, sources):
    """Check an output of a command with a model before the work; bad input is one line.

    Parameters
    ----------
    argument : str
    path : str or None
    model : str
        Folder of the model, in which no other files belong.
    sources : sequence of path-like
    """
    try:
        check_apart({argument: path}, sources)
        if path is None:
            return
        if os.path.dirname(os.path.realpath(path)) == os.path.realpath(model):
            raise ValueError(f"{argument} {path} is in the folder of the model; give another one")
        check_writable(path, argument)
    except ValueError as error:
        raise BadInputError(error) from None
