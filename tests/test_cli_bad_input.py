"""Bad input to the command is one line, before any work, and nothing is half-written."""

import os
import pickle
import sys

import numpy as np
import pytest
from helpers.commands import compare, write_images
from sklearn.datasets import load_iris

from metriclearn import cli
from metriclearn.compare import _run as run


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
    for file in (photos / "class 1").iterdir():
        file.write_bytes(b"\x89PNG but not really")
    return photos


def cut_images(folder):
    photos = write_images(folder / "photos", sizes=((60, 60),))
    for file in (photos / "class 1").iterdir():
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
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
    "text for amounts": (
        lambda d: [
            flowers(d, lambda f: f.assign(color=["red", "blue"] * 75)),
            "color",
            "--task",
            "amounts",
        ],
        "which is no amount",
    ),
    "several faults at once": (
        lambda d: [flowers(d, lambda f: f.assign(target=1)), "target", "--drop", "color"],
        "target column 'target' has one class only (1): a metric is learned from rows of at least "
        "2 classes; drop: no column 'color'",
    ),
    "groups of nothing": (
        lambda d: [flowers(d, lambda f: f), "target", "--groups", "person"],
        "groups: no column 'person'. There are: sepal length (cm), ",
    ),
    "numbers of the rows alone": (
        lambda d: [flowers(d, lambda f: f[["target"]].assign(n=range(150))), "target"],
        "no column is left to compare by: 'n' is left out",
    ),
    "one class": (
        lambda d: [flowers(d, lambda f: f.assign(target=1)), "target"],
        "target column 'target' has one class only",
    ),
    "fewer rows than neighbors": (
        lambda d: [flowers(d, lambda f: f.iloc[[0, 1, 50, 51]]), "target"],
        "fewer than 2 classes have the 3 rows that are needed (class 0 has 2 rows, 1 has 2 rows)",
    ),
    "all unique labels": (
        lambda d: [flowers(d, lambda f: f.assign(id=[f"n{i}" for i in range(150)])), "id"],
        "target column 'id' has a different label in every one of its 150 rows",
    ),
    "missing target column": (
        lambda d: [flowers(d, lambda f: f.assign(species=f.target)), "specis"],
        "no column 'specis'; did you mean 'species'? There are: sepal length (cm), ",
    ),
    "capital letter": (
        lambda d: [flowers(d, lambda f: f.assign(Species=f.target)), "SPECIES"],
        "no column 'SPECIES'; did you mean 'Species'?",
    ),
    "no target": (
        lambda d: [flowers(d, lambda f: f)],
        "say which column holds the labels with --target, as in --target target; "
        "there are: sepal length (cm), ",
    ),
    "target of a built-in": (
        lambda d: ["iris", "y"],
        "iris comes with scikit-learn and has its own labels",
    ),
    "empty file": (lambda d: [broken_csv(d / "e.csv", ""), "y"], "e.csv: the file is empty"),
    "blank file": (
        lambda d: [broken_csv(d / "e.csv", "\n\n"), "y"],
        "e.csv: the file is empty",
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
        "e.csv: 1 line has more cells than the 2 columns of the table (line 3)",
    ),
    "no parquet": (
        lambda d: [broken_csv(d / "e.parquet", "text"), "y"],
        "e.parquet: cannot be read as parquet",
    ),
    "broken images": (broken_images, "4 files of 8 cannot be read as a picture: 'class 1/0.png', "),
    "images cut off": (cut_images, "4 files of 8 cannot be read as a picture: 'class 1/0.png', "),
    "one class folder": (one_class_folder, "needs one sub-folder of images per class, at least 2"),
    "empty class folder": (empty_class_folder, "class 2: no images for this class"),
    "pickled objects": (
        lambda d: npz(d, X=np.array([[1], ["a"]], dtype=object), y=[0, 1]),
        "holds pickled Python objects, which may run code when read",
    ),
    "a pickle": (pickled_npz, "holds pickled Python objects"),
    "no y": (lambda d: npz(d, X=[[1.0]]), "has no array 'y'; arrays X and y are needed"),
    "corrupt npz": (corrupt_npz, "a.npz: "),
    "lengths": (lambda d: npz(d, X=np.ones((4, 2)), y=[0, 1]), "y has 2 labels for the 4 rows"),
    "unknown name": (lambda d: "digit", "unknown source 'digit'; did you mean 'digits'?"),
    "no file": (lambda d: d / "no.csv", "no.csv: no such file or folder"),
    "an archive": (lambda d: broken_csv(d / "a.tar.gz", "x"), "a.tar.gz: is an archive; unpack it"),
    "one photo": (lambda d: broken_csv(d / "a.JPG", "x"), "a.JPG: is one image; give a folder"),
    "unknown suffix": (lambda d: broken_csv(d / "a.xls", "x"), "a file must be a table (.csv, "),
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
        (["--learners", "lmnn,"], "unknown learner ''. There are: majority"),
        (["--n-jobs", "1", "--dask", "tcp://127.0.0.1:9"], "--n-jobs and --dask are two answers"),
        ([""], "the name of a source is empty"),
        (["iris"], "datasets has 'iris' twice"),
        (["--rows", "100,x"], "'100,x' is not a list of whole numbers, as in 100,300"),
        (["--rows", "1"], "rows: 1 training rows are too few for 3 classes"),
        (["--dimensions", "0"], "dimensions=[0] must be a list of whole numbers"),
        (["--shift", "4"], "shift: 3 classes are too few"),
        (["--tune", "bayes"], "argument --tune: invalid choice: 'bayes'"),
        (["--budget", "9"], "tune_budget='9' needs a search"),
        (["--tune", "random", "--budget", "1h"], "tune_budget='1h' must be a number of fits"),
        (["--save", "{}/full"], "full' holds other files than a model's; give an empty or new"),
        (["--save", "{}/full/a.txt"], "full/a.txt' is a file, or leads nowhere; give a folder"),
        (["--save", "{}/full/a.txt/m"], "full/a.txt cannot be written to (Not a directory)"),
        (["--save", "{}", "--report", "{}/r.html"], "r.html is in the folder of the model"),
        (["--save", "{}/m", "--save-learner", "lmn"], "--save-learner lmn takes no part; there"),
        (["--save", "{}/m", "--save-learner", "itml"], "itml takes no part; there are majority"),
        (["--resume", "/proc/fits"], "resume /proc/fits: cannot be made ("),
        (["--json", "/proc/r.json"], "--json /proc/r.json: cannot be written ("),
        (["--color"], "unrecognized arguments: --color"),
    ],
)
def test_bad_options_are_one_line_before_any_work(
    tmp_path, capsys, monkeypatch, arguments, message
):
    monkeypatch.setattr(run, "run_task", None)
    if "full" in arguments[-1]:
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "a.txt").touch()
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


