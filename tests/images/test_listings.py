"""Which images a folder or a CSV file lists: odd layouts, odd files, odd columns."""

import shutil

import numpy as np
import pytest
from helpers.commands import write_photos
from PIL import Image

from metriclearn.compare._sources._load import load_source
from metriclearn.compare._sources._photos import lists_images
from metriclearn.images import ImagePaths, ImageReader

COUNTS = dict.fromkeys("ab", 2)
NAMES = ["a/0.png", "a/1.png", "b/0.png", "b/1.png"]


@pytest.fixture
def folder(tmp_path):
    return write_photos(tmp_path / "photos", COUNTS, size=(6, 4))


def write_list(folder, head, rows, encoding="utf-8", newline="\n"):
    text = newline.join([head, *rows])
    (folder / "list.csv").write_bytes(text.encode(encoding))
    return folder / "list.csv"


@pytest.mark.parametrize(
    "name",
    [
        *("__MACOSX/photos/a/._0.png", "a/__MACOSX/0.png", "a/@eaDir/0.png/thumb.png"),
        *("a/.DS_Store", "a/._0.png", "a/Thumbs.db", "a/desktop.ini", ".git/x/0.png"),
        *("$RECYCLE.BIN/0.png", "System Volume Information/0.png", "README.txt", "a/notes.csv"),
    ],
)
def test_what_systems_and_people_put_beside_photos_is_no_photo(folder, name):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"no picture")
    assert ImagePaths.from_folder(folder).names.tolist() == NAMES


def test_suffixes_are_read_in_any_case(folder):
    (folder / "a" / "0.png").rename(folder / "a" / "0.PnG")
    assert len(ImagePaths.from_folder(folder)) == 4


@pytest.mark.parametrize("link", ["class", "folder", "circle", "file"])
def test_links_are_followed_once(folder, tmp_path, link):
    target = tmp_path / "linked"
    if link == "folder":
        target.symlink_to(folder)
    elif link == "class":
        target.mkdir()
        for name in COUNTS:
            (target / name).symlink_to(folder / name)
    else:
        target = folder
        places = {"circle": folder, "file": folder / "a" / "0.png"}
        (folder / "b" / "link.png").symlink_to(places[link])
    assert len(ImagePaths.from_folder(target)) == 4 + (link == "file")


@pytest.mark.parametrize("beside", ["annotations", "labels/more"])
def test_parts_of_the_data_may_have_folders_without_photos_beside_them(folder, tmp_path, beside):
    for part in ("Train", "test"):
        shutil.copytree(folder, tmp_path / "data" / part)
    (tmp_path / "data" / beside).mkdir(parents=True)
    (tmp_path / "data" / beside / "a.xml").write_text("x")
    images = ImagePaths.from_folder(tmp_path / "data")
    assert sorted(images.split) == ["test"] * 4 + ["train"] * 4
    assert set(images.labels) == {"a", "b"}


@pytest.mark.parametrize(
    "names",
    [
        {"train_set": "train", "test_set": "test"},
        {"01-Train": "train", "02-Test": "test"},
        {"images_train": "train", "val2017": "val"},
        {"trainset": "train", "validation images": "validation"},
        {"train": "train", "eval": "eval"},
        {"TrainImages": "train", "Holdout": "holdout"},
        {"trn": "trn", "tst": "tst"},
        {"trainval": "trainval", "testdata": "test"},
        {"probe": "probe", "reference": "reference"},
    ],
)
def test_parts_of_the_data_are_known_within_longer_names(folder, tmp_path, names):
    for name in names:
        shutil.copytree(folder, tmp_path / "data" / name)
    images = ImagePaths.from_folder(tmp_path / "data")
    assert set(images.labels) == {"a", "b"}
    assert set(images.split) == set(names.values())


@pytest.mark.parametrize("classes_of_train", [True, False])
def test_parts_without_classes_are_no_classes(folder, tmp_path, classes_of_train):
    data = tmp_path / "data"
    shutil.copytree(folder if classes_of_train else folder / "a", data / "train")
    shutil.copytree(folder / "b", data / "test")
    with pytest.raises(ValueError, match=r"data/test.*: no folders of classes"):
        ImagePaths.from_folder(data)
    shutil.copytree(folder / "a", data / "bus")  # a class called train, among others
    assert set(ImagePaths.from_folder(data).labels) == {"bus", "test", "train"}


