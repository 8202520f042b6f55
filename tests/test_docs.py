"""The examples run as they stand; what the guide names is there."""

import ast
import fnmatch
import importlib
import os
import pkgutil
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from helpers.estimators import LINEAR
from helpers.optional import losses, miners, samplers

from metriclearn.compare._inspect._finding import KINDS
from metriclearn.mahalanobis import LEARNERS

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "guide"
EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))


# The gallery of the docs runs all of them, too; here are those of less than two seconds.
HEAVY = {"angles", "grid_search", "linear_on_deep", "lmnn_digits", "photos", "table"}


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(path, marks=[pytest.mark.slow] if path.stem in HEAVY else [], id=path.stem)
        for path in EXAMPLES
    ],
)
def test_example_runs_and_draws(script, tmp_path, monkeypatch):
    plt = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(script), run_name="__main__")
    figures = plt.get_fignums()
    plt.close("all")
    assert figures


def test_there_are_examples():
    assert len(EXAMPLES) >= 15


def test_guide_names_every_loss_miner_and_sampler():
    text = (GUIDE / "deep.md").read_text()
    tables = (losses.LOSSES, losses.REGULARIZERS, miners.MINERS, miners.CLASS_MINERS)
    named = [f'`"{name}"`' for table in (*tables, samplers.SAMPLERS) for name in table]
    named += [f"`{regularizer.__name__}`" for regularizer in losses.REGULARIZERS.values()]
    assert [name for name in named if name not in text] == [], "docs/guide/deep.md lacks a row"


def test_guide_lists_every_linear_learner_with_what_it_takes():
    text = (GUIDE / "learners.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| [^|]* \| ([^|]*)\|", text, re.M))
    learners = {type(learner).__name__: learner for learner in LINEAR}
    assert set(rows) == {*learners, "KernelMetric"}
    for name, learner in learners.items():
        kinds = [kind.__name__ for kind in learner._constraint_kinds]
        assert re.findall(r"`(\w+)`", rows[name]) == kinds, name


def test_guide_lists_every_finding():
    text = (GUIDE / "tables.md").read_text().split("## What is found")[1]
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.M)) == set(KINDS)


def test_files_and_tables_that_the_guide_sends_a_newcomer_to_exist():
    text = (GUIDE / "extending.md").read_text()
    paths = set(re.findall(r"`((?:metriclearn|tests|docs)/[\w/.]*|CONTRIBUTING\.md)`", text))
    assert len(paths) > 30
    assert [path for path in paths if not (ROOT / path).exists()] == []
    tables = re.findall(r"`(\w+)` in `([\w/.]+\.py)`", text)
    assert len(tables) > 20
    for table, path in tables:
        assert re.search(rf"^{table} = ", (ROOT / path).read_text(), re.M), (table, path)


def test_every_row_of_a_table_is_in_a_table():
    """A blank line before it, and a row is a paragraph of bars."""
    for page in [*GUIDE.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "README.md"]:
        for part in page.read_text().split("\n\n"):
            lines = part.strip().splitlines()
            if lines and lines[0].startswith("|"):
                assert set(lines[1]) <= set("|-: "), (page.name, lines[0])
                assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1, lines[0]


def test_every_page_of_the_guide_is_in_the_index():
    index = (ROOT / "docs" / "index.md").read_text()
    assert [page.stem for page in GUIDE.glob("*.md") if f"guide/{page.stem}\n" not in index] == []


def test_every_promise_names_a_test_that_exists():
    text = (ROOT / "docs" / "promises.md").read_text()
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", text, re.M)
    promises = [row for row in rows if row[0] not in ("promise", "---")]
    assert len(promises) > 15
    for promise, beside in promises:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", beside)
        assert named, promise
        for path, test in named:
            assert f"\ndef {test}(" in (ROOT / path).read_text(), f"{path}::{test}"


def coming_from(library):
    """Return the rows of a table for those who come from a library: its names, and ours."""
    text = (GUIDE / "coming_from.md").read_text()
    section = text.split(f"\n## {library}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.*) \| `(metriclearn[\w.]*)` \|$", section, re.M)
    assert len(rows) > 15
    return rows


@pytest.mark.parametrize("library", ["metric-learn", "pytorch-metric-learning"])
def test_names_for_those_who_come_from_another_library_exist(library):
    if library == "pytorch-metric-learning":
        pytest.importorskip("torch")
    for _, ours in coming_from(library):
        pkgutil.resolve_name(ours)


def test_names_of_pytorch_metric_learning_exist_there():
    pytest.importorskip("pytorch_metric_learning")
    for theirs, _ in coming_from("pytorch-metric-learning"):
        pkgutil.resolve_name(f"pytorch_metric_learning.{theirs.strip('`')}")


