"""compare --save, embed, load: to the bit the vectors of the pipeline fitted in Python."""

import subprocess
import sys

import numpy as np
import pandas as pd
from helpers.commands import vectors_of
from PIL import Image
from sklearn.datasets import load_iris, load_wine

import metriclearn
from metriclearn.cli import main
from metriclearn.compare import ComparisonResult
from metriclearn.images import ImagePaths


def test_from_a_built_in_set_to_vectors_in_another_process(here):
    arguments = ["wine", "--learners", "standardized,lmnn", "--folds", "2", "--n-jobs", "1"]
    assert (
        main(["compare", *arguments, "--effort", "quick", "--save", "model", "--json", "r.json"])
        == 0
    )
    X, y = load_wine(return_X_y=True)  # rows one after the other, as the command has them:
    # sums over columns end alike, which those of a frame need not.
    frame = pd.DataFrame(X, columns=load_wine().feature_names)
    frame.to_csv("other.csv", index=False)
    command = [sys.executable, "-m", "metriclearn", "embed", "model", "other.csv"]
    command += ["--out", "e.parquet"]
    subprocess.run(command, check=True, capture_output=True)
    result = ComparisonResult.from_json("r.json")
    expected = result.make_estimator().fit(X, y).transform(X)
    assert np.array_equal(vectors_of("e.parquet"), expected.astype(vectors_of("e.parquet").dtype))
    assert np.array_equal(metriclearn.load("model").transform(frame), expected)
    card = (here / "model" / "README.md").read_text()
    assert "wine" in card
    assert "metriclearn compare wine" in card


def test_from_a_table_with_categories_and_gaps_to_vectors(here):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(60, 3)), columns=["a", "b", "c"])
    frame["kind"] = np.where(np.arange(60) % 3 == 0, "x", "y")
    frame.loc[4, "a"] = np.nan
    frame["species"] = np.repeat(["p", "q", "r"], 20)
    frame.loc[frame["species"] == "p", "b"] += 3
    frame.to_csv("train.csv", index=False)
    arguments = ["train.csv", "--target", "species", "--learners", "standardized,rca"]
    arguments += ["--folds", "2", "--n-jobs", "1", "--json", "r.json"]
    assert main(["compare", *arguments, "--save", "model"]) == 0
    new = frame.drop(columns="species").sample(20, random_state=0)
    new.to_csv("new.csv", index=False)
    assert main(["embed", "model", "new.csv", "--out", "new.npy"]) == 0
    assert main(["embed", "model", "train.csv", "--out", "all.npy"]) == 0
    assert np.array_equal(np.load("new.npy"), np.load("all.npy")[new.index])
    assert np.array_equal(metriclearn.load("model").transform(new), np.load("new.npy"))
    fitted = ComparisonResult.from_json("r.json").make_estimator()
    fitted.fit(frame.drop(columns="species"), frame["species"])
    assert np.array_equal(fitted.transform(new), np.load("new.npy"))


def test_rows_of_a_file_are_read_as_those_of_the_file_learned_from(here, capsys):
    """One cell that says nothing is one gap; a lone row is read as among many; no rows are said."""
    rng = np.random.default_rng(0)
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(60) * 7, unit="D")
    frame = pd.DataFrame({"a": rng.normal(size=60), "day": days.strftime("%d/%m/%Y")})
    frame["paid"] = np.where(rng.random(60) < 0.5, "yes", "no")
    frame["weight"] = [f"{value:.3f}".replace(".", ",") for value in rng.normal(5, 1, size=60)]
    frame.loc[50, "paid"] = None
    frame["species"] = np.repeat(["p", "q", "r"], 20)
    frame.to_csv("train.csv", index=False, sep=";")
    arguments = ["train.csv", "--target", "species", "--learners", "standardized,rca"]
    arguments += ["--folds", "2", "--n-jobs", "1", "--save", "model", "--save-learner", "rca"]
    assert main(["compare", *arguments]) == 0
    assert main(["embed", "model", "train.csv", "--out", "all.npy"]) == 0
    every = np.load("all.npy")
    for i in (5, 31):
        frame.iloc[[i]].to_csv("one.csv", index=False, sep=";")
        assert main(["embed", "model", "one.csv", "--out", "one.npy"]) == 0
        assert np.allclose(np.load("one.npy"), every[[i]], rtol=1e-9, atol=1e-12)
    frame.loc[7, "paid"] = "perhaps"
    frame.to_csv("stray.csv", index=False, sep=";")
    assert main(["embed", "model", "stray.csv", "--out", "stray.npy"]) == 0
    assert np.array_equal(np.delete(np.load("stray.npy"), 7, 0), np.delete(every, 7, 0))
    capsys.readouterr()
    frame.iloc[:0].to_csv("none.csv", index=False, sep=";")
    assert main(["embed", "model", "none.csv", "--out", "none.npy"]) == 2
    assert "none.csv: it holds no rows" in capsys.readouterr().err


