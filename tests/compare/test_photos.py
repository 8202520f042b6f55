"""Photos in folders and lists: what the command makes of them."""

from pathlib import Path

import numpy as np
import pytest
from helpers.commands import write_images, write_photos
from helpers.optional import deep
from PIL import Image

from metriclearn.compare import compare
from metriclearn.compare._inspect import inspect
from metriclearn.compare._sources._load import load_source
from metriclearn.compare._sources._photos import PhotoRows


def test_one_odd_photo_changes_no_other(tmp_path):
    folder = write_photos(tmp_path / "photos")
    alone = load_source(folder)
    odd = np.random.default_rng(1).integers(0, 255, (120, 40, 3), dtype=np.uint8)
    Image.fromarray(odd).save(folder / "b" / "odd.png")
    source = load_source(folder)
    assert source.image_shape == alone.image_shape == (40, 60, 3)
    others = np.delete(source.X, np.flatnonzero(source.y == "b")[-1], axis=0)
    np.testing.assert_array_equal(others, alone.X)


def test_photos_are_upright(tmp_path):
    folder = write_images(tmp_path / "photos", sizes=((60, 40),), mode="RGB")
    for file in folder.glob("*/*.png"):
        image = Image.open(file)
        exif = image.getexif()
        exif[0x0112] = 6
        image.save(file, exif=exif)
    assert load_source(folder).image_shape == (60, 40, 3)


def test_files_that_cannot_be_read_are_left_out_and_named(tmp_path):
    folder = write_photos(tmp_path / "photos")
    for name in ("a/0.png", "c/3.png"):
        (folder / name).write_bytes((folder / name).read_bytes()[:100])
    source = load_source(folder)
    (finding,) = [finding for finding in source.findings if finding.kind == "unreadable"]
    # What is wrong is said by the checksums, between bytes that depend on the writer of the file.
    assert finding.text.startswith(
        "2 files of 36 cannot be read as a picture: 'a/0.png' and 'c/3.png'. The first: the image "
        "cannot be read (damaged between bytes "
    )
    assert finding.rows == (0, 15)
    assert len(source.y) == 34
    np.testing.assert_array_equal(source.rows, np.delete(np.arange(36), [0, 15]))


def test_a_class_without_photos_that_can_be_read_is_named(tmp_path):
    folder = write_photos(tmp_path / "photos", dict.fromkeys("abc", 4), size=(6, 4))
    for file in (folder / "b").iterdir():
        file.write_bytes(b"")
    text = load_source(folder).findings[0].text
    assert text.endswith("The first: the file is empty. Nothing is left of 1 class: 'b'.")


@pytest.mark.parametrize("names", ["numbers", "numbers with a broken file"])
def test_folders_called_by_numbers_are_classes(tmp_path, names):
    """Two photos of each of many people are no amounts, whatever the people are called."""
    folder = write_photos(tmp_path / "photos", {str(k): 3 for k in range(100, 130)}, size=(6, 4))
    if names != "numbers":
        (folder / "100" / "0.png").write_bytes(b"")
    source = load_source(folder)
    assert source.task == "classes"
    assert len(np.unique(source.y)) == 30


@pytest.mark.parametrize("broken", [False, True])
def test_copies_are_named_by_their_files(tmp_path, broken):
    folder = write_photos(tmp_path / "photos", dict.fromkeys("abc", 5), size=(6, 4))
    (folder / "b" / "copy.png").write_bytes((folder / "a" / "3.png").read_bytes())
    if broken:
        (folder / "a" / "0.png").write_bytes(b"")
    finding = next(each for each in load_source(folder).findings if each.kind == "duplicates")
    assert finding.text.endswith("Equal to an earlier one: 'b/copy.png'.")
    assert finding.rows == (10,)


@pytest.mark.parametrize("part", ["", "train/"])
def test_folders_within_folders_are_said_to_be_no_classes(tmp_path, part):
    kinds = {"fruit": ("apple", "pear"), "milk": ("oat", "soy")}
    for name, inner in kinds.items():
        write_photos(tmp_path / f"p/{part}{name}", dict.fromkeys(inner, 4), size=(6, 4))
    source = load_source(tmp_path / "p")
    assert set(source.y) == set(kinds)
    assert "'apple', 'oat', 'pear' and 'soy' lie within them" in " ".join(source.notes)


