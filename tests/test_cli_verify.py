"""Pairs that a saved model decides on from the command line."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import metriclearn
from metriclearn import LMNN
from metriclearn.cli import main


@pytest.fixture(scope="module")
def fitted():
    return make_pipeline(StandardScaler(), LMNN()).fit(*load_iris(return_X_y=True))


@pytest.fixture
def model(fitted, tmp_path, monkeypatch):
    """A model of iris in ./model, its rows in ./rows.csv, and the estimator."""
    monkeypatch.chdir(tmp_path)
    X = load_iris(as_frame=True).data
    metriclearn.save(fitted, "model")
    X.assign(id=[f"flower {i}" for i in range(150)]).to_csv("named.csv", index=False)
    X.to_csv("rows.csv", index=False)
    return fitted


def test_verify_decides_and_measures(model, capsys):
    X, y = load_iris(return_X_y=True)
    pairs = np.random.default_rng(0).integers(150, size=(400, 2))
    same = y[pairs[:, 0]] == y[pairs[:, 1]]
    table = pd.DataFrame({"first": pairs[:, 0], "second": pairs[:, 1], "same": same})
    table.to_csv("pairs.csv", index=False)
    arguments = ["model", "pairs.csv", "--rows", "rows.csv", "--far", "0.05"]
    assert main(["verify", *arguments, "--out", "decided.csv"]) == 0
    decided = pd.read_csv("decided.csv")
    Z = model.transform(X)
    assert np.allclose(decided["distance"], np.linalg.norm(Z[pairs[:, 0]] - Z[pairs[:, 1]], axis=1))
    rate = decided["accepted"][~same].mean()
    assert 0.03 < rate <= 0.05
    assert decided["accepted"][same].mean() > 0.7
    assert "true accepts at a false-accept rate of 0.05" in capsys.readouterr().out


@pytest.mark.parametrize("separator", [";", "\t"])
def test_verify_reads_other_separators(model, tmp_path, capsys, separator):
    lines = [
        separator.join(line) for line in (("first", "second", "same"), "011", ("2", "99", "0"))
    ]
    (tmp_path / "pairs.csv").write_text("\ufeff" + "\r\n".join(lines), encoding="utf-8")
    assert main(["verify", "model", "pairs.csv", "--rows", "rows.csv", "--far", "0.5"]) == 0
    assert "2 pairs" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", ["parquet", "xlsx", "csv.gz", "tsv"])
def test_pairs_are_any_table_with_these_columns(model, suffix, capsys):
    table = pd.DataFrame({"Same": ["yes", "no"], "First": [0.0, 2.0], " second": [1.0, 99.0]})
    if suffix == "parquet":
        table.to_parquet("pairs.parquet")
    elif suffix == "xlsx":
        table.to_excel("pairs.xlsx", index=False)
    else:
        table.to_csv(f"pairs.{suffix}", index=False, sep="\t" if suffix == "tsv" else ",")
    assert main(["verify", "model", f"pairs.{suffix}", "--rows", "rows.csv", "--far", "0.5"]) == 0
    Z = model.transform(load_iris().data)
    apart = np.linalg.norm(Z[[0, 2]] - Z[[1, 99]], axis=1)
    assert f"2 pairs, distances from {apart[0]:.4g} to {apart[1]:.4g}" in capsys.readouterr().out


@pytest.mark.parametrize("rows", ["named.csv", "photos"])
def test_items_of_pairs_go_by_number_or_by_name(model, rows, tmp_path, monkeypatch, capsys):
    names = [f"flower {i}" for i in range(150)]
    ids, unnamed = ["--ids", "id"], "rows.csv"
    if rows == "photos":
        image = pytest.importorskip("PIL.Image")
        (tmp_path / "photos" / "a").mkdir(parents=True)
        monkeypatch.setattr(Pipeline, "transform", lambda self, X: load_iris().data[: len(X)])
        for i in range(3):
            image.new("L", (8, 8), 80 * i).save(tmp_path / "photos" / "a" / f"p{i}.png")
        names, ids, unnamed = [f"a/p{i}.png" for i in range(3)], [], rows
    pd.DataFrame({"first": [0, 1], "second": [2, 1]}).to_csv("numbers.csv", index=False)
    pd.DataFrame({"first": [names[0], names[1]], "second": [names[2], names[1]]}).to_csv(
        "names.csv", index=False
    )
    assert main(["verify", "model", "numbers.csv", "--rows", unnamed, "--out", "a.csv"]) == 0
    assert main(["verify", "model", "names.csv", "--rows", rows, *ids, "--out", "b.csv"]) == 0
    found = pd.read_csv("a.csv")["distance"]
    assert found.equals(pd.read_csv("b.csv")["distance"])
    assert found[0] > found[1] == 0


@pytest.mark.parametrize("far", [0, 0.02, 0.3, 1])
def test_threshold_that_is_printed_decides_alike(model, far, capsys):
    y = load_iris().target
    pairs = np.random.default_rng(1).integers(150, size=(120, 2))
    table = pd.DataFrame({"first": pairs[:, 0], "second": pairs[:, 1]})
    table.assign(same=y[pairs[:, 0]] == y[pairs[:, 1]]).to_csv("pairs.csv", index=False)
    table.to_csv("new.csv", index=False)
    arguments = ["--rows", "rows.csv", "--out"]
    assert main(["verify", "model", "pairs.csv", *arguments, "a.csv", "--far", str(far)]) == 0
    threshold = capsys.readouterr().out.split("at distance ")[1].split()[0]
    assert main(["verify", "model", "new.csv", *arguments, "b.csv", "--threshold", threshold]) == 0
    decided = pd.read_csv("a.csv")
    assert decided["accepted"].equals(pd.read_csv("b.csv")["accepted"])
    different = decided[decided["same"] == 0]
    assert different["accepted"].mean() <= far
    # The next of the different ones would be too many.
    rank = decided.loc[decided["accepted"] == 0, "distance"].min()
    assert far == 1 or (different["distance"] <= rank).mean() > far


def test_where_different_ones_coincide_no_threshold_is_made_up(model, capsys):
    pd.DataFrame({"first": [0, 1, 2], "second": [0, 1, 2], "same": [1, 0, 1]}).to_csv(
        "pairs.csv", index=False
    )
    assert main(["verify", "model", "pairs.csv", "--rows", "rows.csv", "--out", "o.csv"]) == 0
    assert "no threshold keeps this rate" in capsys.readouterr().out
    assert "accepted" not in pd.read_csv("o.csv")
