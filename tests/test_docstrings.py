"""Public docstrings by numpydoc's rules; house rules of size, inheritance and words."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest
from numpydoc.validate import validate

import metriclearn

ROOT = Path(metriclearn.__file__).parent
MODULES = [
    "metriclearn",
    "metriclearn.compare",
    "metriclearn.constraints",
    "metriclearn.datasets",
    "metriclearn.deep",
    "metriclearn.deep.augment",
    "metriclearn.deep.callbacks",
    "metriclearn.deep.losses",
    "metriclearn.deep.miners",
    "metriclearn.deep.modules",
    "metriclearn.deep.samplers",
    "metriclearn.images",
    "metriclearn.mahalanobis",
    "metriclearn.metrics",
    "metriclearn.model_selection",
    "metriclearn.neighbors",
    "metriclearn.persistence",
    "metriclearn.plots",
    "metriclearn.recommend",
    "metriclearn.verification",
]
# Undocumented, unknown, misplaced or empty parameters; returns, examples and See Also that
# are missing.
RULES = {"PR01", "PR02", "PR03", "PR07", "RT01", "RT03", "EX01", "SA01"}
# What one docstring lacks, where `compare` shows it: a list that only shrinks.
MISSING = {"metriclearn.compare.ComparisonResult": {"EX01"}}


def public(module):
    """Names of classes and functions that are defined here and not in a library."""
    members = {name: getattr(module, name) for name in module.__all__}
    return {
        name: f"{member.__module__}.{member.__qualname__}"
        for name, member in members.items()
        if callable(member) and hasattr(member, "__qualname__")
    }


@pytest.mark.parametrize("name", MODULES)
def test_docstrings_are_complete(name):
    found = {}
    for short, full in public(importlib.import_module(name)).items():
        broken = {code for code, _ in validate(full)["errors"]} & RULES
        if broken := broken - MISSING.get(f"{name}.{short}", set()):
            found[short] = broken
    assert found == {}


FILES = sorted(ROOT.rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in FILES}
# Modules whose classes and functions come from papers, and what in them is of no paper: bases,
# doors to what a user has, plain notions.
FROM_PAPERS = {
    "metriclearn.mahalanobis": {"MahalanobisTransformer"},
    "metriclearn.datasets": {
        "ImagePaths",
        "make_metric_pairs",
        "make_metric_triplets",
        "make_planted_metric",
    },
    "metriclearn.deep.losses": {
        "EmbeddingNormLoss",
        "MetricLoss",
        "MinedLoss",
        "WeightedSum",
        "as_metric_loss",
    },
    "metriclearn.deep.miners": {
        "AllMiner",
        "InBatchNegatives",
        "MinedPairs",
        "MinedQuadruplets",
        "MinedTriplets",
        "Miner",
        "RandomMiner",
        "Reference",
        "Selection",
        "as_miner",
    },
    "metriclearn.deep.samplers": {
        "ClassBalancedSampler",
        "FixedTripletSampler",
        "RandomSampler",
        "Sampler",
        "SemiSupervisedSampler",
        "UnbalancedSampler",
        "as_sampler",
    },
    "metriclearn.metrics": {
        "AxiomCheck",
        "RecallGrowth",
        "RetrievalResult",
        "VerificationPairs",
        "best_threshold",
        "get_scorer",
        "intra_inter_ratio",
        "make_retrieval_scorer",
        "retrieval_scores",
        "retrieve",
        "share_found_at_k",
    },
    "metriclearn.model_selection": set(),
    "metriclearn.recommend": set(),
}
# A thesis that is on no site of its own.
NO_LINK = {"ProxyRepulsionLoss"}


@pytest.mark.parametrize("name", FROM_PAPERS)
def test_what_comes_from_a_paper_names_it_and_where_it_is(name):
    module = importlib.import_module(name)
    papers = {
        short: inspect.getdoc(getattr(module, short)).partition("\nReferences\n")[2]
        for short in public(module)
    }
    assert {short for short, text in papers.items() if not text} == FROM_PAPERS[name]
    unlinked = {short for short, text in papers.items() if text and not LINK.search(text)}
    assert unlinked <= NO_LINK


LINK = re.compile(r":doi:`10\.\d+/|https://|arXiv:\d")


def test_papers_that_a_docstring_cites_are_in_its_references():
    wrong = []
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                text = ast.get_docstring(node) or ""
                entries = {f"{entry}_" for entry in re.findall(r"^\.\. (\[\d\])", text, re.M)}
                cited = set(re.findall(r"\[\d\]_", text))
                if cited != entries and cited:
                    wrong.append(f"{path.name}: {node.name}")
    assert wrong == []


def classes():
    """Name of each class of the package to its bases in the package."""
    nodes = [n for tree in TREES.values() for n in ast.walk(tree) if isinstance(n, ast.ClassDef)]
    names = {node.name for node in nodes}
    return {
        node.name: [
            base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", None)
            for base in node.bases
            if (base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")) in names
            and (base.attr if isinstance(base, ast.Attribute) else base.id) != node.name
        ]
        for node in nodes
    }


def test_a_class_inherits_from_few_of_ours():
    bases = classes()
    assert [name for name, ours in bases.items() if len(ours) > 2] == []

    def depth(name):
        return max((1 + depth(base) for base in bases[name]), default=0)

    deep = {name for name in bases if depth(name) > 2}
    assert deep <= {"ArcFaceLoss", "CosFaceLoss", "NormalizedSoftmaxLoss"}


def test_the_embedder_is_short():
    """What it does is said by functions, each in its own file."""
    tree = TREES[ROOT / "deep" / "_embedder.py"]
    (embedder,) = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    docstring = embedder.body[0]
    assert embedder.end_lineno - docstring.end_lineno <= 250


def test_words_of_the_house_stay_in_its_page():
    words = re.compile(r"\b(house|front door|rooms)\b|_ROOMS", re.I)
    assert [path.name for path in FILES if words.search(path.read_text())] == []


def test_private_names_of_scikit_learn_pass_through_one_file():
    private = re.compile(
        r"from sklearn[\w.]*\._|from sklearn[\w.]* import _|import sklearn[\w.]*\._"
    )
    using = {path.name for path in FILES if private.search(path.read_text())}
    assert using == {"_sklearn.py"}


@pytest.mark.parametrize(("folder", "most"), [("deep", 15), ("mahalanobis", 25)])
def test_a_folder_is_read_at_a_glance(folder, most):
    entries = [path for path in (ROOT / folder).iterdir() if path.name != "__pycache__"]
    assert len(entries) <= most


def test_parts_of_the_embedder_are_known_by_class():
    asks = re.compile(r"\b(hasattr|getattr)\(")
    lines = [
        line for path in (ROOT / "deep").rglob("*.py") for line in path.read_text().split("\n")
    ]
    assert sum(map(bool, map(asks.search, lines))) <= 10


# Types ------------------------------------------------------------------------------------------


def functions_of(member):
    """Yield the public functions and methods of ours that a name stands for, unwrapped."""
    if inspect.isfunction(member):
        yield inspect.unwrap(member)
    elif inspect.isclass(member):
        for base in member.__mro__:
            for name, value in vars(base).items():
                if base.__module__.startswith("metriclearn") and (
                    name == "__init__" or not name.startswith("_")
                ):
                    value = value.fget if isinstance(value, property) else value
                    value = inspect.unwrap(getattr(value, "__func__", value))
                    if inspect.isfunction(value) and value.__module__.startswith("metriclearn"):
                        yield value


@pytest.mark.parametrize("name", MODULES)
def test_public_functions_are_annotated(name):
    module, found = importlib.import_module(name), set()
    for short in module.__all__:
        for function in functions_of(getattr(module, short)):
            signature = inspect.signature(function)
            parameters = [p for n, p in signature.parameters.items() if n not in ("self", "cls")]
            hints = [*(p.annotation for p in parameters), signature.return_annotation]
            if inspect.Parameter.empty in hints:
                found.add(f"{function.__module__}.{function.__qualname__}")
    assert found == set()


STUBS = sorted(ROOT.rglob("__init__.pyi"))


@pytest.mark.parametrize("stub", STUBS, ids=lambda path: path.parent.name)
def test_type_checkers_see_the_names_that_are_loaded_when_asked_for(stub):
    package = ".".join([ROOT.name, *stub.parent.relative_to(ROOT).parts])
    module = importlib.import_module(package)
    seen = {
        alias.asname: node.module
        for node in ast.parse(stub.read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert {*seen} == {*dir(module)}
    for name, origin in seen.items():
        found = getattr(module, name)
        if origin != package and hasattr(found, "__module__"):
            assert found.__module__ == origin


def test_lazy_packages_have_stubs():
    lazy = {path.parent for path in FILES if re.search(r"import lazy\b", path.read_text(), re.M)}
    assert lazy == {stub.parent for stub in STUBS}


# Whose error names the range.
RAISES_UNSAID = {"RetrievalIndex.tune"}


def overrides(function):
    """Whether a method is one of a base of ours, whose page says what it may raise."""
    module, (kind, *inner) = inspect.getmodule(function), function.__qualname__.split(".")
    bases = getattr(module, kind).__mro__[1:] if inner else ()
    return any(hasattr(base, inner[0]) for base in bases if base.__module__.startswith("metric"))


@pytest.mark.parametrize("name", MODULES)
def test_what_is_raised_is_said(name):
    module, silent = importlib.import_module(name), set()
    for short in module.__all__:
        for function in functions_of(getattr(module, short)):
            if function.__name__ == "__init__" or "Raises\n" in function.__doc__:
                continue
            raises = re.search(r"^ +raise (?!NotImpl)\w+\(", inspect.getsource(function), re.M)
            if raises and not overrides(function):
                silent.add(function.__qualname__)
    assert silent <= RAISES_UNSAID
