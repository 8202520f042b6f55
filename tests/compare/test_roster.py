"""Every learner of the library, by name and by object."""

import numpy as np
import pytest
from helpers.optional import deep, losses
from sklearn.datasets import load_digits, load_iris
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metriclearn import LMNN, NCA
from metriclearn.compare import LEARNER_NAMES, compare
from metriclearn.compare._learners._fine_tuned import FINE_TUNED
from metriclearn.compare._learners._learner import Setting
from metriclearn.compare._measuring._images import ImageScaler, ImageShrinker, shrinker
from metriclearn.compare._names import ALIASES, FAMILIES
from metriclearn.compare._roster import (
    GROUPS,
    ROSTER,
    resolve_learners,
)
from metriclearn.mahalanobis import LEARNERS

DEEP = [key for key, row in ROSTER.items() if row.family == "deep"]


@pytest.mark.parametrize("key", ROSTER)
@pytest.mark.parametrize("shape", [None, (4, 4)], ids=["tabular", "image"])
def test_every_grid_fits_its_learner(key, shape):
    setting = Setting(60, 16, 3, smallest_class=2, image_shape=shape)
    estimator, grid = ROSTER[key].make(setting)
    for params in grid:
        estimator.set_params(**params)
    if ROSTER[key].family == "deep":
        assert estimator["metric"].module == ("mlp" if shape is None else "convnet")


def test_the_first_setting_of_mmc_is_not_the_one_of_few_directions():
    X, y = load_digits(return_X_y=True)
    first, full = (
        estimator.set_params(**params)
        for params in ROSTER["mmc"].make(Setting(600, 64, 10, 50))[1]
        for estimator in [ROSTER["mmc"].make(Setting(600, 64, 10, 50))[0]]
    )
    scores = [
        KNeighborsClassifier(3)
        .fit(metric.fit_transform(X[:600], y[:600]), y[:600])
        .score(metric.transform(X[600:]), y[600:])
        for metric in (first, full)
    ]
    assert scores[0] > scores[1] + 0.02


def test_a_metric_found_by_iterations_gets_leading_components_of_many_pixels():
    rng = np.random.RandomState(0)
    y = np.repeat([0, 1, 2], 12)
    images = rng.randn(36, 10, 6) + 2 * y[:, None, None]
    result = compare(images, y, learners=["euclidean", "nca"], n_folds=3, effort="quick")
    rows = {row.key: row for row in result.rows()}
    assert rows["euclidean"].dimension == 60
    assert rows["nca"].dimension == 12
    matrix = next(r.matrix for r in result.records if r.matrix)
    assert matrix.space == "principal components"
    assert np.shape(matrix.values) == (12, 12)
    assert len(matrix.weights) == 60


@pytest.fixture(scope="module")
def columns_5000():
    """More columns than rows: 30 of 2,000 tell the classes apart."""
    rng = np.random.RandomState(0)
    y = np.repeat(np.arange(4), 40)
    X = rng.randn(160, 2000)
    X[:, 100:130] += rng.randn(4, 30)[y]
    return X, y


def test_with_more_columns_than_rows_columns_are_selected(columns_5000):
    learners = "euclidean,standardized,selected,lmnn,lda"
    result = compare(*columns_5000, learners=learners, n_folds=5, effort="quick")
    rows = {row.key: row.mean("accuracy") for row in result.rows()}
    assert max(rows["euclidean"], rows["standardized"]) < 0.8
    assert min(rows["selected"], rows["lmnn"]) > 0.95
    assert [finding.kind for finding in result.findings] == ["wide"]
    tall = compare(*load_iris(return_X_y=True), learners="euclidean,selected", n_folds=2)
    assert [learner.key for learner in tall.learners] == ["euclidean"]


def test_image_scaler_divides_all_pixels_by_one_number(rng):
    X = (rng.rand(30, 6) * [1, 2, 3, 4, 5, 0]).astype(np.float32)
    Z = ImageScaler().fit_transform(X)
    assert Z.dtype == np.float32
    centered = X - X.mean(axis=0)
    np.testing.assert_allclose(Z, centered / np.sqrt(np.mean(centered**2)), rtol=1e-6)
    assert np.all(np.isfinite(ImageScaler().fit_transform(np.ones((3, 2)))))


@pytest.mark.parametrize("channels", [(), (3,)])
def test_image_shrinker_averages_blocks(rng, channels):
    images = rng.rand(4, 7, 5, *channels)
    shrink = ImageShrinker((7, 5, *channels), 2)
    small = shrink.fit_transform(images.reshape(4, -1)).reshape(4, *shrink.shape)
    assert shrink.shape == (3, 2, *channels)
    np.testing.assert_allclose(small[1, 2, 0], images[1, 4:6, 0:2].mean(axis=(0, 1)))


@pytest.mark.parametrize(
    ("shape", "shrunk"),
    [((28, 28), None), ((64, 64), (32, 32)), ((33, 20, 3), (16, 10, 3)), ((100, 2), (50, 1))],
)
def test_only_large_images_are_shrunk(shape, shrunk):
    shrink = shrinker(shape)
    assert (shrink and shrink.shape) == shrunk


