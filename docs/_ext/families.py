"""Which examples show the family of a name that no example uses itself."""

from fnmatch import fnmatchcase

# Names that no picture explains: what reads, checks or turns other forms into ours.
WITHOUT_PICTURE = [
    "*.as_*",
    "*.check_constraints",
    "*.constraints_from_tuples",
    "*.get_scorer",
    "neighbors.Finding",
    "neighbors.diagnose",
    "compare.NewRows",
    "compare.read_rows",
    "compare.result_schema",
    "persistence.read_card",
    "persistence.to_onnx",
]
# The first pattern that fits counts, so what differs from its family comes before it.
FAMILIES = {
    "QuadrupletClassifier": ["constraints/from_labels", "tutorials/judgments"],
    "PairNetwork": ["search/threshold"],
    "deep.TwoTowerEmbedder": ["search/recommend"],
    "deep.place_contributions": ["tutorials/photos"],
    "deep.losses.LabelDistanceTripletLoss": ["deep/angles", "deep/losses"],
    "deep.losses.LogRatioLoss": ["distances/amounts", "deep/losses"],
    "deep.losses.*": ["deep/losses"],
    "deep.miners.*": ["deep/miners"],
    "deep.samplers.*": ["deep/samplers"],
    "deep.modules.*": ["deep/linear_on_deep", "tutorials/photos"],
    "deep.augment.*": ["deep/augment"],
    "deep.callbacks.*": ["tutorials/photos"],
    "images.*": ["tutorials/photos"],
    "constraints.*": ["constraints/from_labels"],
    "neighbors.*": ["distances/lmnn_digits", "search/hubness"],
    "metrics.VerificationPairs": ["search/threshold"],
    "metrics.fpr_at_tpr": ["search/threshold"],
    "metrics.oscr": ["search/strangers"],
    "metrics.*_scorer": ["distances/grid_search", "search/measures"],
    "metrics.*": ["search/measures"],
    "model_selection.*": ["search/splits"],
    "compare.RankedComparison": ["distances/several_tables"],
    "compare.*": ["tutorials/table", "tutorials/judgments"],
    "recommend.*": ["search/recommend"],
    "save": ["tutorials/table"],
    "load": ["tutorials/table"],
    "datasets.fetch_lfw_pairs": ["search/threshold"],
    "datasets.fetch_*": ["tutorials/photos"],
}


def is_without_picture(full):
    """Say whether a full name is one that no picture explains."""
    return any(fnmatchcase(full, f"metriclearn.{pattern}") for pattern in WITHOUT_PICTURE)


def examples_of_family(full):
    """Return the examples that show what a full name belongs to, none where none explains it."""
    if is_without_picture(full):
        return []
    fitting = (FAMILIES[each] for each in FAMILIES if fnmatchcase(full, f"metriclearn.{each}"))
    return next(fitting, [])
