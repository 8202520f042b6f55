"""Saved models from the command line: compare --save, embed, search, verify."""

import contextlib
import errno
import io
import os
import shlex
import shutil
import signal
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers.commands import vectors_of
from helpers.faults import full_disk
from PIL import Image
from sklearn import datasets
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import metriclearn
from metriclearn import LMNN, RCA
from metriclearn.cli import _compare, _embed, _search, _verify, main
from metriclearn.cli._main import _parser
from metriclearn.cli._search_page import render_search
from metriclearn.compare import read_rows
from metriclearn.compare._sources._unlabeled import NewRows
from metriclearn.images import Features, ImagePaths, ImageReader
from metriclearn.neighbors import ExactSearch, RetrievalIndex


def mean_color(pixels):
    return pixels.mean(axis=(1, 2))


@pytest.fixture
def model(here):
    """A model of iris in ./model, its rows in ./rows.csv, and the estimator."""
    X, y = load_iris(return_X_y=True, as_frame=True)
    fitted = make_pipeline(StandardScaler(), LMNN()).fit(X.to_numpy(), y)
    metriclearn.save(fitted, "model")
    X.to_csv("rows.csv", index=False)
    return fitted


def test_from_a_folder_of_photos_to_vectors_and_neighbors(here, capsys):
    rng = np.random.default_rng(0)
    for k, name in enumerate("ab"):
        (here / "photos" / name).mkdir(parents=True)
        for i in range(4):
            pixels = rng.integers(0, 60, (20, 30, 3), dtype=np.uint8)
            pixels[..., k] += 120
            Image.fromarray(pixels).save(here / "photos" / name / f"{i}.png")
    photos = ImagePaths.from_folder("photos")
    model = make_pipeline(Features("test_cli_models:mean_color", image_size=16), RCA())
    sys.modules.setdefault("test_cli_models", sys.modules[__name__])
    model.fit(photos, photos.labels)
    metriclearn.save(model, "model")
    assert main(["embed", "model", "photos", "--out", "e.parquet"]) == 0
    assert pd.read_parquet("e.parquet")["id"].tolist() == list(photos.names)
    assert np.array_equal(vectors_of("e.parquet"), model.transform(photos).astype("float32"))
    shutil.copy("photos/a/1.png", "asked.png")
    capsys.readouterr()
    assert main(["search", "model", "photos", "asked.png", "-k", "3", "--report", "s.html"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "asked.png:"
    assert lines[1].split()[1:] == ["a/1.png", "a"]
    page = (here / "s.html").read_text()
    assert page.count("data:image/jpeg") == 4
    assert "<script" not in page
    pairs = ["photos/a/0.png,photos/a/1.png,1", "photos/a/0.png,photos/b/1.png,0"]
    lines = ["first,second,same", *pairs]
    (here / "pairs.csv").write_text("\n".join(lines))
    assert main(["verify", "model", "pairs.csv", "--far", "0.5"]) == 0
    assert "equal error rate: 0.00%" in capsys.readouterr().out
    # A photo that was changed is no part of a run that was stopped before; hidden ones are none.
    options = SimpleNamespace(model="model", source="photos")
    shutil.copytree("photos/a", "photos/.checkpoints")
    assert len(read_rows("photos")) == 8
    before = _embed._fingerprint(options, read_rows("photos"))
    shutil.copy("photos/b/0.png", "photos/a/0.png")
    assert _embed._fingerprint(options, read_rows("photos")) != before


def test_photos_may_have_names_that_are_no_text(here, capsys):
    (here / "photos").mkdir()
    for k, name in enumerate([b"a.png", b"\xff.png"]):
        try:
            with open(b"photos/" + name, "wb") as stream:
                Image.new("RGB", (9, 9), (99 * k, 9, 9)).save(stream, "PNG")
        except OSError:
            pytest.skip("this file system has no such names")
    sys.modules.setdefault("test_cli_models", sys.modules[__name__])
    metriclearn.save(Features("test_cli_models:mean_color", image_size=16), "model")
    assert main(["embed", "model", "photos", "--out", "e.parquet"]) == 0
    assert pd.read_parquet("e.parquet")["id"].tolist() == ["a.png", "\\udcff.png"]
    assert main(["search", "model", "photos", "photos", "-k", "1"]) == 0
    assert len(ImageReader(4, cache=here / "kept").load(list((here / "photos").iterdir()))) == 2


@pytest.mark.parametrize("suffix", ["npy", "parquet"])
def test_embedding_a_table_agrees_to_the_bit(model, suffix):
    assert main(["embed", "model", "rows.csv", "--out", f"e.{suffix}"]) == 0
    found = np.load("e.npy") if suffix == "npy" else vectors_of("e.parquet")
    assert np.array_equal(found, model.transform(load_iris().data))
    if suffix == "parquet":
        index = RetrievalIndex.from_parquet("e.parquet")
        assert index.search(found[:1].astype("float32"), 1)[1].tolist() == [[0]]


def test_stopped_embedding_goes_on(model, here, monkeypatch):
    from metriclearn.cli import _embed, _model

    for module in (_embed, _model):
        monkeypatch.setattr(module, "BLOCK", 40)
    calls = []
    plain = _embed.embed_block

    def stopping(*given):
        calls.append(given[2])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return plain(*given)

    monkeypatch.setattr(_embed, "embed_block", stopping)
    assert main(["embed", "model", "rows.csv", "--out", "e.npy"]) == 130
    assert not (here / "e.npy").exists()
    assert main(["embed", "model", "rows.csv", "--out", "e.npy"]) == 0
    assert [call.start for call in calls] == [0, 40, 80, 80, 120]
    assert np.array_equal(np.load("e.npy"), model.transform(load_iris().data))
    assert sorted(file.name for file in here.iterdir()) == ["e.npy", "model", "rows.csv"]


@pytest.mark.parametrize("suffix", ["npy", "parquet"])
def test_a_full_disk_is_one_line_and_leaves_the_blocks_to_go_on_from(
    model, here, monkeypatch, capsys, suffix
):
    from metriclearn.cli import _embed, _model

    for module in (_embed, _model):
        monkeypatch.setattr(module, "BLOCK", 40)
    before = sorted(here.iterdir())
    for limit, n_blocks in ((100, 0), (2000, 4)):
        with full_disk(limit):
            assert main(["embed", "model", "rows.csv", "--out", f"e.{suffix}"]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "File too large" in error
        assert len(list(here.rglob("*.npy"))) == n_blocks
        assert (sorted(here.iterdir()) == before) == (n_blocks == 0)
    assert main(["embed", "model", "rows.csv", "--out", f"e.{suffix}"]) == 0
    assert sorted({*here.iterdir()} - {*before}) == [here / f"e.{suffix}"]


def test_search_finds_what_the_model_says(model, here, capsys):
    Z = model.transform(load_iris().data)
    apart = np.linalg.norm(Z - Z[17], axis=1)
    assert main(["search", "model", "rows.csv", "17", "-k", "4"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "row 17:"
    nearest = np.argsort(apart, kind="stable")[1:5]
    assert [int(line.split()[1]) for line in lines[1:]] == nearest.tolist()
    pd.read_csv("rows.csv").iloc[[3, 60]].to_csv("asked.csv", index=False)
    assert (
        main(["search", "model", "rows.csv", "asked.csv", "-k", "1000", "--report", "s.html"]) == 0
    )
    assert capsys.readouterr().out.count("\n") == 2 * 151 + 1
    page = (here / "s.html").read_text(encoding="utf-8")
    assert "sepal length" in page
    assert page.count("<section>") == page.count("The query") == 2
    assert page.count("<tr>") == 2 * (1 + 1 + 150)  # names of columns, the query, the gallery
    assert "nearest first" in page


def test_a_file_of_what_was_found_has_every_query_and_every_digit(model, here, capsys):
    X = load_iris(as_frame=True).data
    asked = X.iloc[::5]
    asked.to_csv("asked.csv", index=False)
    line = ["search", "model", "rows.csv", "asked.csv", "-k", "3", "--out", "found.csv"]
    assert main(line) == 0
    assert "10 more queries; --out has them all" in capsys.readouterr().out
    search = ExactSearch(model.transform(X.to_numpy()))
    distances, rows = search.search(model.transform(asked.to_numpy()), 3)
    found = pd.read_csv("found.csv", dtype={"distance": str})  # Python's float reads every digit
    assert list(found) == ["query", "place", "found", "distance"]
    assert found["query"].tolist() == np.repeat(np.arange(30), 3).tolist()
    assert found["place"].tolist() == [1, 2, 3] * 30
    assert found["found"].tolist() == np.ravel(rows).tolist()
    assert list(map(float, found["distance"])) == np.ravel(distances).tolist()
    assert main(["search", "model", "rows.csv", "17", "-k", "2", "--out", "one.csv"]) == 0
    assert pd.read_csv("one.csv")["query"].tolist() == [17, 17]


def test_a_table_that_names_images_is_kept_used_and_searched_by_its_other_columns(here, capsys):
    X, y = load_iris(return_X_y=True, as_frame=True)
    names = [f"{k}.jpg" for k in range(len(X))]
    X.assign(file=names, kind=y).to_csv("flowers.csv", index=False)
    line = "compare flowers.csv --target kind --drop file --learners euclidean,lda --folds 2"
    line += " --effort quick --save kept --save-learner euclidean"
    assert main(line.split()) == 0
    assert main(["embed", "kept", "flowers.csv", "--out", "e.npy"]) == 0
    vectors = np.load("e.npy")  # no pickle: numbers, though a file holds text
    assert np.array_equal(vectors, X.to_numpy())
    capsys.readouterr()
    assert main(["search", "kept", "flowers.csv", "3", "-k", "2"]) == 0
    near = ExactSearch(X.to_numpy()).search(X.to_numpy()[[3]], 3)[1][0]
    found = [int(line.split()[1]) for line in capsys.readouterr().out.splitlines()[1:]]
    assert found == [row for row in near if row != 3][:2]


@pytest.mark.parametrize("name", ["wine", "digits"])
def test_built_in_rows_are_embedded_and_searched_by_their_name(here, capsys, name):
    line = f"compare {name} --learners euclidean,lda --folds 2 --effort quick --save kept"
    assert main([*line.split(), "--save-learner", "lda"]) == 0
    assert main(["embed", "kept", name, "--out", "e.npy"]) == 0
    rows = getattr(datasets, f"load_{name}")(as_frame=name == "wine").data
    own = metriclearn.load("kept").transform(rows)
    np.testing.assert_allclose(np.load("e.npy"), own, atol=1e-4)  # digits in float32
    capsys.readouterr()
    assert main(["search", "kept", name, "0", "-k", "1"]) == 0
    assert main(["search", "kept", "absent", "0"]) == 2


@pytest.mark.parametrize("options", ["", "--features", "--image-shape 4x4"])
def test_a_column_of_text_may_be_dropped_beside_vectors_or_categories(here, capsys, options):
    rng, kinds = np.random.default_rng(0), np.repeat(["a", "b", "c"], 20)
    vectors = rng.standard_normal((60, 16)) + 2 * np.repeat(np.eye(3, 16), 20, axis=0)
    frame = pd.DataFrame(vectors).add_prefix("v")
    if not options:
        frame["color"] = rng.choice(["red", "blue"], 60)
    frame["kind"] = kinds
    frame.to_csv("plain.csv", index=False)
    frame.assign(file=[f"{k}.jpg" for k in range(60)]).to_csv("named.csv", index=False)
    for name, dropped in (("plain", ""), ("named", "--drop file")):
        line = (
            f"compare {name}.csv --target kind {dropped} {options} --learners cosine,lda --folds 2"
        )
        assert main([*line.split(), "--save", f"kept_{name}", "--save-learner", "lda"]) == 0
        assert main(["embed", f"kept_{name}", "named.csv", "--out", f"{name}.npy"]) == 0
    assert np.array_equal(np.load("plain.npy"), np.load("named.npy"))


def test_the_page_of_a_search_says_what_is_right_by_more_than_color():
    X, labels = np.arange(6.0).reshape(3, 2), np.array(["a_b", "a_b", "<c>"])
    gallery = NewRows(X, np.arange(3), labels)
    page = render_search(gallery, None, 0, np.array([[1.0, 2.0]]), np.array([[1, 2]]))
    assert "✓ a_<wbr>b" in page
    assert "✗ &lt;c&gt;" in page
    assert "></th>" not in page
    unlabeled = NewRows(X[:1], np.arange(1))
    page = render_search(gallery, unlabeled, None, np.array([[1.0]]), np.array([[1]]))
    assert "✓" not in page
    assert "✗" not in page


BAD = [
    (["embed", "nothing", "rows.csv", "--out", "e.npy"], "there is no saved model"),
    (["embed", "model", "nothing.csv", "--out", "e.npy"], "nothing.csv: no such file"),
    (["embed", "model", "rows.csv", "--out", "e.txt"], "must end in .npy or .parquet"),
    (["embed", "model", "rows.csv", "--out", "no/e.npy"], "there is no folder"),
    (["embed", "model", "narrow.csv", "--out", "e.npy"], "the model does not take these rows"),
    (["search", "model", "rows.csv", "200"], "has rows 0 to 149"),
    (
        ["embed", "model", "photo.jpg", "--out", "e.npy"],
        "images, and it was learned from rows of 4",
    ),
    (["embed", "model", "word.csv", "--out", "e.npy"], "column 'b' holds 'wide' in row 1 (from 0)"),
    (["embed", "model", "gap.csv", "--out", "e.npy"], "column 'd' holds '' in row 0 (from 0)"),
    (["embed", "model", "imaginary.npy", "--out", "e.npy"], "X must hold numbers, got complex128"),
    (["search", "model", "rows.csv", "3", "--out", "e.npy"], "must end in .csv"),
    (
        ["search", "model", "rows.csv", "3", "--out", "e.csv", "--report", "e.csv"],
        "would overwrite --report",
    ),
    (["verify", "model", "rows.csv"], "has no column first and no column second"),
    (["verify", "model", "pairs.csv", "--rows", "rows.csv"], "line 3: same is 'maybe'"),
    (["verify", "model", "far.csv", "--rows", "rows.csv"], "'150'"),
    (["verify", "model", "far.csv"], "images not found"),
    (["verify", "model", "far.csv", "--far", "2"], "not between 0 and 1"),
    (["verify", "model", "far.csv", "--threshold", "nan"], "is not a distance from 0 on"),
    (["verify", "model", "far.csv", "--threshold=-1"], "is not a distance from 0 on"),
    (["verify", "model", "odd.csv", "--rows", "rows.csv"], "1 item not found in --rows: '²'"),
    (["verify", "model", "odd.csv", "--ids", "id"], "--ids names a column of --rows"),
    (["verify", "model", "odd.csv", "--rows", "rows.csv", "--ids", "id"], "no such column"),
    (["verify", "model", "odd.csv", "--rows", "rows.csv", "--far", "0.1"], "has no column same"),
    (["verify", "model", "odd.csv", "--rows", "rows.csv", "--out", "o.xlsx"], "must end in .csv"),
    (["search", "model", "rows.csv", "²"], "no such file"),
    (["compare", "wine", "--save-learner", "rca"], "--save-learner needs --save"),
    (["compare", "wine", "iris", "--save", "m"], "there are several"),
    (["compare", "wine", "--save", ""], "--save needs the name"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_input_is_one_line(model, here, capsys, arguments, message):
    (here / "narrow.csv").write_text("a,b\n1,2\n3,4\n")
    (here / "pairs.csv").write_text("first,second,same\n0,1,1\n1,2,maybe\n")
    (here / "odd.csv").write_text("first,second\n0,²\n")
    (here / "word.csv").write_text("a,b,c,d\n1,2,3,4\n1,wide,3,4\n")
    (here / "gap.csv").write_text("a,b,c,d\n1,2,3,\n1,2,3,4\n")
    (here / "photo.jpg").write_bytes(b"a picture")
    np.save("imaginary.npy", np.full((3, 4), 1j))
    (here / "far.csv").write_text("first,second,same\n0,150,1\n1,2,0\n")
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
    assert not list(here.glob(".*"))


def test_saved_model_with_a_changed_bit_is_one_line(model, here, capsys):
    file = next((here / "model").glob("*.skops"))
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)
    assert main(["embed", "model", "rows.csv", "--out", "e.npy"]) == 2
    assert "damaged" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["embed", "search", "verify"])
def test_help_has_examples_and_exit_codes(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    text = capsys.readouterr().out
    assert "examples:" in text
    assert "Exit codes" in text


@pytest.mark.parametrize("columns", [60, 80])
@pytest.mark.parametrize("command", ["compare", "embed", "search", "verify", "doctor"])
def test_help_fits_the_terminal(command, columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= columns


@pytest.mark.parametrize("arguments", [["search", "m", "no where " * 20, "q"], ["f" + "o o" * 40]])
def test_errors_are_broken_between_words_on_a_terminal(arguments, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with contextlib.suppress(SystemExit):
        main(arguments)
    error = capsys.readouterr().err
    assert max(map(len, error.splitlines())) <= 60
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    with contextlib.suppress(SystemExit):
        main(arguments)
    assert capsys.readouterr().err.split() == error.split()


@pytest.mark.parametrize("columns", [50, 80, 200])
@pytest.mark.parametrize("command", [_compare, _embed, _search, _verify])
def test_examples_of_the_help_can_be_copied(command, columns, capsys, monkeypatch):
    """However narrow the terminal, a shell reads them as they are meant; the parser knows them."""
    monkeypatch.setenv("COLUMNS", str(columns))
    with pytest.raises(SystemExit):
        main([command.__name__.rpartition("_")[2], "--help"])
    printed = capsys.readouterr().out.partition("\nexamples:\n")[2].partition("\n\n")[0]
    examples = [
        shlex.split(line, comments=True) for line in printed.replace("\\\n", " ").splitlines()
    ]
    wanted = command.EXAMPLES.partition("examples:\n")[2].partition("\n\n")[0]
    assert [words for words in examples if words] == [
        shlex.split(line, comments=True) for line in wanted.splitlines()
    ]
    for words in filter(None, examples):
        assert words.pop(0) == "metriclearn"
        _parser().parse_args(words)


# What a command reads is never written over, and its output may go wrong


COMMANDS = {
    "embed": ("embed model rows.npy --out {}", ["rows.npy", "./rows.npy"]),
    "search": ("search model rows.npy 3 --report {}", ["rows.npy"]),
    "search by rows": ("search model rows.npy other.npy --report {}", ["rows.npy", "other.npy"]),
    "verify": ("verify model pairs.csv --rows rows.npy --out {}", ["rows.npy", "pairs.csv"]),
}


@pytest.fixture
def sources(model, here):
    rows = load_iris().data
    np.save("rows.npy", rows)
    np.save("other.npy", rows[:3])
    (here / "pairs.csv").write_text("first,second\n0,1\n0,99\n")
    (here / "photo.jpg").write_bytes(b"a picture")
    return here


@pytest.mark.parametrize("command", COMMANDS)
def test_no_output_takes_the_place_of_what_is_read(sources, command, capsys):
    line, inputs = COMMANDS[command]
    before = {file: file.read_bytes() for file in sources.rglob("*") if file.is_file()}
    (sources / "link.npy").symlink_to("rows.npy")
    suffix = ".npy" if command == "embed" else ".csv"
    # A link to what is read, and a picture.
    for out in [*inputs, "link.npy", *([] if command == "embed" else ["photo.jpg"])]:
        assert main(line.format(out).split()) == 2
        assert "would overwrite" in capsys.readouterr().err
    assert main(line.format(f"model/new{suffix}").split()) == 2
    assert "is in the folder of the model" in capsys.readouterr().err
    assert {file: file.read_bytes() for file in before} == before


@pytest.mark.parametrize("command", COMMANDS)
def test_what_cannot_be_printed_or_written_is_one_line(sources, command, monkeypatch, capsys):
    class Full(io.StringIO):
        def flush(self):
            raise OSError(errno.ENOSPC, "No space left on device")

    new = "new.csv" if command == "verify" else "new.npy"
    line = COMMANDS[command][0].format(new)
    monkeypatch.setattr(sys, "stdout", Full())
    assert main(line.split()) == 2
    assert capsys.readouterr().err == "metriclearn: error: [Errno 28] No space left on device\n"
    assert (sources / new).exists()

    def removed(*args, **kwargs):
        raise OSError(errno.ENOENT, "No such file or directory", "gone/new.npy")

    monkeypatch.undo()
    monkeypatch.chdir(sources)
    monkeypatch.setattr(os, "replace", removed)
    assert main(line.split()) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_command_says_so_and_leaves_no_half_file(
    sources, command, number, monkeypatch, capsys
):
    monkeypatch.setattr(LMNN, "transform", lambda self, X: os.kill(os.getpid(), number))
    code = main(
        COMMANDS[command][0].format("new.csv" if command == "verify" else "new.npy").split()
    )
    monkeypatch.undo()
    assert code == (143 if number == signal.SIGTERM else 130)
    assert capsys.readouterr().err == "metriclearn: interrupted before anything was finished\n"
    assert not list(sources.glob("new.*"))
    assert not list(sources.glob(".new.*.part"))


def test_a_foreign_folder_of_blocks_is_not_read(sources, capsys):
    """Not text where the run's name should be, and a pipe where a block should be."""
    folder = sources / ".new.npy.blocks"
    folder.mkdir()
    (folder / "run").write_bytes(b"\xff\xfe")
    os.mkfifo(folder / "0.npy")
    assert main(["embed", "model", "rows.npy", "--out", "new.npy"]) == 0
    assert np.load("new.npy").shape == (150, 4)
