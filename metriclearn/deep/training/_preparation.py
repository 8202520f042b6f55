"""What a fit trains on: from checked rows, and labels or constraints, to a net and its data."""

import numpy as np
import torch

from metriclearn.constraints import Pairs, Quadruplets, Triplets, check_constraints
from metriclearn.deep.losses import LOSSES
from metriclearn.deep.losses._adapters import ModuleLoss
from metriclearn.deep.training._arguments import same
from metriclearn.deep.training._data import ConstraintData, LabeledData
from metriclearn.deep.training._labels import Labels, check_known, is_continuous
from metriclearn.deep.training._split import split_rows


def prepare_labels(trainer, net, inputs, X, y, *, classes=None, whole=True):
    """Make a net ready for rows with labels.

    Parameters
    ----------
    trainer : Trainer
    net : MetricNet or None
        To go on with; None in a first fit.
    inputs : Inputs
    X : ndarray of shape (n, n_features)
    y : ndarray of shape (n,) or (n, q), or None
        None where the loss needs no labels.
    classes : array-like, default=None
        Every label that will ever come; read in a first fit only.
    whole : bool, default=True
        Whether this is a ``fit``, which may hold rows out, rather than a ``partial_fit``.

    Returns
    -------
    net : MetricNet
        With ``classes_``, those that the loss trains on, and ``known_classes_``, these and the
        held-out ones.
    data : LabeledData
    """
    args = trainer.args
    amounts = bool(trainer.loss_says("continuous_labels"))
    continuous = y is not None and amounts and is_continuous(y)
    sampler = trainer.make_sampler(continuous=continuous)
    seeds = trainer.seeds()
    train, held, trained, known = np.arange(len(X)), None, None, None
    if y is None:
        _check_no_labels(args, sampler)
        labels = Labels.of_rows(len(X))
    elif continuous:
        if whole:
            _check_no_validation(args.validation, "y is continuous")
        labels = Labels.of_amounts(y)
    else:
        labels = Labels.of_classes(y, sampler.min_rows, args.sampler, amounts)
        train, held = _split_classes(trainer, net, labels, sampler, seeds[0], whole)
        trained, known = _classes_to_learn(labels, train, classes if net is None else None)
    given = labels.targets if continuous else None
    if net is None:
        n_classes = None if trained is None else len(trained)
        net = trainer.build(inputs, X, sampler, n_classes, len(train), seeds, given)
        net.classes_, net.known_classes_ = trained, known
    else:
        trainer.update(net, sampler, given)
        if trained is not None:
            net.classes_ = np.union1d(net.classes_, trained)
            net.known_classes_ = np.union1d(net.known_classes_, known)
    if labels.classes is not None and not amounts:
        labels = labels.as_known(net.classes_)
        every_row = sampler.min_rows == 1 and not learns_classes(net.criterion_)
        if every_row and not sampler.draws_unlabeled:
            # Those without a label are nobody's positive.
            train = _with_unlabeled(train, labels.codes)
            labels = labels.with_singletons(len(net.classes_))
    indices = _wants_indices(net, len(train))
    return net, LabeledData(inputs.rows(X, net.device), labels, train, held, indices)


def _split_classes(trainer, net, labels, sampler, seed, whole):
    """Choose the rows of a net that train, and those that validate."""
    args = trainer.args
    validation = args.validation if whole else None
    if net is not None:
        if learns_classes(net.criterion_) or net.known_classes_ is None:
            check_known(net.known_classes_, labels.classes)
        validation = _validation_again(args.validation, net, labels) if whole else None
    rng = np.random.default_rng(seed)
    train, held = split_rows(labels.codes, validation, args.validation_fraction, rng)
    if trainer.loss_says("keeps_unlabeled"):
        _check_draws_unlabeled(args.sampler, sampler, labels.codes)
        train = _with_unlabeled(train, labels.codes)
    return train, held


def _classes_to_learn(labels, train, announced):
    """Return the classes that the loss trains on, and these and the held-out ones."""
    if announced is not None:
        known = np.unique(announced)
        check_known(known, labels.classes)
        return known, known
    codes = labels.codes[train]
    return labels.classes[np.unique(codes[codes >= 0])], labels.classes


