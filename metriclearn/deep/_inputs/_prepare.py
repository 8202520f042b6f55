"""From what ``fit`` is given to a net and the data it trains on."""

from metriclearn._unused import warn_unused
from metriclearn.deep._inputs._images import learn_inputs
from metriclearn.deep.training._dataset import from_dataset
from metriclearn.deep.training._labels import check_form
from metriclearn.deep.training._preparation import prepare_constraints, prepare_labels


def prepare(embedder, trainer, net, X, y, constraints, *, classes=None, whole=True):
    """Check rows and what is known of them, and make or take up a net for them.

    Parameters
    ----------
    embedder : DeepEmbedder
        Learns the names of features.
    trainer : Trainer
    net : Net or None
        One that goes on; None makes a new one.
    X, y, constraints
        As ``fit`` takes them.
    classes : array-like, default=None
        Every label that will ever come.
    whole : bool, default=True
        Whether rows are held out for validation.

    Returns
    -------
    net : Net
    data : TrainingData
    """
    if constraints is not None and y is not None:
        raise ValueError("y and constraints were both given; give one of them")
    X, y = from_dataset(X, y, with_labels=constraints is None)
    if constraints is not None:
        inputs, X, _ = _read(embedder, X, net)
        net, data = prepare_constraints(trainer, net, inputs, X, constraints)
    else:
        net, data = _prepare_labels(embedder, trainer, net, X, y, classes, whole)
    if whole:
        warn_unused(embedder, trainer.unused(net, data))
    return net, data


def _prepare_labels(embedder, trainer, net, X, y, classes, whole):
    if y is None and not trainer.needs_labels:
        inputs, X, _ = _read(embedder, X, net)
    else:
        amounts = bool(trainer.loss_says("continuous_labels"))
        check_form(X, y, embedder.loss, amounts)
        inputs, X, y = _read(embedder, X, net, y=y, y_numeric=amounts, multi_output=amounts)
    return prepare_labels(trainer, net, inputs, X, y, classes=classes, whole=whole)


def _read(embedder, X, net, **checks):
    """Check rows, and labels where there are some, by what a first fit found out."""
    if net is None:
        return learn_inputs(embedder, X, ensure_min_samples=2, **checks)
    return net.inputs_, *net.inputs_.check(embedder, X, ensure_min_samples=2, **checks)