@pytest.mark.parametrize("parts", [("train", "test"), ("train", "val", "test")])
def test_parts_of_a_download_are_understood(tmp_path, parts):
    for seed, part in enumerate(parts):
        write_photos(tmp_path / "photos" / part, dict.fromkeys("ab", 4), seed=seed)
    source = load_source(tmp_path / "photos")
    assert sorted(np.unique(source.y)) == ["a", "b"]
    assert len(source.y) == 8 * len(parts)
    assert f"The parts {', '.join(sorted(parts))} were put together" in " ".join(source.notes)


@pytest.mark.parametrize("split", ["split", "is_test"])
def test_the_split_of_a_list_is_taken_by_the_name_of_its_column(tmp_path, split):
    folder = write_photos(tmp_path / "photos", dict.fromkeys("ab", 4))
    names = sorted(file.relative_to(tmp_path).as_posix() for file in folder.glob("*/*"))
    rows = [f"{name},{name[7]},{k % 2}" for k, name in enumerate(names)]
    (tmp_path / "l.csv").write_text("\n".join(["path,label,is_test", *rows]))
    source = load_source(tmp_path / "l.csv", split=split)
    assert source.parts.tolist() == ["train", "test"] * 4
    with pytest.raises(ValueError, match="no column 'fold'"):
        load_source(tmp_path / "l.csv", split="fold")


@pytest.mark.parametrize("form", ["json", "frame"])
def test_a_table_of_the_names_of_photos_says_how_to_give_them(tmp_path, form):
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"path": [f"a/{k}.jpg" for k in range(12)], "label": list("abc") * 4})
    table.to_json(tmp_path / "t.json", orient="records")
    given = table if form == "frame" else str(tmp_path / "t.json")
    with pytest.raises(ValueError, match="'path' names photos: for these give a CSV file"):
        compare(given, "label")


def test_photos_deeper_in_the_folder_of_a_class_belong_to_it(tmp_path):
    folder = write_photos(tmp_path / "photos", dict.fromkeys("ab", 4))
    write_photos(folder / "a" / "more", {"sub": 3}, seed=5)
    assert np.sum(load_source(folder).y == "a") == 7


def test_classes_of_one_or_two_photos_are_searched_but_not_tested_on(tmp_path):
    source = load_source(write_photos(tmp_path / "photos", {"a": 6, "b": 6, "c": 1, "d": 2}))
    np.testing.assert_array_equal(source.queries, np.isin(source.y, ["a", "b"]))
    assert "small_classes" in [finding.kind for finding in source.findings]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("label", ["label", "species"])
def test_a_list_of_photos(tmp_path, separator, label):
    folder = write_photos(tmp_path / "photos")
    rows = [
        separator.join((file.parent.name, f"photos/{file.relative_to(folder).as_posix()}"))
        for file in sorted(folder.glob("*/*.png"))
    ]
    file = tmp_path / "list.csv"
    file.write_text("\n".join([separator.join((label, "path")), *rows]))
    source = load_source(file, None if label == "label" else label)
    np.testing.assert_array_equal(source.X, load_source(folder).X)
    assert (source.name, source.kind) == ("list", "photos")


def test_a_table_with_a_column_called_path_is_a_table(tmp_path):
    rows = "\n".join(f"{i % 2},{i},{i % 3}" for i in range(12))
    (tmp_path / "t.csv").write_text(f"label,path,b\n{rows}")
    assert load_source(Path(tmp_path / "t.csv"), "label").kind == "tabular"


def test_without_features_the_answer_says_that_pixels_were_compared(tmp_path):
    result = compare(
        write_photos(tmp_path / "photos"),
        learners=["euclidean", "lda", deep.DeepEmbedder("mlp", "contrastive", max_epochs=1)],
        n_folds=2,
        effort="quick",
        tune=False,
    )
    assert any("by their pixels" in note and "features=" in note for note in result.data.notes)
    assert "pretrained network" in result.answer("deep").caveat
    line = next(line for line in result.sentences() if line.startswith("Is a deep metric"))
    assert line.endswith(result.answer("deep").caveat)
    assert result.answer("learning").caveat == ""


