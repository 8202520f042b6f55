"""The house keeps its own rules: light imports, clear extras, documented names."""

import importlib
import inspect
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.estimators import ALL
from sklearn.base import clone

import metriclearn

ROOT = Path(metriclearn.__file__).parent
# pandas and rich are loaded by scikit-learn itself where they are installed.
HEAVY = ("torch", "skorch", "cvxpy", "faiss", "matplotlib", "jinja2")
MODULES = (
    "metriclearn",
    "metriclearn.mahalanobis",
    "metriclearn.deep",
    "metriclearn.deep.losses",
    "metriclearn.deep.miners",
    "metriclearn.deep.samplers",
    "metriclearn.deep.modules",
    "metriclearn.deep.augment",
    "metriclearn.deep.callbacks",
    "metriclearn.constraints",
    "metriclearn.verification",
    "metriclearn.metrics",
    "metriclearn.model_selection",
    "metriclearn.neighbors",
    "metriclearn.datasets",
    "metriclearn.images",
    "metriclearn.recommend",
    "metriclearn.persistence",
    "metriclearn.compare",
    "metriclearn.plots",
)


def run_python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )


def test_the_command_line_is_there_at_once():
    """What takes a while is loaded where Ctrl-C is one line, and after ``--help``."""
    code = (
        "import sys, metriclearn.cli\n"
        "raise SystemExit(str(sorted(set(sys.modules) & {'pandas', 'scipy', 'sklearn', 'torch'})))"
    )
    assert run_python(code).stderr.strip() == "[]"


def test_no_linear_learner_loads_anything_heavy():
    code = (
        "import sys, metriclearn\n"
        "for name in metriclearn.__all__:\n"
        "    getattr(metriclearn, name)\n"
        f"    heavy = sorted(set(sys.modules) & set({HEAVY!r}))\n"
        "    if heavy:\n"
        "        raise SystemExit(f'{name} loads {heavy}')\n"
    )
    result = run_python(code)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("statement", "module", "extra"),
    [
        ("from metriclearn.deep import DeepEmbedder", "torch", "deep"),
        ("from metriclearn.deep import DeepEmbedder", "skorch", "deep"),
        (
            "from metriclearn import LMNN\n"
            "sdp = LMNN(n_neighbors=1, n_impostors=None, solver='sdp')\n"
            "sdp.fit([[0.], [1.], [5.], [6.]], [0, 0, 1, 1])",
            "cvxpy",
            "sdp",
        ),
    ],
)
def test_a_missing_extra_is_one_line_with_the_install_command(statement, module, extra):
    result = run_python(f"import sys; sys.modules[{module!r}] = None\n{statement}")
    last_line = result.stderr.strip().splitlines()[-1]
    assert last_line.startswith("ImportError: ")
    assert f"pip install 'metriclearn[{extra}]'" in last_line


@pytest.mark.parametrize("name", MODULES)
def test_public_names_exist_and_are_documented(name):
    module = importlib.import_module(name)
    assert module.__doc__
    for public in module.__all__:
        member = getattr(module, public)
        assert inspect.getdoc(member), f"{name}.{public} has no docstring"
    # What a short name stands for is public, too, and so on the API page.
    tables = [member for public, member in vars(module).items() if public in module.__all__]
    for table in (table for table in tables if isinstance(table, dict)):
        missing = {member.__name__ for member in table.values()} - set(module.__all__)
        assert not missing, f"__all__ of {name} lacks what a short name stands for"


def test_the_api_page_lists_every_module():
    pages = runpy.run_path(str(ROOT.parent / "docs" / "_ext" / "api_pages.py"))
    assert set(pages["MODULES"]) == set(MODULES) - {"metriclearn.mahalanobis"}


@pytest.mark.parametrize("estimator", ALL, ids=lambda e: type(e).__name__)
def test_every_parameter_and_attribute_is_documented(estimator, small):
    names = list(estimator.get_params(deep=False))
    fitted = clone(estimator).fit(*small)
    names += [name for name in vars(fitted) if name.endswith("_") and not name.startswith("_")]
    text = inspect.getdoc(type(estimator))
    assert not [
        name for name in names if not re.search(rf"^{name}\b.* : |, {name}\b.* : ", text, re.M)
    ]


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'LMMN'"):
        metriclearn.LMMN  # noqa: B018


def test_version_and_names_agree():
    assert metriclearn.__version__ == importlib.metadata.version("metriclearn")
    citation = (ROOT.parent / "CITATION.cff").read_text()
    assert f"\nversion: {metriclearn.__version__}\n" in citation
    assert (ROOT / "py.typed").exists()
    assert set(metriclearn.__all__) <= set(dir(metriclearn))


@pytest.mark.parametrize(
    "path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_files_stay_small(path):
    assert len(path.read_text().splitlines()) <= 460


def test_files_of_tests_stay_small():
    files = Path(__file__).parent.rglob("*.py")
    assert not [str(path) for path in files if len(path.read_text().splitlines()) > 500]


HOUSE = ROOT.parent / "docs" / "house.md"
in_a_checkout = pytest.mark.skipif(not HOUSE.exists(), reason="the docs are not here")


@in_a_checkout
def test_the_page_of_the_house_names_every_room():
    text = HOUSE.read_text().split("## The rooms")[1].split("## The floors")[0]
    named = set(re.findall(r"`(\w+)/?`", text))
    entries = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert entries - {"__pycache__", "__main__"} <= named


@in_a_checkout
def test_the_page_of_the_house_has_the_floors_of_the_contract():
    import tomllib

    drawn = HOUSE.read_text().split("```text\n")[1].split("```")[0]
    contracts = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())["tool"]["importlinter"]
    floors = contracts["contracts"][0]["layers"]
    assert [set(line.split(" · ")) for line in drawn.splitlines()] == [
        {room.removeprefix("metriclearn.") for room in floor.split(" | ")} for floor in floors
    ]


@in_a_checkout
@pytest.mark.parametrize(
    ("walk", "folder"),
    [("A matrix through", ROOT / "mahalanobis" / "_lmnn"), ("A batch through", ROOT / "deep")],
)
def test_a_walk_is_short_and_names_files_that_there_are(walk, folder):
    text = HOUSE.read_text().split(f"## {walk}")[1].split("\n## ")[0]
    stops = [line for line in text.splitlines() if re.match(r"\| \d+ \|", line)]
    assert 0 < len(stops) <= 10
    for stop in stops:
        files = re.findall(r"`([\w/]+(?:\.py|/))`", stop.split("|")[3])
        assert files
        assert [name for name in files if not (folder / name).exists()] == []