def test_install_page_names_extras_that_exist():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    rows = re.findall(r"^\| `(\w+)` \|", (GUIDE / "install.md").read_text(), re.M)
    assert len(rows) > 10
    assert [name for name in rows if name not in project["optional-dependencies"]] == []


def load_api_pages(monkeypatch):
    """Return the module that says which name has which page of the API."""
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_ext"))
    return importlib.import_module("api_pages")


def public_names_of(pages):
    """Return all public names, by walking the packages and not by the table of targets."""
    return {
        name
        for module in pages.MODULES
        for name in importlib.import_module(module).__all__
        if callable(getattr(importlib.import_module(module), name))
    }


def test_names_in_the_guide_link_to_their_pages_of_the_api(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    pytest.importorskip("myst_parser")
    pytest.importorskip("sphinx")
    pages = load_api_pages(monkeypatch)
    shutil.copytree(GUIDE, tmp_path / "guide")
    guide = "".join(page.read_text() for page in GUIDE.glob("*.md"))
    full = [name for names in pages.documented().values() for name in names]
    members = [
        f"{name}.{member}"
        for name in full
        if isinstance(pages.locate(name), type)
        for member in dir(pages.locate(name))
        if f"{name.rpartition('.')[2]}.{member}" in guide
    ]
    lines = [f".. py:class:: {name}" for name in full] + [f".. py:method:: {m}" for m in members]
    (tmp_path / "names.rst").write_text("\n\n".join(["Names", "=====", *lines]))
    (tmp_path / "conf.py").write_text(
        'extensions = ["myst_parser", "api_names"]\n'
        'myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]\n'
        'root_doc = "names"\n'
    )
    # In a process of its own: Sphinx and its extensions warn of each other's deprecations.
    run = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-b", "html", tmp_path, tmp_path / "out"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "docs" / "_ext")])},
    )
    assert "py:obj reference target not found" not in run.stderr

    names = public_names_of(pages) - pages.ALWAYS_WITH_MODULE
    literal = re.compile(r"(<a [^>]*>)?<code[^>]*><span class=\"pre\">(\w+)(?:\(|</span></code>)")
    linked = 0
    for page in sorted(GUIDE.glob("*.md")):
        text = (tmp_path / "out" / "guide" / f"{page.stem}.html").read_text()
        text = re.sub(r"<h[1-6]>.*?</h[1-6]>|<title>.*?</title>", "", text)
        for link, name in literal.findall(text):
            if name in names:
                assert "names.html#metriclearn." in link, (page.name, name)
                linked += 1
    assert linked > 300


def names_in_examples(pages):
    """Return the full names that examples import."""
    targets, shown = pages.targets(), set()
    for script in EXAMPLES:
        for node in ast.walk(ast.parse(script.read_text())):
            if isinstance(node, ast.ImportFrom):
                shown |= {targets.get(f"{node.module}.{name.name}") for name in node.names}
    return shown


# Records, and what turns other forms into them.
WITHOUT_PICTURE = {
    "metriclearn.constraints.Chunks",
    "metriclearn.constraints.Quadruplets",
    "metriclearn.constraints.check_constraints",
    "metriclearn.constraints.constraints_from_tuples",
}


def test_learners_displays_splitters_and_augmentations_are_in_the_gallery(monkeypatch):
    pytest.importorskip("torch")
    pages = load_api_pages(monkeypatch)
    shown = names_in_examples(pages)
    wanted = [f"metriclearn.{name}" for name in LEARNERS]
    for module in ("plots", "constraints", "model_selection", "deep.augment"):
        names = pages.documented()[f"metriclearn.{module}"]
        wanted += [name for name in names if name not in WITHOUT_PICTURE]
    missing = [name for name in wanted if name not in shown]
    assert missing == [], "no script in examples/ imports them"


def test_every_name_has_a_picture_of_its_own_or_of_its_family(monkeypatch):
    pytest.importorskip("torch")
    pages = load_api_pages(monkeypatch)
    families = importlib.import_module("families")
    used = names_in_examples(pages)
    names = [name for listed in pages.documented().values() for name in listed]
    bare = [name for name in names if name not in used]
    shown = [name for name in bare if families.examples_of_family(name)]
    unknown = [name for name in bare if not families.is_without_picture(name)]
    assert unknown == shown, "show them in examples/, or name a family in docs/_ext/families.py"
    assert len(names) - len(bare) + len(shown) > 0.9 * len(names)

    scripts = {str(path.relative_to(ROOT / "examples").with_suffix("")) for path in EXAMPLES}
    named = [example for family in families.FAMILIES.values() for example in family]
    assert [example for example in named if example not in scripts] == []
    patterns = [*families.WITHOUT_PICTURE, *families.FAMILIES]
    stale = [each for each in patterns if not fnmatch.filter(names, f"metriclearn.{each}")]
    assert stale == []