def color_and_light(pixels):
    """A backbone: means and deviations of colors in quarters of the picture."""
    small = pixels[:, :224, :224].reshape(len(pixels), 2, 112, 2, 112, 3).astype(np.float32)
    return np.concatenate([small.mean((2, 4)), small.std((2, 4))], axis=-1).reshape(len(pixels), -1)


@pytest.fixture(scope="module")
def featured(tmp_path_factory):
    folder = write_photos(tmp_path_factory.mktemp("p") / "photos", dict.fromkeys("abcdefgh", 8))
    (folder / "a" / "0.png").write_bytes(b"nothing")
    return compare(folder, features=color_and_light, n_folds=2, effort="quick")


def test_features_are_compared_by_their_cosine_and_what_is_learned_on_them(featured):
    rows = {row.key: row for row in featured.rows()}
    assert set(rows) >= {"pixels", "cosine", "mahalanobis", "lda", "lmnn", "nca"}
    assert [row.error for row in rows.values()] == [None] * len(rows)
    assert featured.data.kind == "embeddings"
    assert featured.data.n_features == 24
    assert featured.data.notes[0] == "Features of color_and_light, 24 of each photo."
    assert featured.findings[0].kind == "unreadable"


def test_pixels_are_a_yardstick_and_win_nothing(featured):
    for measure in featured.measures:
        verdict = featured.verdict(measure)
        assert "Pixels" not in (verdict.winner, *(each.name for each in verdict.against))


def test_pixels_are_compared_small_and_shown_sharp():
    pictures = np.arange(2 * 40 * 64 * 3, dtype=np.int64).reshape(2, 40, 64, 3) % 251
    rows = PhotoRows(np.zeros((2, 4)), pictures.astype(np.uint8), None)
    assert rows.pixels.shape == (2, 20 * 32 * 3)
    blocks = pictures.reshape(2, 20, 2, 32, 2, 3).mean(axis=(2, 4)).astype(np.uint8)
    assert np.array_equal(rows.pixels, blocks.reshape(2, -1))
    assert rows.pictures.shape == (2, 40, 64, 3)


def test_the_first_card_asks_whether_training_beats_the_frozen_features(featured):
    (answer,) = featured.answers("closed")
    assert (answer.question, answer.against, answer.caveat) == ("frozen", "Cosine", "")
    assert featured.answer("frozen") == answer
    assert any(line.startswith("Is training worth it over frozen") for line in featured.sentences())


def test_rows_that_are_vectors_of_a_network_are_not_standardized(tmp_path):
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(8), 12)
    # One column of another scale: standardized columns would bring it down to the others.
    X = rng.normal(size=(8, 6))[y] + rng.normal(0, 0.5, (96, 6))
    X[:, 0] *= 5
    result = compare(X, y, features=True, learners=["cosine", "lda"], n_folds=2, tune=False)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    again = compare(unit, y, features=True, learners=["cosine", "lda"], n_folds=2, tune=False)
    for measure in result.measures:
        assert result.fold_scores("cosine", measure) == again.fold_scores("cosine", measure)
    made = result.make_estimator("lda").fit(X, y).transform(X)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1)
    np.savez(tmp_path / "e.npz", X=X, y=y)
    source = load_source(tmp_path / "e.npz", features=True)
    assert source.kind == "embeddings"
    np.testing.assert_array_equal(source.X, X)


@pytest.mark.parametrize(
    ("X", "features", "message"),
    [
        (np.ones((6, 2)), "timm/resnet18", "X holds no photos; give features=True"),
        ("wine", True, "leave features=True out"),
        ("photos", True, "say which network makes them"),
        ("photos", "no_such_thing", "backbone='no_such_thing' is not known"),
    ],
)
def test_features_that_cannot_be(tmp_path, X, features, message):
    if isinstance(X, str) and X == "photos":
        X = write_photos(tmp_path / "photos", dict.fromkeys("ab", 4))
    y = None if isinstance(X, str | Path) else [0, 0, 0, 1, 1, 1]
    with pytest.raises(ValueError, match=message):
        compare(X, y, features=features)