def test_links_between_classes_are_followed_once(folder):
    (folder / "a" / "b").symlink_to(folder / "b")
    (folder / "b" / "a").symlink_to(folder / "a")
    (folder / "round").symlink_to(folder)
    images = ImagePaths.from_folder(folder)
    assert sorted(set(images.labels)) == ["a", "b"]
    assert len(images) == 8


def test_list_or_archive_in_place_of_a_folder_is_pointed_at(folder, tmp_path):
    shutil.rmtree(folder / "b")
    write_list(folder, "path,label", ["a/0.png,x", "a/1.png,y"])
    with pytest.raises(ValueError, match=r"is .*list\.csv meant"):
        ImagePaths.from_folder(folder)
    with pytest.raises(ValueError, match="is a file; give a folder, unpacked"):
        ImagePaths.from_folder(folder / "a" / "0.png")


def test_folder_in_a_folder_is_pointed_at(folder):
    with pytest.raises(ValueError, match=r"there are 1; is .*photos meant\?"):
        ImagePaths.from_folder(folder.parent)


def test_photos_in_no_folder_are_counted(tmp_path):
    write_photos(tmp_path, {"flat": 3}, size=(6, 4))
    with pytest.raises(ValueError, match=r"there are 0; 3 images are in none: list them .* CSV"):
        ImagePaths.from_folder(tmp_path / "flat")


def test_class_of_photos_in_another_format_says_so(folder):
    for file in (folder / "b").iterdir():
        file.rename(file.with_suffix(".HEIC"))
    with pytest.raises(ValueError, match=r"no images for this class.*\.heic is not read"):
        ImagePaths.from_folder(folder)


def test_photos_that_are_passed_over_are_a_finding(tmp_path):
    folder = write_photos(tmp_path / "photos", size=(6, 4))
    assert not load_source(folder).findings
    shutil.copy(folder / "a" / "0.png", folder / "loose.png")
    (folder / "b" / "new.heic").write_bytes(b"x")
    (finding,) = load_source(folder).findings
    assert finding.kind == "unreadable"
    assert "'b/new.heic' and 'loose.png'" in finding.text
    assert finding.text.startswith("2 pictures")


@pytest.mark.parametrize("name", ["äö ü", "日本", "c'd", "e,f", "g%20", "h#1"])
def test_names_of_any_letters(tmp_path, name):
    folder = write_photos(tmp_path / "photos", {name: 1, "z": 1}, size=(6, 4))
    assert set(ImagePaths.from_folder(folder).labels) == {name, "z"}
    assert load_source_of_list(folder, name).labels.tolist() == [name, "z"]


def load_source_of_list(folder, name):
    return ImagePaths.from_csv(
        write_list(folder, "path,label", [f'"{name}/0.png","{name}"', "z/0.png,z"])
    )


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tiff"])
def test_of_moving_pictures_the_first_is_read(tmp_path, suffix):
    frames = [Image.new("RGB", (6, 4), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / f"x.{suffix}", save_all=True, append_images=frames[1:])
    (pixels,) = ImageReader().load([tmp_path / f"x.{suffix}"])
    assert pixels[..., 0].min() > 240
    assert pixels[..., 2].max() < 15


def test_what_a_file_is_decides_not_what_it_is_called(tmp_path):
    Image.new("RGB", (6, 4), "red").save(tmp_path / "x.gif")
    (tmp_path / "x.gif").rename(tmp_path / "x.jpg")
    assert ImageReader().load([tmp_path / "x.jpg"]).shape == (1, 4, 6, 3)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (20_000, 2)])
def test_extreme_shapes_are_read(tmp_path, size):
    Image.new("L", size, 200).save(tmp_path / "x.png")
    (pixels,) = ImageReader(8).load([tmp_path / "x.png"])
    np.testing.assert_array_equal(pixels, 200)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_lists_of_windows(folder, encoding, newline):
    rows = [name.replace("/", "\\") + "," + name[0] for name in NAMES]
    file = write_list(folder, "path,label", rows, encoding, newline)
    assert ImagePaths.from_csv(file).names.tolist() == NAMES
    assert load_source_kind(file) == "photos"


def load_source_kind(file):
    try:
        return load_source(file).kind
    except ValueError as error:  # four photos are too few to be compared
        return "photos" if "class" in str(error) else str(error)