def test_columns_of_new_rows_are_taken_by_name(here, capsys):
    X, y = load_iris(return_X_y=True, as_frame=True)
    X.assign(species=y).to_csv("train.csv", index=False)
    arguments = ["train.csv", "--target", "species", "--learners", "standardized,rca"]
    arguments += ["--folds", "2", "--n-jobs", "1", "--save", "model", "--save-learner", "rca"]
    assert main(["compare", *arguments]) == 0
    X[X.columns[::-1]].assign(species=y).to_csv("turned.csv", index=False)
    assert main(["embed", "model", "train.csv", "--out", "e.npy"]) == 0
    assert main(["embed", "model", "turned.csv", "--out", "turned.npy"]) == 0
    assert np.array_equal(np.load("turned.npy"), np.load("e.npy"))
    assert np.array_equal(metriclearn.load("model").transform(X), np.load("e.npy"))
    X[X.columns[1:]].to_csv("fewer.csv", index=False)
    capsys.readouterr()
    assert main(["embed", "model", "fewer.csv", "--out", "fewer.npy"]) == 2
    assert f"there is no column {X.columns[0]!r}" in capsys.readouterr().err


def test_from_an_npz_to_vectors(here):
    X, y = load_iris(return_X_y=True)
    np.savez("iris.npz", X=X, y=y)
    arguments = ["iris.npz", "--learners", "euclidean,rca", "--folds", "2", "--n-jobs", "1"]
    arguments += ["--json", "r.json", "--save", "model", "--save-learner", "rca"]
    assert main(["compare", *arguments]) == 0
    assert main(["embed", "model", "iris.npz", "--out", "e.parquet"]) == 0
    assert pd.read_parquet("e.parquet")["label"].tolist() == [str(label) for label in y]
    fitted = ComparisonResult.from_json("r.json").make_estimator("rca").fit(X, y)
    assert np.array_equal(vectors_of("e.parquet"), fitted.transform(X))
    assert np.array_equal(metriclearn.load("model").transform(X), fitted.transform(X))


def test_from_photos_compared_by_pixels_to_vectors(here):
    rng = np.random.default_rng(0)
    for k, name in enumerate("abc"):
        (here / "photos" / name).mkdir(parents=True)
        for i in range(5):
            pixels = rng.integers(0, 60, (10, 12, 3), dtype=np.uint8)
            pixels[..., k] += 120
            Image.fromarray(pixels).save(here / "photos" / name / f"{i}.png")
    arguments = ["photos", "--learners", "euclidean,rca", "--folds", "2", "--n-jobs", "1"]
    arguments += ["--json", "r.json", "--save", "model", "--save-learner", "rca"]
    assert main(["compare", *arguments]) == 0
    assert main(["embed", "model", "photos", "--out", "e.npy"]) == 0
    photos = ImagePaths.from_folder("photos")
    fitted = ComparisonResult.from_json("r.json").make_estimator("rca")
    fitted.fit(photos, photos.labels)
    assert np.array_equal(np.load("e.npy"), fitted.transform(photos))
    assert np.array_equal(metriclearn.load("model").transform(photos), fitted.transform(photos))