def problem_of_directions(noise, seed=0):
    """Vectors whose classes are told by small directions beside large ones that say nothing."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(12), 15)
    small = rng.normal(size=(12, 8))[y] + rng.normal(0, 0.5, (180, 8))
    return np.hstack([small, noise * rng.normal(size=(180, 8))]), y


def test_an_adapter_learns_what_the_frozen_features_hide():
    X, y = problem_of_directions(noise=4)
    learners = ["cosine", "adapter_proxy_anchor"]
    result = compare(X, y, features=True, learners=learners, n_folds=2)
    rows = {row.key: row for row in result.rows()}
    adapter, cosine = rows["adapter_proxy_anchor"], rows["cosine"]
    assert adapter.family == "linear"
    assert adapter.mean("accuracy") > cosine.mean("accuracy")


def test_an_adapter_that_won_is_made_and_fitted_again():
    """What a fold drew as its seed is none of the settings, which are alike in all folds."""
    X, y = problem_of_directions(noise=4)
    result = compare(X, y, features=True, learners=["adapter_supcon"], n_folds=3, effort="quick")
    assert (
        len({str(record.params) for record in result.records if record.protocol == "closed"}) == 1
    )
    embedder = result.make_estimator("adapter_supcon", protocol="closed")[-1]
    assert (embedder.module, embedder.random_state) == ("adapter", result.run.seed)
    assert result.fit_best(X, y).transform(X).shape == (len(X), 16)


def test_an_adapter_that_does_not_help_leaves_the_features_and_says_so():
    X, y = problem_of_directions(noise=0)
    # A network made these vectors already: nothing is left to learn.
    X = np.eye(12, 16)[y] + 1e-3 * np.random.default_rng(0).normal(size=(180, 16))
    labels = np.random.default_rng(1).permutation(y)
    result = compare(
        X, labels, features=True, learners=["cosine", "adapter_supcon"], n_folds=4, random_state=1
    )
    notes = [r.notes for r in result.records if r.learner == "adapter_supcon"]
    frozen = [any("left the features as they are" in note for note in each) for each in notes]
    assert any(frozen)
    for record, stayed in zip(
        [r for r in result.records if r.learner == "adapter_supcon"], frozen, strict=True
    ):
        if stayed and record.protocol == "open":
            twin = result.fold_scores("cosine", "map_at_r")[record.fold]
            assert record.scores["map_at_r"] == pytest.approx(twin)


def test_adapters_take_part_on_vectors_of_a_network_only():
    X, y = problem_of_directions(noise=1)
    with pytest.raises(ValueError, match="adapter_supcon"):
        compare(X, y, learners=["adapter_supcon"])


def test_copies_and_bursts_are_found_by_blocks_of_pixels():
    rng = np.random.default_rng(0)
    things = rng.integers(40, 200, size=(24, 32, 36, 3))  # six of each class, seen five times each
    photos = np.repeat(things, 5, axis=0) + rng.integers(-9, 10, size=(120, 32, 36, 3))
    photos[[7, 50]] = photos[[8, 8]]
    labels = np.repeat(np.arange(4), 30)
    sharp = inspect(photos.astype(np.float64) / 7, labels, is_image=True)  # no bytes
    found = inspect(photos.astype(np.uint8), labels, is_image=True)
    kinds = [finding.kind for finding in found.findings]
    assert kinds == [finding.kind for finding in sharp.findings]
    assert {"duplicates", "repeated_measurements"} <= set(kinds)
    np.testing.assert_array_equal(found.equal, sharp.equal)


def test_a_metric_of_columns_is_not_fitted_on_images(tmp_path):
    result = compare("wine", learners="euclidean,lda", n_folds=2)
    for name in "ab":
        (tmp_path / name).mkdir()
        for k in range(5):
            Image.new("L", (4, 4), k).save(tmp_path / name / f"{k}.png")
    with pytest.raises(ValueError, match="holds images, and the comparison was by columns"):
        result.fit_best(tmp_path)
