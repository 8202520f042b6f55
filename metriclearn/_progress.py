"""A progress bar for ``verbose=1``; nothing at all for ``verbose=0``."""

import html
import sys
import time
from contextlib import contextmanager
from importlib import import_module

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
    if in_notebook():
        bar = NotebookBar(description, total)
        with bar.stepped() as advance:
            yield advance
        return
    with terminal_bar("{task.description}", room=74) as bar:
        task = bar.add_task(description, total=total, status="")
        yield lambda status="", steps=1: bar.update(task, advance=steps, status=status)


def terminal_bar(before, make_between=None, console=None, room=56, **options):
    """Return a bar of rich in which every figure is shown whole, however narrow the terminal.

    What gives way is the last column, the field ``status`` of its tasks.

    Parameters
    ----------
    before : str
        Format of what stands in front of the bar.
    make_between : callable, default=None
        Returns a text to be shown between the elapsed time and the status.
    console : rich.console.Console, default=None
    room : int, default=56
        Columns of the terminal that are left to the rest before the bar grows.
    **options
        Of ``rich.progress.Progress``.
    """
    bars, text = require("rich.progress", "cli"), require("rich.text", "cli").Text
    column = require("rich.table", "cli").Column
    console = console or require("rich", "cli").get_console()

    class Between(bars.ProgressColumn):
        def render(self, task):
            return text(make_between())

    class Status(bars.ProgressColumn):
        def render(self, task):
            return text(task.fields["status"], style="dim", no_wrap=True, overflow="ellipsis")

    whole = {"table_column": column(no_wrap=True)}
    return bars.Progress(
        bars.TextColumn(before, **whole),
        bars.BarColumn(bar_width=max(6, min(24, console.width - room)), **whole),
        bars.MofNCompleteColumn(**whole),
        bars.TimeElapsedColumn(**whole),
        *([] if make_between is None else [Between(**whole)]),
        Status(),
        console=console,
        **options,
    )


def in_notebook():
    """Whether output goes to a notebook: IPython runs, and with a kernel."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


class NotebookBar:
    """A line of a notebook's output that is changed in place; it needs no widgets.

    Parameters
    ----------
    description : str
    total : int or None
    """

    PAUSE = 0.1  # seconds between two changes, at least

    def __init__(self, description, total=None):
        self.description, self.total = description, total
        self._start = time.monotonic()
        self._shown_at = -self.PAUSE
        self._handle = None

    def show(self, done, status="", is_last=False):
        """Show how much is done; what comes too soon after the last is left out."""
        now = time.monotonic()
        if now - self._shown_at < self.PAUSE and not is_last:
            return
        self._shown_at = now
        count = str(done) if self.total is None else f"{done} of {self.total}"
        minutes, seconds = divmod(round(now - self._start), 60)
        text = f"{self.description}: {count}, {minutes}:{seconds:02d}"
        text = f"{text}; {status}" if status else text
        bar = ""
        if self.total:
            bar = f'<progress max="{self.total}" value="{done}" aria-label="progress"></progress> '
        shown = {"text/plain": text, "text/html": f"<div>{bar}{html.escape(text)}</div>"}
        if self._handle is None:
            display = import_module("IPython.display").display
            self._handle = display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)

    @contextmanager
    def stepped(self):
        """Yield ``advance(status="", steps=1)``; what was shown last stays."""
        state = [0, ""]

        def advance(status="", steps=1):
            state[:] = state[0] + steps, status
            self.show(*state)

        self.show(0)
        try:
            yield advance
        finally:
            self.show(*state, is_last=True)