def prepare_constraints(trainer, net, inputs, X, constraints):
    """Make a net ready for rows with constraints.

    Parameters
    ----------
    trainer : Trainer
    net : MetricNet or None
        To go on with; None in a first fit.
    inputs : Inputs
    X : ndarray of shape (n, n_features)
    constraints : metriclearn.constraints.Pairs, Triplets or Quadruplets

    Returns
    -------
    net : MetricNet
    data : ConstraintData
    """
    args = trainer.args
    check_constraints(constraints, (Pairs, Triplets, Quadruplets), len(X), "DeepEmbedder")
    kind = type(constraints).__name__
    if constraints.weights is not None and not np.any(constraints.weights):
        raise ValueError(f"constraints: every weight of the {kind} is 0, so none can be drawn")
    if kind.lower() not in (trainer.loss_says("accepts") or ()):
        name = repr(args.loss) if isinstance(args.loss, str) else type(args.loss).__name__
        able = [key for key, value in LOSSES.items() if kind.lower() in value.accepts]
        raise ValueError(
            f"loss={name} cannot be trained on {kind}; these can: {', '.join(sorted(able))}"
        )
    if args.miner is not None and args.miner != "auto":
        raise ValueError(f"miner={args.miner!r} has nothing to choose from {kind}; use None")
    _check_no_validation(args.validation, f"{kind} are given")
    if net is None:
        net = trainer.build(inputs, X, None, None, len(X), trainer.seeds())
        net.classes_ = net.known_classes_ = None
    else:
        trainer.update(net, None)
    return net, ConstraintData(inputs.rows(X, net.device), constraints, args.batch_size)


def learns_classes(criterion):
    """Whether a loss learns or remembers something of each class, as proxies or a memory do.

    Of our own losses that need no classes, those with lists of integers remember codes or rows;
    of another's nothing is known but that it has a state.
    """
    foreign = [part.state_dict() for part in criterion.modules() if isinstance(part, ModuleLoss)]
    lists = [
        value
        for state, known in [(criterion.state_dict(), True), *((state, False) for state in foreign)]
        for value in state.values()
        if isinstance(value, torch.Tensor) and value.ndim > 0
        if not (known and value.is_floating_point())
    ]
    return criterion.needs_classes or bool(lists)


def _validation_again(asked, net, labels):
    """Return the validation of a fit that goes on: the held-out classes stay held out."""
    held = np.isin(labels.classes, np.setdiff1d(net.known_classes_, net.classes_))
    if not held.any():
        return asked
    if same(asked, net.arguments_["validation"]):
        return np.flatnonzero((labels.codes >= 0) & held[labels.codes])
    if learns_classes(net.criterion_):
        raise ValueError(
            f"validation was changed from {net.arguments_['validation']!r} to {asked!r}, but the "
            f"loss has learned nothing of the classes that were held out; fit a clone, or set "
            f"warm_start=False"
        )
    return asked


def _with_unlabeled(train, codes):
    """Add the rows without a label to those that train."""
    return np.sort(np.concatenate([train, np.flatnonzero(codes < 0)]))


def _check_no_labels(args, sampler):
    """Check that nothing asks for the labels that are not given."""
    _check_no_validation(args.validation, "y is not given")
    if sampler.min_rows > 1 or sampler.min_classes > 1 or sampler.continuous_labels:
        raise ValueError(
            f"sampler={args.sampler!r} draws by labels, but y is not given; use sampler='random'"
        )


def _check_draws_unlabeled(asked, sampler, codes):
    if (codes < 0).any() and not sampler.draws_unlabeled:
        raise ValueError(
            f"sampler={asked!r} never draws the rows without a label (-1), which this loss learns "
            f"from as well; use sampler='semi_supervised'"
        )


def _check_no_validation(validation, given):
    auto = isinstance(validation, str) and validation == "auto"
    if validation is not None and not auto:
        raise ValueError(f"validation={validation!r} needs classes, but {given}; use None")


def _wants_indices(net, n_train):
    """Whether the loss is to know the place of each row, which must be those of the first fit."""
    wants = net.criterion_.needs_indices
    if wants and n_train != net.sizes_["n_samples"]:
        raise ValueError(
            f"the loss learns something of each of the {net.sizes_['n_samples']} rows it was first "
            f"trained on, now there are {n_train}; fit again, or choose another scope"
        )
    return wants
