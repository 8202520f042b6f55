"""The learners that are compared."""

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from metriclearn.compare import compare
from metriclearn.compare._images import ImageScaler, ImageShrinker, shrinker
from metriclearn.compare._lineup import (
    LINE_UP,
    Setting,
    resolve_learners,
)


@pytest.mark.parametrize("key", LINE_UP)
@pytest.mark.parametrize("shape", [None, (4, 4)], ids=["tabular", "image"])
def test_every_grid_fits_its_learner(key, shape):
    setting = Setting(60, 16, 3, smallest_class=2, image_shape=shape)
    estimator, grid = LINE_UP[key].make(setting)
    for params in grid:
        estimator.set_params(**params)
    if LINE_UP[key].family == "deep":
        assert estimator["metric"].module == ("mlp" if shape is None else "convnet")


def test_wide_data_get_principal_components():
    rng = np.random.RandomState(0)
    y = np.repeat([0, 1, 2], 12)
    X = rng.randn(36, 60) + 2 * y[:, None]
    result = compare(["euclidean", "mahalanobis"], X, y, n_folds=3)
    rows = {row["key"]: row for row in result.rows()}
    assert rows["euclidean"]["notes"] == []
    assert rows["euclidean"]["dimension"] == 60
    assert rows["mahalanobis"]["notes"] == ["on 6 principal components"]
    matrix = next(r["matrix"] for r in result.records if r.get("matrix"))
    assert matrix["space"] == "principal components"
    assert np.shape(matrix["values"]) == (6, 6)
    assert len(matrix["weights"]) == 60


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
    assert [learner.key for learner in resolve_learners()] == list(LINE_UP)
    assert len(LINE_UP) == 10


@pytest.mark.parametrize(
    ("learners", "message"),
    [
        (["lmn"], "unknown learner 'lmn'; did you mean 'lmnn'"),
        ([], "learners is empty"),
        (["nca", "nca"], "'nca' twice"),
        ([StandardScaler], "neither a name of the line-up"),
        ([3], "neither a name of the line-up"),
        (np.zeros((3, 2)), r"learners is a ndarray; they come before the data"),
    ],
)
def test_bad_learners_are_one_clear_error(blobs, learners, message):
    with pytest.raises(ValueError, match=message):
        compare(learners, *blobs)
