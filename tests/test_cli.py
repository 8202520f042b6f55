"""The command: files in, a table out, one line for bad input, nothing half-written."""

import builtins
import os
import pickle
import re
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_iris, load_wine

from metriclearn import __version__, cli
from metriclearn.compare import ComparisonResult
from metriclearn.compare import _run as run
from metriclearn.compare._protocol import run_task
from metriclearn.compare._sources._load import load_source

CHEAP = ["--learners", "euclidean,mahalanobis", "--n-jobs", "1", "--folds", "2"]


def compare(*arguments):
    return cli.main(["compare", *map(str, arguments), *CHEAP])


@pytest.fixture
def iris_frame():
    bunch = load_iris(as_frame=True)
    return bunch.data.assign(species=bunch.target_names[bunch.target])


def write_images(folder, *, n_classes=2, sizes=((8, 6),), mode="L", n_rows=4):
    rng = np.random.RandomState(0)
    for label in range(n_classes):
        (folder / f"class {label}").mkdir(parents=True)
        for i in range(n_rows):
            width, height = sizes[i % len(sizes)]
            shape = (height, width) if mode == "L" else (height, width, 3)
            pixels = (rng.rand(*shape) * 120 + 120 * label).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"class {label}" / f"{i}.png")
    return folder


# What goes in


def test_table_report_and_numbers(tmp_path, capsys):
    report, numbers = tmp_path / "r.html", tmp_path / "r.json"
    assert compare("iris", "--report", report, "--json", numbers) == 0
    printed = capsys.readouterr().out
    assert "iris: 150 rows, 4 features, 3 classes" in printed
    assert "3 classes are too few" in printed
    assert "3-NN accuracy" in printed
    assert "MAP@R" not in printed
    assert printed.index("Euclidean  ") < printed.index("Mahalanobis  ")
    assert f"wrote {report}" in printed
    result = ComparisonResult.from_json(numbers)
    assert result.run["command"].startswith("metriclearn compare iris --report ")
    assert "metriclearn compare iris" in report.read_text()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["r.html", "r.json"]


def test_both_protocols_side_by_side(tmp_path, capsys):
    y = np.repeat(np.arange(6), 6)
    X = np.random.RandomState(0).randn(36, 3) + 4 * y[:, None]
    np.savez(tmp_path / "six.npz", X=X, y=y)
    assert compare(tmp_path / "six.npz") == 0
    printed = capsys.readouterr().out
    for measure in ("3-NN accuracy", "Recall@1", "R-precision", "MAP@R"):
        assert measure in printed


def test_several_sources_are_ranked(tmp_path, iris_frame, capsys):
    iris_frame.to_csv(tmp_path / "flowers.csv", index=False)
    report, numbers = tmp_path / "r.html", tmp_path / "r.json"
    sources = ["wine", tmp_path / "flowers.csv", "iris", "--target", "species"]
    assert compare(*sources, "--report", report, "--json", numbers) == 0
    printed = capsys.readouterr().out
    assert re.search(r"Learner +Mean rank +wine +flowers +iris *\n", printed)
    assert "has the best mean rank" in printed
    assert "3 data sets: which distance?" in report.read_text()
    assert "critical_difference" in numbers.read_text()


def test_curves_are_printed(tmp_path, capsys):
    assert compare("iris", "--rows", "20,70", "--dimensions", "1,3") == 0
    printed = capsys.readouterr().out
    assert "3-NN accuracy % by training rows" in printed
    assert re.search(r"Learner +20 +70 *\n", printed)
    assert re.search(r"Learner +1 +3 *\n", printed)