@pytest.mark.parametrize("head", ["photo,kind", "kind,photo,id"])
def test_a_column_of_files_is_found_by_what_is_in_it(folder, head):
    cells = [{"photo": name, "kind": name[0], "id": str(i)} for i, name in enumerate(NAMES)]
    rows = [",".join(cell[column] for column in head.split(",")) for cell in cells]
    images = ImagePaths.from_csv(write_list(folder, head, rows), label="kind")
    assert images.names.tolist() == NAMES
    assert images.labels.tolist() == ["a", "a", "b", "b"]


def test_photos_to_train_on_are_neither_queries_nor_gallery(folder):
    """As open-metric-learning's lists have it: blank where they are for training."""
    marks = ["train,,", "train,,", "validation,True,False", "validation,0.0,1.0"]
    rows = [f"{name},{name[0]},{mark}" for name, mark in zip(NAMES, marks, strict=True)]
    images = ImagePaths.from_csv(write_list(folder, "path,label,split,is_query,is_gallery", rows))
    assert images.is_query.tolist() == [False, False, True, False]
    assert images.is_gallery.tolist() == [False, False, False, True]


@pytest.mark.parametrize(
    ("column", "words", "read"),
    [
        ("Split", ["Train", "TEST"], ["train", "test"]),
        ("subset", ["trn", "tst"], ["trn", "tst"]),
        ("partition", ["train", ""], ["train", ""]),
        ("is_train", ["1", "0"], ["train", "test"]),
        ("IsTest", ["True", "false"], ["test", "train"]),
        ("subset", ["sepals", "petals"], None),  # says something else
        ("is_train", ["engine", "wagon"], None),
    ],
)
def test_columns_of_parts_are_known_by_what_is_in_them(folder, column, words, read):
    rows = [f"{name},{name[0]},{words[k % 2]}" for k, name in enumerate(NAMES)]
    images = ImagePaths.from_csv(write_list(folder, f"path,label,{column}", rows))
    assert (None if images.split is None else images.split.tolist()[:2]) == read


def test_a_column_of_parts_can_be_named(folder):
    rows = [f"{name},{name[0]},{k % 2}" for k, name in enumerate(NAMES)]
    file = write_list(folder, "path,label,is_test", rows)
    assert ImagePaths.from_csv(file, split="is_test").split.tolist() == ["train", "test"] * 2
    assert ImagePaths.from_csv(file, split="label").split.tolist() == ["a", "a", "b", "b"]
    with pytest.raises(ValueError, match="no column 'fold'"):
        ImagePaths.from_csv(file, split="fold")


@pytest.mark.parametrize("columns", ["IsQuery,Is_Gallery", "is query,isgallery"])
def test_queries_are_known_however_their_column_is_written(folder, columns):
    rows = [f"{name},{name[0]},{'yes,no' if k % 2 else 'no,yes'}" for k, name in enumerate(NAMES)]
    images = ImagePaths.from_csv(write_list(folder, f"path,label,{columns}", rows))
    assert images.is_query.tolist() == [False, True] * 2
    assert images.is_gallery.tolist() == [True, False] * 2


@pytest.mark.parametrize(
    ("head", "row", "encoding", "message"),
    [
        ("path,label", "a/0.png,é", "latin-1", "not encoded as UTF-8"),
        ("path,label", "a/0, 1.png,a", "utf-8", "more cells than the 2 columns in line 6"),
        ("path,path,label", "a/0.png,a/0.png,a", "utf-8", "2 columns are called 'path'"),
        ("path,label", ",a", "utf-8", "no path or no label in line 6"),
        ("path,thing,other", "a/0.png,a,b", "utf-8", "no column of labels"),
        ("path,label,is_query", "a/0.png,a,maybe", "utf-8", "true or false, got 'maybe'"),
        ("path,label", "a/0.png,nan", "utf-8", "no path or no label in line 6"),
        ("a/0.png,a", "a/0.png,a", "utf-8", "the first line names an image"),
        ("path,label,bbox", "a/0.png,a,1 2 3 4", "utf-8", "boxes in one column are not read"),
        ("path,label,x_1,x_2,y_1", "a/0.png,a,0,1,2", "utf-8", "column y_2 is missing"),
    ],
)
def test_lists_that_cannot_be_meant_are_one_error(folder, head, row, encoding, message):
    n_columns = head.count(",") + 1
    rows = [",".join([name] * (n_columns - 1) + [name[0]]) for name in NAMES]
    if "is_query" in head:
        rows = [f"{name},{name[0]},yes" for name in NAMES]
    with pytest.raises(ValueError, match=message):
        ImagePaths.from_csv(write_list(folder, head, [*rows, row], encoding))


