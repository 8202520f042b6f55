"""Laws over the classes of losses and miners: what their arguments may be, and what is written."""

import inspect
import re

import pytest
from sklearn.utils._param_validation import generate_invalid_param_val, make_constraint

from metriclearn.deep import losses as L
from metriclearn.deep import miners as M
from metriclearn.deep import samplers as S

LOSSES = sorted(
    {value for value in vars(L).values() if isinstance(value, type)} - {L.MetricLoss},
    key=lambda c: c.__name__,
)
PARTS = [*LOSSES, *M.MINERS.values()]
#: Columns of labels with two parts.
PARTED = ((0, 1), (2,))
by_part = pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
by_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)

#: Checked where they are used: sizes by ``build``, the others as what they are.
NOT_RANGES = {
    "n_classes", "embedding_dim", "feature_dim", "n_samples",
    "loss", "losses", "weights", "miner", "generator", "views",
}  # fmt: skip
#: What the losses that are made of others need to be made at all.
MADE_OF = {
    "CascadedLoss": {"loss": L.ContrastiveLoss()},
    "CrossBatchMemory": {"loss": L.SupConLoss()},
    "DiverseAggregationLoss": {"loss": L.MarginLoss()},
    "SharedCharacteristicsLoss": {"loss": L.SupConLoss()},
    "DivideAndConquerLoss": {"loss": L.SupConLoss()},
    "EmbeddingMomentsLoss": {"loss": L.SupConLoss()},
    "GroupedLoss": {"loss": L.SupConLoss()},
    "HighOrderLoss": {"loss": L.SupConLoss()},
    "SelfDistillationLoss": {"loss": L.SupConLoss()},
    "SampledProxies": {"loss": L.ArcFaceLoss()},
    "SemiSupervisedLoss": {"loss": L.SupConLoss()},
    "Matryoshka": {"loss": L.SupConLoss()},
    "TwoViewLoss": {"loss": L.SupConLoss()},
    "ProxyRegularizer": {"loss": L.ArcFaceLoss()},
}
#: Terms that no single paper is the source of.
NO_PAPER = {"MinedLoss", "WeightedSum", "EmbeddingNormLoss"}


def arguments(part):
    return set(inspect.signature(part).parameters) - NOT_RANGES


@by_part
def test_every_argument_has_a_range(part):
    assert set(getattr(part, "_parameter_constraints", {})) == arguments(part)


@pytest.mark.parametrize(
    ("part", "name"),
    [(part, name) for part in PARTS for name in sorted(arguments(part))],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_arguments_out_of_range_are_named(part, name):
    given = MADE_OF.get(part.__name__, {})
    for bad in ("no such thing", float("nan"), *just_outside(part, name)):
        with pytest.raises(ValueError, match=f"'{name}' parameter|{name} must") as error:
            part(**given, **{name: bad})
        assert str(bad) in str(error.value)


def just_outside(part, name):
    for allowed in map(make_constraint, part._parameter_constraints[name]):
        try:
            yield generate_invalid_param_val(allowed)
        except NotImplementedError:  # nothing is outside of a type but other types
            continue


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: L.ContrastiveLoss(margin=-0.1), r"margin must be in \[0, inf\) for form='hads"),
        (lambda: L.ContrastiveLoss(1.0, form="cosine"), r"margin must be in \[-1, 1\) for form="),
        (lambda: L.RankedListLoss(margin=1.3), "margin must be less than alpha=1.2, got 1.3"),
        (lambda: L.RecallAtKLoss(ks=(1, 0)), "at least one k, each of them at least 1"),
        (lambda: L.RecallAtKLoss(ks=()), "at least one k"),
        (lambda: M.DistanceWeightedMiner(0.5, 0.4), "greater than cutoff=0.5, got 0.4"),
        (lambda: L.LabelDistanceTripletLoss(near=2, far=1), "near must be at most far=1, got 2"),
        (lambda: L.LabelDistanceTripletLoss(near=(1, 2)), "near must be one number where parts is"),
        (
            lambda: L.LabelDistanceTripletLoss(far=(1,), parts=PARTED),
            "far must have a value",
        ),
        (lambda: L.LabelDistanceTripletLoss((-1, 2), parts=PARTED), "near must have values that"),
        (lambda: L.LabelDistanceTripletLoss((1, 2), 1, parts=PARTED), "near must be at most far=1"),
        (lambda: L.LabelDistanceTripletLoss(parts=((0, 1), (1,))), "parts must name each column"),
        (lambda: L.LabelDistanceTripletLoss(parts=(0, 1)), "parts must name each column"),
        (lambda: S.NearLabelSampler(near=(1, None), parts=PARTED), "near must have values that"),
        (lambda: S.NearLabelSampler(parts=PARTED), "near must be given with parts"),
    ],
)
def test_arguments_that_do_not_go_together_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@by_loss
def test_docstring_of_a_loss_is_whole(loss):
    """Formula, paper, ranges, shapes and cost: see the page of any loss."""
    text = inspect.getdoc(loss)
    assert "::" in text or "``" in text.partition("Parameters\n---")[0], "no formula"
    if loss.__name__ not in NO_PAPER:
        assert re.search(r"\b(19|20)\d\d\b|thesis", text), "no paper"
    parameters = text.partition("Parameters\n----------\n")[2]
    for name in inspect.signature(loss).parameters:
        assert re.search(rf"^(\w+, )*{name}(, \w+)* : ", parameters, re.MULTILINE), name
    assert re.search(r"[Tt]ime (and memory )?O\(", text), "no cost"
    shapes = inspect.getdoc(loss.compute)
    assert "(b, d)" in shapes, "no shapes"
    assert "(b,)" in shapes, "no shapes"


@by_loss
def test_ranges_are_written(loss):
    text = inspect.getdoc(loss)
    for name, allowed in getattr(loss, "_parameter_constraints", {}).items():
        if not any(hasattr(make_constraint(one), "left") for one in allowed):
            continue
        # From its line to the end of what is said of it, maybe of several in one.
        entry = rf"^(\w+, )*{name}(, \w+)* : .*\n(\S.* : .*\n)*(    .*\n)+"
        said = re.search(entry, text, re.MULTILINE).group(0).lower()
        assert re.search(r"> 0|at least|in \(|in \[|greater", said), name