def test_tuning_says_what_it_spends(tmp_path, capsys):
    report = tmp_path / "r.html"
    tune = ["--tune", "random", "--budget", "3", "--report", report]
    assert (
        cli.main(
            [
                *map(str, ["compare", "iris", "--folds", 2, "--n-jobs", 1]),
                *map(str, tune),
                "--learners",
                "lmnn,mahalanobis",
            ]
        )
        == 0
    )
    printed = " ".join(capsys.readouterr().out.split())
    assert "Tuning: random search, at most 3 fits for each learner in each fold" in printed
    assert "Tried" in printed
    assert "random search, at most 3 fits" in report.read_text()
    assert "n_neighbors=" in report.read_text()


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tables(tmp_path, iris_frame, suffix):
    path = tmp_path / f"flowers.{suffix}"
    if suffix == "csv":
        iris_frame.to_csv(path, index=False)
    else:
        iris_frame.to_parquet(path)
    source = load_source(path, target="species")
    X, y = load_iris(return_X_y=True)
    np.testing.assert_array_equal(source.X, X)
    assert list(np.unique(source.y, return_inverse=True)[1]) == list(y)
    assert source.feature_names == list(iris_frame.columns[:-1])
    assert source.name == "flowers"


def test_a_table_goes_through_the_whole_command(tmp_path, iris_frame, capsys):
    iris_frame.to_csv(tmp_path / "flowers.csv", index=False)
    report = tmp_path / "r.html"
    assert compare(tmp_path / "flowers.csv", "--target", "species", "--report", report) == 0
    assert "heaviest: " in report.read_text()
    assert "flowers: 150 rows" in capsys.readouterr().out


def test_yes_no_columns_and_whole_number_labels_are_taken(tmp_path):
    frame = pd.DataFrame({"a": [True, False] * 4, "b": range(8), "y": [0.0, 1.0] * 4})
    frame.to_csv(tmp_path / "t.csv", index=False)
    source = load_source(tmp_path / "t.csv", target="y")
    np.testing.assert_array_equal(source.X[:2], [[1, 0], [0, 1]])
    assert source.y.dtype.kind == "i"