def test_list_with_another_root_is_one_line(folder):
    rows = [f"{name},{name[0]}" for name in NAMES] * 3
    images = ImagePaths.from_csv(write_list(folder, "path,label", rows), folder="elsewhere")
    with pytest.raises(FileNotFoundError) as error:
        images.load()
    assert str(error.value).startswith("none of 12 images is there, for instance elsewhere/a/0.png")
    assert "\n" not in str(error.value)


def test_all_files_that_are_missing_are_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"2 images cannot be read(.|\n)*x\.png(.|\n)*y\.png"
    ):
        ImageReader(8).load([tmp_path / "x.png", tmp_path / "y.png"])


@pytest.mark.parametrize(
    ("head", "row"),
    [
        (",path,label", "{k},{name},{label}"),  # of pandas with its index
        ("idx,path,label", "{k},{name},{label}"),
        (" path , label ", "{name},{label}"),
        ("filepath,labels", "{name},{label}"),
        ("image,breed", "{name},{label}"),
        ("img_path,id,split", "{name},{label},train"),
        ("photo,x,y,w,h,kind", "{name},0,0,2,2,{label}"),
    ],
)
def test_columns_are_found_as_people_call_them(folder, head, row):
    rows = [row.format(k=k, name=name, label=name[0]) for k, name in enumerate(NAMES)]
    file = write_list(folder, head, [*rows, ""])
    images = ImagePaths.from_csv(file)
    assert images.names.tolist() == NAMES
    assert images.labels.tolist() == ["a", "a", "b", "b"]
    assert lists_images(file)


@pytest.mark.parametrize(
    ("head", "box"),
    [
        ("x_1,y_1,x_2,y_2", "1,2,4,3"),
        ("x1,y1,x2,y2", "1,2,4,3"),
        ("xmin,ymin,xmax,ymax", "1.0,2.0,4.0,3.0"),
        ("X_min,Y_min,X_max,Y_max", "1,2,4,3"),
        ("left,top,right,bottom", "1,2,4,3"),
        ("x,y,w,h", "1,2,3,1"),
        ("x,y,width,height", "1,2,3,1"),
    ],
)
def test_boxes_are_read_in_each_usual_form(folder, head, box):
    rows = [f"{NAMES[0]},a,{box}", f"{NAMES[1]},a,,,,"]
    images = ImagePaths.from_csv(write_list(folder, f"path,label,{head}", rows))
    np.testing.assert_array_equal(images.boxes, [[1, 2, 4, 3], [np.nan] * 4])


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ("0.1,0.1,0.9,0.8", "shares of the image; multiply"),
        ("0.25,0,1,1", "shares of the image"),
        ("4,0,1,1", "is empty"),
        ("1,,3,4", "lacks a number"),
    ],
)
def test_boxes_that_cannot_be_meant_are_one_error(folder, box, message):
    rows = [f"{NAMES[0]},a,0,0,6,4", f"{NAMES[1]},a,{box}"]
    with pytest.raises(ValueError, match=rf"of image 1, a/1.png, .*{message}"):
        ImagePaths.from_csv(write_list(folder, "path,label,x_1,y_1,x_2,y_2", rows))


def test_paths_may_be_relative_to_the_working_directory(folder, monkeypatch):
    (folder / "lists").mkdir()
    rows = [f"{name},{name[0]}" for name in NAMES]
    file = write_list(folder / "lists", "path,label", rows)
    monkeypatch.chdir(folder)
    assert ImagePaths.from_csv(file).load().shape[0] == 4
    monkeypatch.chdir(folder.parent)
    with pytest.raises(FileNotFoundError, match=r"(?s)4 images.*lists/a/0\.png: there is no such"):
        ImagePaths.from_csv(file).load()


def test_address_is_no_file(folder):
    images = ImagePaths(folder, ["https://example.com/a.jpg"])
    with pytest.raises(FileNotFoundError, match="an address; download it first"):
        images.load()
