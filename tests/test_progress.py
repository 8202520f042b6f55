"""Progress in a notebook: one line of output, changed in place, without widgets."""

import io
import sys
from types import ModuleType, SimpleNamespace

import pytest
from rich.console import Console

from metriclearn import NCA
from metriclearn._progress import NotebookBar, in_notebook, progress, terminal_bar
from metriclearn.compare import compare


class Handle:
    def __init__(self, shown):
        self.shown = [shown]

    def update(self, shown, raw):
        assert raw
        self.shown.append(shown)


@pytest.fixture
def notebook(monkeypatch):
    """IPython with a kernel, as far as progress asks for it."""
    handles = []

    def display(shown, raw, display_id):
        assert raw
        assert display_id
        handles.append(Handle(shown))
        return handles[-1]

    shell = SimpleNamespace(kernel=object())
    ipython, of_display = ModuleType("IPython"), ModuleType("IPython.display")
    ipython.get_ipython, of_display.display = lambda: shell, display
    ipython.display = of_display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", of_display)
    monkeypatch.setattr(NotebookBar, "PAUSE", 0)
    return handles


def test_a_terminal_with_ipython_is_no_notebook(monkeypatch):
    ipython = ModuleType("IPython")
    ipython.get_ipython = lambda: SimpleNamespace()
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    assert not in_notebook()


def test_a_fit_shows_one_line_that_changes(notebook, small, capsys):
    NCA(verbose=1).fit(*small)
    (handle,) = notebook
    assert len(handle.shown) > 2
    assert handle.shown[-1]["text/plain"].startswith("NCA: ")
    assert capsys.readouterr() == ("", "")


def test_text_is_escaped_and_the_last_state_stays(notebook, monkeypatch):
    monkeypatch.setattr(NotebookBar, "PAUSE", 1000)
    with progress(1, "<b>", total=3) as advance:
        for _ in range(3):
            advance("<i>status")
    (handle,) = notebook
    assert handle.shown[-1]["text/plain"] == "<b>: 3 of 3, 0:00; <i>status"
    assert "<b>" not in handle.shown[-1]["text/html"]
    assert '<progress max="3" value="3"' in handle.shown[-1]["text/html"]
    assert len(handle.shown) == 2  # the first and the last, with a pause that long


def test_a_comparison_shows_one_line_that_changes(notebook, iris, capsys):
    compare(*iris, learners=["euclidean", "lda"], n_folds=2, verbose=1)
    (handle,) = notebook
    texts = [shown["text/plain"] for shown in handle.shown]
    assert texts[0].startswith("compare: 0 of 4")
    assert texts[-1].startswith("compare: 4 of 4")
    assert any("LDA (closed set, fold 2): k-NN accuracy" in text for text in texts)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("width", [56, 60, 80, 200])
def test_figures_of_a_terminals_bar_are_whole(width):
    """On one line, however long is what runs now; that alone is cut, and by an ellipsis."""
    console = Console(width=width, force_terminal=True, color_system=None, file=io.StringIO())
    bar = terminal_bar("{task.percentage:>3.0f}%", lambda: "112:40 left", console=console)
    names = ", ".join(["Standardized [b]Euclidean (closed 1, 100 rows)"] * 2)
    bar.add_task("", total=1360, completed=1020, status=names)
    console.print(bar.get_renderable())
    (line,) = console.file.getvalue().splitlines()
    assert len(line.rstrip()) <= width
    for whole in (" 75%", "1020/1360", "0:00:00", "112:40 left"):
        assert whole in line
    assert line.rstrip().endswith("…" if width < 200 else "rows)")
    assert "[b]" in line or width < 80
