"""A progress bar for ``verbose=1``; nothing at all for ``verbose=0``."""

from contextlib import contextmanager

from metriclearn._extras import require


@contextmanager
def progress(verbose, description, total=None):
    """Show a bar while the block runs.

    Parameters
    ----------
    verbose : int or bool
        Zero shows nothing and loads nothing.
    description : str
        What runs, e.g. ``"LMNN"``.
    total : int, default=None
        Number of steps, where it is known.

    Yields
    ------
    callable
        ``advance(status="", steps=1)``: one more step is done; ``status`` is
        shown behind the bar.
    """
    if not verbose:
        yield lambda status="", steps=1: None
        return
    bars = require("rich.progress", "cli")
    with bars.Progress(
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeElapsedColumn(),
        bars.TextColumn("{task.fields[status]}"),
    ) as bar:
        task = bar.add_task(description, total=total, status="")
        yield lambda status="", steps=1: bar.update(task, advance=steps, status=status)