def test_a_file_that_may_not_be_written_is_found_out_before_any_work(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(run, "run_task", None)

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("metriclearn._files._open_scratch", refuse)
    assert compare("iris", "--report", tmp_path / "r.html") == 2
    assert "r.html: cannot be written (Permission denied)" in capsys.readouterr().err
    assert compare("iris", "--save", tmp_path / "new" / "model") == 2
    assert f"{tmp_path} cannot be written to (Permission denied)" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


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


def test_a_pipe_as_a_source_does_not_hang(tmp_path, capsys):
    for name in ("a.csv", "a.npz"):
        os.mkfifo(tmp_path / name)
        target = ["--target", "y"] if name == "a.csv" else []
        assert compare(tmp_path / name, *target) == 2
        assert "is neither a file nor a folder" in capsys.readouterr().err
    photos = write_images(tmp_path / "photos")
    os.mkfifo(photos / "class 0" / "pipe.png")
    assert compare(photos) == 0


def test_control_characters_are_spelled_out_in_errors(capsys):
    assert compare("\x1b]0;OWNED\x07x.csv") == 2
    error = capsys.readouterr().err
    assert "\\x1b]0;OWNED\\x07x.csv" in error
    assert "\x1b" not in error


def test_a_source_that_cannot_be_fetched_is_one_line(capsys, monkeypatch):
    def offline(**kwargs):
        raise OSError("no route\nto host")

    monkeypatch.setattr("sklearn.datasets.fetch_olivetti_faces", offline)
    assert compare("olivetti") == 2
    assert "that failed: no route to host\n" in capsys.readouterr().err


def test_a_cluster_that_does_not_answer_is_one_line(capsys, monkeypatch):
    monkeypatch.setattr("metriclearn.cli._compare.CONNECT_SECONDS", 0.2)
    assert cli.main(["compare", "iris", "--dask", "tcp://127.0.0.1:9"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("metriclearn: error: --dask tcp://127.0.0.1:9: no scheduler answers")
    assert error.count("\n") == 1