def test_arrays(tmp_path):
    X, y = load_wine(return_X_y=True)
    np.savez(tmp_path / "a.npz", X=X, y=y, more=[1])
    source = load_source(tmp_path / "a.npz")
    np.testing.assert_array_equal(source.X, X)
    assert source.kind == "tabular"


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 3)])
def test_arrays_of_images(tmp_path, shape):
    images = np.random.RandomState(0).randint(256, size=(8, *shape)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", X=images, y=list("aaaabbbb"))
    source = load_source(tmp_path / "a.npz")
    assert source.kind == "image"
    assert source.image_shape == shape
    assert source.X.dtype == np.float32
    np.testing.assert_array_equal(source.X.reshape(images.shape), images)


def test_image_folder(tmp_path):
    folder = write_images(tmp_path / "photos")
    (folder / "class 0" / "notes.txt").write_text("not an image")
    (folder / ".hidden").mkdir()
    source = load_source(folder)
    assert source.name == "photos"
    assert source.image_shape == (6, 8)
    assert sorted(np.unique(source.y)) == ["class 0", "class 1"]
    first = np.asarray(Image.open(folder / "class 0" / "0.png"))
    np.testing.assert_array_equal(source.X[0].reshape(6, 8), first)
    assert source.notes == ()


def test_images_of_several_sizes_and_colours_are_brought_to_one(tmp_path):
    folder = write_images(tmp_path / "photos", sizes=((200, 100), (100, 50)), mode="RGB")
    source = load_source(folder)
    assert source.image_shape == (32, 64, 3)
    assert source.notes == ("Images were resized to 64 × 32 pixels.",)


def test_images_go_through_the_whole_command(tmp_path, capsys):
    assert compare(write_images(tmp_path / "photos")) == 0
    assert "images of 6 × 8 pixels" in capsys.readouterr().out


def test_a_cluster_that_does_not_answer_is_one_line(capsys, monkeypatch):
    monkeypatch.setattr(cli, "CONNECT_SECONDS", 0.2)
    assert cli.main(["compare", "iris", "--dask", "tcp://127.0.0.1:9"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("metriclearn: error: --dask tcp://127.0.0.1:9: no scheduler answers")
    assert error.count("\n") == 1


# Bad input


def broken_csv(path, text):
    path.write_text(text)
    return path


def flowers(folder, change):
    frame = load_iris(as_frame=True).frame
    path = folder / "flowers.csv"
    change(frame).to_csv(path, index=False)
    return path


def set_value(frame, row, column, value):
    frame = frame.astype({column: object})
    frame.loc[row, column] = value
    return frame


def broken_images(folder):
    photos = write_images(folder / "photos")
    (photos / "class 1" / "2.png").write_bytes(b"\x89PNG but not really")
    return photos


def cut_images(folder):
    photos = write_images(folder / "photos", sizes=((60, 60),))
    whole = (photos / "class 1" / "2.png").read_bytes()
    (photos / "class 1" / "2.png").write_bytes(whole[: len(whole) // 2])
    return photos


def npz(folder, **arrays):
    np.savez(folder / "a.npz", **arrays)
    return folder / "a.npz"


def corrupt_npz(folder):
    (folder / "a.npz").write_bytes(b"PK\x03\x04 nothing")
    return folder / "a.npz"


def pickled_npz(folder):
    (folder / "a.npz").write_bytes(pickle.dumps({"X": 1}))
    return folder / "a.npz"


def one_class_folder(folder):
    return write_images(folder / "photos", n_classes=1)


def empty_class_folder(folder):
    photos = write_images(folder / "photos")
    (photos / "class 2").mkdir()
    return photos


BAD_INPUT = {
    "NaN": (
        lambda d: [flowers(d, lambda f: set_value(f, 17, "petal width (cm)", "")), "target"],
        "column 'petal width (cm)' holds NaN in row 17, counting from 0 (1 such row in all)",
    ),
    "infinity": (
        lambda d: [flowers(d, lambda f: set_value(f, 3, "petal width (cm)", "inf")), "target"],
        "column 'petal width (cm)' holds infinity in row 3",
    ),
    "strings": (
        lambda d: [flowers(d, lambda f: f.assign(colour="blue")), "target"],
        "column 'colour' holds 'blue', which is not a number; drop the column or encode it",
    ),
    "a date": (
        lambda d: [flowers(d, lambda f: set_value(f, 0, "petal width (cm)", "3 May")), "target"],
        "column 'petal width (cm)' holds '3 May', which is not a number",
    ),
    "one class": (
        lambda d: [flowers(d, lambda f: f.assign(target=1)), "target"],
        "target column 'target' has one class only",
    ),
    "class of one row": (
        lambda d: [flowers(d, lambda f: f.iloc[:101]), "target"],
        "target column 'target': class 2 has 1 row, at least 3 are needed; drop the class or",
    ),
    "fewer rows than neighbours": (
        lambda d: [flowers(d, lambda f: f.iloc[[0, 1, 50, 51]]), "target"],
        "class 0 has 2 rows",
    ),
    "all unique labels": (
        lambda d: [flowers(d, lambda f: f.assign(id=[f"n{i}" for i in range(150)])), "id"],
        "target column 'id' has a different label in every one of its 150 rows",
    ),
    "continuous labels": (
        lambda d: [flowers(d, lambda f: f), "petal width (cm)"],
        "target column 'petal width (cm)' holds continuous numbers (22 distinct",
    ),
    "missing label": (
        lambda d: [flowers(d, lambda f: set_value(f, 9, "target", "")), "target"],
        "target column 'target' has no label in row 9",
    ),
    "missing target column": (
        lambda d: [flowers(d, lambda f: f.assign(species=f.target)), "specis"],
        "no column 'specis'; did you mean 'species'? There are: sepal length (cm), ",
    ),
    "capital letter": (
        lambda d: [flowers(d, lambda f: f.assign(Species=f.target)), "SPECIES"],
        "no column 'SPECIES'; did you mean 'Species'?",
    ),
    "semicolons": (
        lambda d: [broken_csv(d / "e.csv", "a;y\n1;2\n"), "y"],
        "e.csv: a .csv file has commas between its columns, this one has ';'",
    ),
    "no target": (
        lambda d: [flowers(d, lambda f: f)],
        "say which column holds the labels with --target; there are: sepal length (cm), ",
    ),
    "target of a built-in": (lambda d: ["iris", "y"], "iris has its labels built in"),
    "empty file": (lambda d: [broken_csv(d / "e.csv", ""), "y"], "e.csv: the file is empty"),
    "blank file": (
        lambda d: [broken_csv(d / "e.csv", "\n\n"), "y"],
        "e.csv: cannot be read as csv",
    ),
    "header alone": (
        lambda d: [broken_csv(d / "e.csv", "a,y\n"), "y"],
        "the file has a header and no rows",
    ),
    "label alone": (
        lambda d: [broken_csv(d / "e.csv", "y\n1\n2\n"), "y"],
        "'y' is the only column; features are needed beside it",
    ),
    "ragged csv": (
        lambda d: [broken_csv(d / "e.csv", "a,y\n1,2\n1,2,3,4\n"), "y"],
        "e.csv: cannot be read as csv",
    ),
    "no parquet": (
        lambda d: [broken_csv(d / "e.parquet", "text"), "y"],
        "e.parquet: cannot be read as parquet",
    ),
    "broken image": (broken_images, "2.png: the image cannot be read ("),
    "image cut off": (cut_images, "2.png: the image cannot be read ("),
    "one class folder": (one_class_folder, "needs one sub-folder of images per class, at least 2"),
    "empty class folder": (empty_class_folder, "class 2: no images for this class"),
    "pickled objects": (
        lambda d: npz(d, X=np.array([[1], ["a"]], dtype=object), y=[0, 1]),
        "holds pickled Python objects, which may run code when read, and is refused",
    ),
    "a pickle": (pickled_npz, "holds pickled Python objects"),
    "no y": (lambda d: npz(d, X=[[1.0]]), "has no array 'y'; arrays X and y are needed"),
    "corrupt npz": (corrupt_npz, "a.npz: "),
    "lengths": (lambda d: npz(d, X=np.ones((4, 2)), y=[0, 1]), "y has 2 labels for the 4 rows"),
    "unknown name": (lambda d: "digit", "unknown source 'digit'; did you mean 'digits'?"),
    "no file": (lambda d: d / "no.csv", "no.csv: no such file or folder"),
    "unknown suffix": (lambda d: broken_csv(d / "a.xls", "x"), "must be .csv, .parquet or .npz"),
}


@pytest.mark.parametrize(("make", "message"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_bad_input_is_one_line_and_nothing_is_written(tmp_path, capsys, make, message):
    made = make(tmp_path)
    source, *target = made if isinstance(made, list) else [made]
    outputs = tmp_path / "out"
    outputs.mkdir()
    arguments = ["--report", outputs / "r.html", "--json", outputs / "r.json"]
    if target:
        arguments += ["--target", *target]
    assert compare(source, *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("metriclearn: error: ")
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert list(outputs.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--learners", "lmn"], "unknown learner 'lmn'; did you mean 'lmnn'?"),
        (["--report", "{}/no/r.html"], "there is no folder"),
        (["--json", "{}"], "is a folder"),
        (["--seed", "-1"], "is not between 0 and 2**32 - 1"),
        (["--seed", "x"], "argument --seed: 'x' is not a whole number"),
        (["--folds", "2.5"], "argument --folds: '2.5' is not a whole number"),
        (["--shift", "x"], "argument --shift: 'x' is not a whole number"),
        (["--folds", "1"], "1 is too few"),
        (["--n-jobs", "0"], "0 processes can do nothing"),
        (["--resume", "{}/no/fits"], "there is no folder"),
        (["--report", ""], "--report needs the name of a file or folder, got an empty one"),
        (["--resume", ""], "--resume needs the name"),
        (["--report", "{}/r", "--json", "{}/./r"], "r would overwrite --report; give another"),
        (["--report", "{}/r.html", "--resume", "{}/r.html"], "r.html would overwrite --report"),
        (["--learners", "lmnn,"], "unknown learner ''. There are: euclidean"),
        (["--n-jobs", "1", "--dask", "tcp://127.0.0.1:9"], "--n-jobs and --dask are two answers"),
        ([""], "the name of a source is empty"),
        (["iris"], "datasets has 'iris' twice"),
        (["--rows", "100,x"], "'100,x' is not a list of whole numbers, as in 100,300"),
        (["--rows", "1"], "rows: 1 training rows are too few for 3 classes"),
        (["--dimensions", "0"], "dimensions must be a list of whole numbers"),
        (["--shift", "4"], "shift: 3 classes are too few"),
        (["--tune", "bayes"], "argument --tune: invalid choice: 'bayes'"),
        (["--budget", "9"], "tune_budget='9' needs a search"),
        (["--tune", "random", "--budget", "1h"], "tune_budget='1h' must be a number of fits"),
        (["--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_bad_options_are_one_line_before_any_work(
    tmp_path, capsys, monkeypatch, arguments, message
):
    monkeypatch.setattr(run, "run_task", None)
    arguments = [argument.format(tmp_path) for argument in arguments]
    try:
        code = cli.main(["compare", "iris", *arguments])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    error = capsys.readouterr().err
    assert error.startswith("metriclearn: error: ")
    assert error.count("\n") == 1
    assert message in error


@pytest.mark.parametrize("argument", ["--report", "--json", "--resume"])
def test_the_data_are_never_overwritten(tmp_path, iris_frame, capsys, monkeypatch, argument):
    monkeypatch.chdir(tmp_path)
    iris_frame.to_csv("flowers.csv", index=False)
    before = (tmp_path / "flowers.csv").read_bytes()
    (tmp_path / "link.csv").symlink_to(tmp_path / "flowers.csv")
    for name in ("flowers.csv", tmp_path / "flowers.csv", "link.csv"):
        assert compare("flowers.csv", "--target", "species", argument, name) == 2
        assert "would overwrite flowers.csv; give another name" in capsys.readouterr().err
    assert (tmp_path / "flowers.csv").read_bytes() == before


@pytest.mark.parametrize("start", [0, 1])
def test_row_numbers_are_left_out(tmp_path, iris_frame, start):
    """Rows sorted by class would give the labels away."""
    frame = iris_frame.set_index(np.arange(start, start + 150))
    frame.to_csv(tmp_path / "numbered.csv")
    source = load_source(tmp_path / "numbered.csv", target="species")
    assert source.feature_names == list(iris_frame.columns[:-1])
    assert source.notes == ("The first column, which numbers the rows, was left out",)


def test_an_unnamed_column_that_numbers_nothing_is_kept(tmp_path, iris_frame):
    frame = iris_frame.set_index(np.arange(150)[::-1])
    frame.to_csv(tmp_path / "t.csv")
    source = load_source(tmp_path / "t.csv", target="species")
    assert source.X.shape == (150, 5)
    assert source.notes == ()


def test_a_file_that_may_not_be_written_is_found_out_before_any_work(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(run, "run_task", None)

    def refuse(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.write_text", refuse)
    assert compare("iris", "--report", tmp_path / "r.html") == 2
    assert "r.html: cannot be written (Permission denied)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "arguments"), [("rich", []), ("jinja2", ["--report", "{}/r.html"])]
)
def test_a_missing_extra_is_one_line(tmp_path, capsys, monkeypatch, module, arguments):
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    assert compare("iris", *[argument.format(tmp_path) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error == (
        f"metriclearn: error: {module} is not installed; it comes with: "
        f"pip install 'metriclearn[cli]'\n"
    )


def test_a_source_that_cannot_be_fetched_is_one_line(capsys, monkeypatch):
    def offline(**kwargs):
        raise OSError("no route\nto host")

    monkeypatch.setattr("sklearn.datasets.fetch_olivetti_faces", offline)
    assert compare("olivetti") == 2
    assert "that failed: no route to host\n" in capsys.readouterr().err


def test_a_failing_learner_fails_neither_the_table_nor_the_command(capsys, monkeypatch):
    def fail_one(task, X, y):
        record = run_task(task, X, y)
        if task.learner.key == "mahalanobis":
            record["error"] = "ValueError: no reason [at all]"
        return record

    monkeypatch.setattr(run, "run_task", fail_one)
    assert compare("iris") == 0
    printed = capsys.readouterr().out
    assert "failed" in printed
    assert "Mahalanobis: ValueError: no reason [at all]" in printed


# Ctrl-C


def test_an_interrupt_writes_what_is_finished(tmp_path, capsys, monkeypatch):
    finished = []

    def task_or_interrupt(task, X, y):
        if len(finished) == 3:
            raise KeyboardInterrupt
        finished.append(task)
        return run_task(task, X, y)

    monkeypatch.setattr(run, "run_task", task_or_interrupt)
    report, numbers = tmp_path / "r.html", tmp_path / "r.json"
    assert compare("iris", "--report", report, "--json", numbers) == 130
    assert "interrupted: 3 of 4 fits" in capsys.readouterr().out
    assert ComparisonResult.from_json(numbers).interrupted == "interrupted"
    assert "Stopped early" in report.read_text()


def test_what_is_finished_is_kept_for_the_next_run(tmp_path, capsys):
    assert compare("iris", "--resume", tmp_path / "fits") == 0
    assert "kept from" not in capsys.readouterr().out
    assert compare("iris", "--resume", tmp_path / "fits") == 0
    assert "4 of 4 fits were kept from an earlier run" in capsys.readouterr().out
    assert compare("iris", "--seed", "1", "--resume", tmp_path / "fits") == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert f"None of the 4 fits in {tmp_path / 'fits'} was of use" in printed


def test_an_interrupt_before_anything_writes_nothing(tmp_path, capsys, monkeypatch):
    def interrupt(task, X, y):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "run_task", interrupt)
    assert compare("iris", "--report", tmp_path / "r.html") == 130
    assert capsys.readouterr().err == "metriclearn: interrupted before anything was finished\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_real_interrupt_of_two_processes(tmp_path):
    numbers = tmp_path / "r.json"
    command = [sys.executable, "-m", "metriclearn", "compare", "digits", "--n-jobs", "2"]
    learners = ["--learners", "euclidean,mahalanobis,nca,contrastive", "--json", str(numbers)]
    process = subprocess.Popen(
        [*command, *learners],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "FORCE_COLOR": "1", "TTY_INTERACTIVE": "1", "COLUMNS": "160"},
    )
    shown = ""
    while not re.search(r"\b[1-9]\d*/40\b", shown):  # something is finished
        piece = process.stderr.read(200)
        assert piece, shown
        shown += piece
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in shown + err
    assert "fits are in this table" in out
    assert ComparisonResult.from_json(numbers).records


# The command itself


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"metriclearn {__version__}\n"


def test_module_runs_as_a_command():
    done = subprocess.run(
        [sys.executable, "-m", "metriclearn", "--version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == f"metriclearn {__version__}\n"


def test_help_needs_no_learner(capsys, monkeypatch):
    real_import = builtins.__import__

    def no_heavy(name, *args, **kwargs):
        assert name.partition(".")[0] not in ("torch", "sklearn", "pandas", "matplotlib")
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_heavy)
    with pytest.raises(SystemExit):
        cli.main(["compare", "--help"])
    assert "--report FILE" in capsys.readouterr().out