@pytest.mark.parametrize(
    ("learners", "names"),
    [
        (
            ["lmnn", "Deep-Triplet", "standardized"],
            ["LMNN", "Deep triplet", "Standardized Euclidean"],
        ),
        ("nca", ["NCA"]),
        ({"mine": StandardScaler(), "theirs": "mmc"}, ["mine", "theirs"]),
        ([StandardScaler()], ["StandardScaler"]),
    ],
)
def test_learners_by_name_and_by_object(learners, names):
    assert [learner.name for learner in resolve_learners(learners)] == names


def test_the_default_line_up():
    assert [learner.key for learner in resolve_learners()] == GROUPS["default"]
    assert {row.family for row in resolve_learners()} == {*FAMILIES} - {"own"}
    assert len(GROUPS["default"]) == 16


@pytest.mark.parametrize(
    ("learners", "message"),
    [
        (["lmn"], "unknown learner 'lmn'; did you mean 'lmnn'"),
        ([], "learners is empty"),
        (["nca", "nca"], "'nca' twice"),
        ([StandardScaler], "neither a name of the roster"),
        ([3], "neither a name of the roster"),
        (np.zeros((3, 2)), r"learners is a ndarray; the data come first"),
    ],
)
def test_bad_learners_are_one_clear_error(blobs, learners, message):
    with pytest.raises(ValueError, match=message):
        compare(*blobs, learners=learners)


def test_the_roster_is_every_learner_and_every_loss_of_the_library():
    names = {ALIASES.get(name.lower(), name.lower()) for name in LEARNERS}
    free = {"majority", "boosting", "euclidean", "standardized", "cosine", "pca"}
    free |= {"selected", "lda"}
    of_photos = {key for key, row in ROSTER.items() if row.reads or row.of_embeddings}
    assert {*ROSTER} - free - {*DEEP, "linear_on_deep"} - of_photos == names
    assert [*ROSTER, *FINE_TUNED] == list(LEARNER_NAMES)
    assert list(losses.LOSSES) == DEEP, "LOSS_NAMES of compare/_names.py has another order"


@pytest.mark.parametrize("name", [*LEARNERS, *DEEP])
def test_class_names_and_loss_names_are_names(name):
    assert len(resolve_learners(name)) == 1


def test_words_stand_for_several_learners():
    for word, keys in GROUPS.items():
        assert [row.key for row in resolve_learners(word)] == keys
    assert [row.key for row in resolve_learners("linear,supcon")] == [*GROUPS["linear"], "supcon"]


@pytest.mark.parametrize(
    ("make", "family"),
    [
        (lambda: LMNN(), "linear"),
        (lambda: make_pipeline(StandardScaler(), NCA()), "linear"),
        (lambda: deep.DeepEmbedder(), "deep"),
        (lambda: make_pipeline(StandardScaler(), deep.DeepEmbedder()), "deep"),
        (lambda: make_pipeline(NCA(), StandardScaler()), "own"),
        (lambda: make_pipeline(deep.DeepEmbedder(), LMNN()), "stacked"),
        (lambda: StandardScaler(), "own"),
    ],
)
def test_ones_own_learner_has_the_family_of_its_last_step(make, family):
    (row,) = resolve_learners([make()])
    assert (row.family, row.is_own) == (family, True)


def test_the_question_is_answered_for_ones_own_embedder(blobs):
    embedder = deep.DeepEmbedder(max_epochs=2, validation=None, random_state=0)
    result = compare(*blobs, learners={"mine": embedder, "theirs": LMNN()}, n_folds=2)
    question = result.deep_or_linear("accuracy")
    assert (question.learner, question.against) == ("mine", "theirs")


def test_a_class_is_given_by_its_path(blobs, tmp_path, monkeypatch):
    (tmp_path / "my_learners.py").write_text(
        "from metriclearn import RCA\nclass Mine(RCA):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (row,) = resolve_learners("my_learners:Mine")
    assert (row.name, row.family) == ("Mine", "linear")
    assert compare(*blobs, learners="my_learners:Mine", n_folds=2).rows()[0].error is None
    with pytest.raises(ValueError, match=r"'my_learners:Yours' cannot be made \(AttributeError"):
        resolve_learners("my_learners:Yours")
    with pytest.raises(ValueError, match="'no_module:A' cannot be made"):
        resolve_learners("no_module:A")


def test_groups_that_share_their_baselines_are_taken_together():
    keys = [each.key for each in resolve_learners("linear,deep")]
    assert len(set(keys)) == len(keys)
    assert {"euclidean", "lmnn", "triplet"} <= set(keys)


def test_pairs_of_a_name_and_a_learner_are_as_a_dict():
    named = {"mine": LMNN(mu=0.2), "plain": "euclidean", "other": LMNN()}
    as_pairs, as_dict = resolve_learners([*named.items()]), resolve_learners(named)
    assert [(r.key, r.name, r.family) for r in as_pairs] == [
        (r.key, r.name, r.family) for r in as_dict
    ]
    with pytest.raises(ValueError, match="twice"):
        resolve_learners([("mine", LMNN()), ("mine", NCA())])
