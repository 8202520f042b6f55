"""Networks on pairs and two towers that are stopped, and go on from a checkpoint."""

import numpy as np
import pytest
import torch
from sklearn.base import clone

from metriclearn.deep import TwoTowerEmbedder
from metriclearn.deep.pairs._net import PairsNet
from metriclearn.verification import PairNetwork

rng = np.random.RandomState(0)
pairs, same = rng.randn(90, 2, 3), np.arange(90) % 2 == 0
pairs[same, 1, 0] = pairs[same, 0, 0] + 0.1
points, numbers = pairs.reshape(-1, 3), np.arange(180).reshape(-1, 2)
queries, documents = rng.randn(90, 6), rng.randn(90, 4)
negatives = rng.randint(90, size=(90, 2))
QUICK = {"batch_size": 32, "max_epochs": 4, "random_state": 0}
DROPPED = {"module_params": {"hidden_units": 16, "dropout": 0.3}}
#: An estimator, and what it is fitted on.
SYSTEMS = {
    "pairs": (PairNetwork(hidden_units=16, **DROPPED, **QUICK), (pairs, same)),
    "two towers seen by a pair": (PairNetwork("pseudo_siamese", **QUICK), (pairs, same)),
    "points": (PairNetwork(points=points, hidden_units=8, **QUICK), (numbers, same)),
    "queries": (TwoTowerEmbedder(**DROPPED, **QUICK), (queries, documents)),
    "chunks": (TwoTowerEmbedder(chunk_size=8, **DROPPED, **QUICK), (queries, documents)),
    "shared": (TwoTowerEmbedder(shared=True, **QUICK), (queries, queries + 0.1)),
}
systems = pytest.mark.parametrize(("model", "given"), SYSTEMS.values(), ids=SYSTEMS)


def state_of(model):
    """Weights, and what is said of the epochs but for their seconds."""
    epochs = [{k: v for k, v in row.items() if k != "dur"} for row in model.history_]
    return model.net_.module_.state_dict(), epochs


def assert_same(model, other):
    (ours, epochs), (theirs, others) = state_of(model), state_of(other)
    assert ours.keys() == theirs.keys()
    assert epochs == others
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name


@pytest.fixture
def killed(monkeypatch):
    """Fit until the second batch of an epoch, where Ctrl-C comes."""

    def fit(model, given, epoch, **further):
        def stop(self, net, *args, **kwargs):
            history = net.history[-1]
            if history["epoch"] == epoch and len(history["batches"]) == 1:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(PairsNet, "on_batch_end", stop)
            with pytest.raises(KeyboardInterrupt):
                model.fit(*given, **further)

    return fit


@systems
def test_a_stopped_run_ends_with_the_same_weights(model, given, killed, tmp_path):
    whole = clone(model).fit(*given)
    killed(clone(model).set_params(checkpoint=tmp_path), given, 2)
    torch.manual_seed(7)  # what the generators hold elsewhere is nothing to it
    killed(clone(model).set_params(checkpoint=tmp_path), given, 4)
    resumed = clone(model).set_params(checkpoint=tmp_path).fit(*given)
    assert_same(resumed, whole)
    # A run that is over is not trained again.
    assert_same(clone(model).set_params(checkpoint=tmp_path).fit(*given), whole)
    longer = clone(model).set_params(checkpoint=tmp_path, max_epochs=5).fit(*given)
    assert [row["epoch"] for row in longer.history_] == [1, 2, 3, 4, 5]


@systems
def test_ctrl_c_leaves_no_half_trained_model(model, given, killed):
    model = clone(model)
    killed(model, given, 2)
    assert not hasattr(model, "net_")


def test_rates_fall_along_a_cosine(monkeypatch):
    seen = []
    plain = PairsNet.run_single_epoch

    def run_single_epoch(self, *args, **kwargs):
        seen.append(self.optimizer_.param_groups[0]["lr"])
        return plain(self, *args, **kwargs)

    monkeypatch.setattr(PairsNet, "run_single_epoch", run_single_epoch)
    PairNetwork(hidden_units=4, lr=0.2, **QUICK).fit(pairs, same)
    np.testing.assert_allclose(seen, [0.1 * (1 + np.cos(np.pi * k / 4)) for k in range(4)])


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("pairs", {"lr": 0.1}, "lr was 0.001, now 0.1"),
        ("pairs", {"wiring": "siamese"}, "wiring was"),
        ("queries", {"temperature": 0.5}, "temperature was 0.05, now 0.5"),
        ("queries", {"random_state": 1}, "random_state was 0, now 1"),
        ("queries", {"max_epochs": 1}, "epochs was 4, now 1"),
    ],
)
def test_a_checkpoint_of_another_run_is_one_error(name, change, message, tmp_path):
    model, given = SYSTEMS[name]
    clone(model).set_params(checkpoint=tmp_path).fit(*given)
    with pytest.raises(ValueError, match=message):
        clone(model).set_params(checkpoint=tmp_path, **change).fit(*given)


def test_a_checkpoint_of_other_data_is_one_error(tmp_path):
    model, given = SYSTEMS["queries"]
    model = clone(model).set_params(checkpoint=tmp_path).fit(*given)
    for others, further, message in (
        ((queries + 1, documents), {}, "X is not the same"),
        ((queries, documents + 1), {}, "y is not the same"),
        ((queries, documents), {"negatives": negatives}, "y is not the same"),
        ((queries, documents), {"pairs": numbers[:40] // 2}, "y is not the same"),
    ):
        with pytest.raises(ValueError, match=message):
            model.fit(*others, **further)
    network, (X, y) = SYSTEMS["pairs"]
    network = clone(network).set_params(checkpoint=tmp_path / "pairs").fit(X, y)
    with pytest.raises(ValueError, match="y is not the same"):
        network.fit(X, ~y)
    with pytest.raises(ValueError, match="checkpoint needs random_state"):
        network.set_params(random_state=None).fit(X, y)
    with pytest.raises(ValueError, match="holds a run on other data"):
        network.set_params(random_state=0, checkpoint=tmp_path).fit(X, y)
