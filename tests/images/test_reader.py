"""What is read of an image file is what a person sees."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers.pictures import broken, saved
from PIL import Image, ImageOps

import metriclearn
from metriclearn.images import ImagePaths, ImageReader
from metriclearn.images._regions import center_crop, random_crop


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("size", [None, 16, (30, 20)])
def test_images_are_read_upright(picture, tmp_path, orientation, suffix, size):
    image = Image.fromarray(picture)
    exif = image.getexif()
    exif[0x0112] = orientation
    file = saved(
        image, tmp_path / f"a.{suffix}", exif=exif, **({"quality": 100} if suffix == "jpg" else {})
    )
    with Image.open(file) as stored:
        upright = ImageOps.exif_transpose(stored).convert("RGB")
    if size is not None:
        height, width = (size, size) if size == 16 else size
        upright = ImageOps.fit(upright, (width, height), Image.Resampling.BICUBIC)
    read = ImageReader(size).read(file)
    assert read.shape == np.asarray(upright).shape
    assert np.abs(read.astype(int) - np.asarray(upright)).mean() < 3


@pytest.mark.parametrize(
    ("stored", "mode"),
    [
        (np.array([[0, 128, 255]], np.uint8), None),
        (np.array([[0, 128 * 257, 65535]], np.uint16), None),
        (np.array([[0, 128 * 257, 65535]], np.int32), None),
        (np.array([[0, 128, 255]], np.int32), None),
        (np.array([[0, 2055, 4095]], np.uint16), None),
        (np.array([[0, 2055, 4095]], np.int32), None),
        (np.array([[0, 128, 255]], np.uint16), None),
        (np.array([[0, 128 / 255, 1]], np.float32), None),
        (np.array([[0, 128, 255]], np.float32), None),
    ],
    ids=[
        *("8 bits", "16 bits", "16 in 32 bits", "8 in 32 bits"),
        *("12 in 16 bits", "12 in 32 bits", "8 in 16 bits", "shares", "floats of bytes"),
    ],
)
def test_every_depth_is_read_as_meant(tmp_path, stored, mode):
    file = saved(Image.fromarray(stored), tmp_path / "a.tif")
    assert ImageReader(mode="L").read(file).tolist() == [[0, 128, 255]]
    assert ImageReader().read(file).tolist() == [[[v] * 3 for v in (0, 128, 255)]]


@pytest.mark.parametrize(("most", "read"), [(1023, 255), (4095, 64), (16383, 16), (65535, 64)])
def test_white_is_what_a_tiff_says(tmp_path, most, read):
    pixels = Image.fromarray(np.array([[0, 1023]], np.uint16))
    file = saved(pixels, tmp_path / "a.tif", tiffinfo={281: most})
    assert ImageReader(mode="L").read(file).tolist() == [[0, read]]


@pytest.mark.parametrize("pixels", [[[-1.0, 3.0]], [[0.0, 300.0]], [[np.nan, 1.0]]])
def test_depths_that_mean_nothing_are_an_error(tmp_path, pixels):
    file = saved(Image.fromarray(np.array(pixels, np.float32)), tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"a\.tif.*pixels"):
        ImageReader().read(file)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_gray_that_stands_for_nothing_shows_white(tmp_path, dtype):
    file = saved(Image.fromarray(np.array([[0, 30]], dtype)), tmp_path / "a.png")
    data, chunk = file.read_bytes(), b"tRNS" + struct.pack(">H", 30)
    chunk = struct.pack(">I", 2) + chunk + struct.pack(">I", zlib.crc32(chunk))
    place = data.index(b"IDAT") - 4
    file.write_bytes(data[:place] + chunk + data[place:])
    assert ImageReader(mode="L").read(file).tolist() == [[0, 255]]


@pytest.mark.parametrize("kind", ["RGBA", "LA", "P with transparency"])
def test_transparent_pixels_show_white(tmp_path, kind):
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[..., 0] = 200  # the hidden color
    pixels[0, 0] = (0, 0, 0, 255)
    image = Image.fromarray(pixels)
    if kind == "LA":
        image = image.convert("LA")
    elif kind == "P with transparency":
        image = Image.fromarray(np.array([[1, 0], [0, 0]], np.uint8), mode=None).convert("P")
        image.putpalette([200, 0, 0, 0, 0, 0])
        image.info["transparency"] = 0
    file = saved(image, tmp_path / "a.png")
    read = ImageReader().read(file)
    assert read[0, 0].tolist() == [0, 0, 0]
    assert read[1, 1].tolist() == [255, 255, 255]


@pytest.mark.parametrize("mode", ["CMYK", "1", "P", "YCbCr", "L"])
def test_other_modes_are_read_as_pillow_shows_them(picture, tmp_path, mode):
    image = Image.fromarray(picture).convert(mode)
    file = saved(image, tmp_path / "a.tif")
    try:
        with Image.open(file) as stored:
            stored.load()
    except OSError:
        assert mode == "YCbCr"
        pytest.skip("this Pillow cannot read the YCbCr that it writes")
    assert np.array_equal(ImageReader().read(file), np.asarray(image.convert("RGB")))


def test_one_odd_photo_changes_no_other(tmp_path):
    wide = np.zeros((40, 60, 3), np.uint8)
    wide[:, 6:54] = 255  # more than the middle square
    files = [saved(Image.fromarray(wide), tmp_path / f"{k}.png") for k in range(3)]
    files.append(saved(Image.fromarray(np.zeros((120, 40, 3), np.uint8)), tmp_path / "odd.png"))
    pixels = ImageReader(20).load(files)
    assert pixels.shape == (4, 20, 20, 3)
    assert np.all(pixels[:3] == 255)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_tiffs_which_pillow_turns_itself_are_turned_once(picture, tmp_path, orientation):
    image = Image.fromarray(picture)
    file = saved(image, tmp_path / "a.tif", tiffinfo={0x0112: orientation})
    upright = ImageOps.exif_transpose(
        Image.open(saved(image, tmp_path / "b.png", exif=turned(image, orientation)))
    )
    np.testing.assert_array_equal(ImageReader().read(file), np.asarray(upright))
    half = (0, 0, upright.width / 2, upright.height)
    np.testing.assert_array_equal(
        ImageReader().read(file, half), np.asarray(upright)[:, : upright.width // 2]
    )


def turned(image, orientation):
    exif = image.getexif()
    exif[0x0112] = orientation
    return exif


def test_pad_keeps_all_of_an_image(tmp_path):
    file = saved(Image.fromarray(np.full((10, 30, 3), 255, np.uint8)), tmp_path / "a.png")
    padded = ImageReader(30, crop="pad").read(file)
    assert np.all(padded[10:20] == 255)
    assert not padded[:10].any()
    assert not padded[20:].any()
    assert np.all(ImageReader(30, crop="squash").read(file) == 255)


@pytest.mark.parametrize("crop", ["center", "pad", "squash"])
def test_every_crop_is_resized_as_asked(tmp_path, crop):
    noise = np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)
    file = saved(Image.fromarray(noise), tmp_path / "a.png")
    for name in ("bicubic", "bilinear", "lanczos", "box"):
        wanted = Image.fromarray(noise).resize((40, 40), Image.Resampling[name.upper()])
        read = ImageReader(40, crop=crop, interpolation=name).read(file)
        assert np.array_equal(read, np.asarray(wanted))


def test_box_is_in_pixels_of_the_upright_image(picture, tmp_path):
    image = Image.fromarray(np.ascontiguousarray(np.rot90(picture)))
    exif = image.getexif()
    exif[0x0112] = 6  # stored turned to the left: shown turned to the right
    file = saved(image, tmp_path / "a.png", exif=exif)
    assert np.array_equal(ImageReader().read(file, box=(5, 3, 25, 23)), picture[3:23, 5:25])
    with pytest.raises(ValueError, match="outside its 60 × 40 pixels"):
        ImageReader().read(file, box=(70, 3, 75, 23))


def test_large_jpegs_look_as_if_fully_decoded(picture, tmp_path):
    large = Image.fromarray(picture).resize((1200, 800), Image.Resampling.BICUBIC)
    file = saved(large, tmp_path / "a.jpg", quality=95)
    plain = ImageOps.fit(Image.open(file), (64, 64), Image.Resampling.BICUBIC)
    assert np.abs(ImageReader(64).read(file).astype(int) - np.asarray(plain)).mean() < 1


def test_random_crops_are_cut_from_the_files_pixels(picture, tmp_path):
    file = saved(Image.fromarray(picture).resize((600, 400)), tmp_path / "a.png")
    reader, rng = ImageReader(48), np.random.default_rng(0)
    crops = np.stack([reader.read_random_crop(file, rng, scale=(0.2, 0.4)) for _ in range(50)])
    again = np.random.default_rng(0)
    assert np.array_equal(crops[0], reader.read_random_crop(file, again, scale=(0.2, 0.4)))
    # A crop shows a part only: its spread of red, which grows to the right, says how much.
    spread = np.ptp(crops[..., 0].mean(axis=1), axis=1) / np.ptp(picture[..., 0])
    assert 0.25 < spread.min() < spread.max() < 0.75
    assert len({crop.tobytes() for crop in crops}) == 50


def test_random_crop_has_the_share_and_the_shape_it_draws():
    rng, regions = np.random.default_rng(0), []
    for _ in range(2000):
        left, top, right, bottom = random_crop((10, 20, 110, 95), rng)
        assert 10 <= left < right <= 110
        assert 20 <= top < bottom <= 95
        regions.append(((right - left) * (bottom - top) / 7500, (right - left) / (bottom - top)))
    area, shape = np.array(regions).T
    assert 0.4 <= area.min() < 0.45 < 0.95 < area.max() <= 1
    assert 0.75 <= shape.min() < 0.8 < 1.3 < shape.max() <= 4 / 3 + 1e-9
    assert random_crop((0, 0, 100, 1), rng) == pytest.approx(center_crop((0, 0, 100, 1), (4, 3)))


@pytest.mark.parametrize("n_jobs", [None, 1, 3])
@pytest.mark.parametrize("cached", [False, True])
def test_batches_come_in_order(tmp_path, n_jobs, cached):
    files = [
        saved(Image.new("L", (9, 9), 20 * k), tmp_path / "photos" / f"{k}.png") for k in range(11)
    ]
    reader = ImageReader(4, mode="L", n_jobs=n_jobs, cache=tmp_path / "kept" if cached else None)
    batches = list(reader.batches(files, 3))
    assert [len(batch) for batch in batches] == [3, 3, 3, 2]
    assert np.concatenate(batches)[:, 0, 0].tolist() == [20 * k for k in range(11)]


def test_pillow_images_are_taken_for_files(picture):
    images = [Image.fromarray(picture), Image.fromarray(picture[::-1].copy())]
    assert np.array_equal(ImageReader().load(images)[1], picture[::-1])
    assert ImageReader(8).load(np.array(["a"])[:0].tolist() or images).shape == (2, 8, 8, 3)


# The cache


def test_images_in_memory_are_told_apart_by_what_is_seen():
    gray = Image.fromarray(np.array([[0, 1]], np.uint8))
    red, blue, turned_up = gray.convert("P"), gray.convert("P"), gray.copy()
    red.putpalette([255, 0, 0, 0, 0, 0])
    blue.putpalette([0, 0, 255, 0, 0, 0])
    clear = gray.copy()
    clear.info["transparency"] = 1
    turned_up.info["exif"] = turned(gray.copy(), 3).tobytes()
    keys = ImageReader(8).identities([gray, red, blue, clear, turned_up])
    assert len(set(keys)) == 5
    assert ImageReader(8).identities([gray.copy()]) == keys[:1]


def test_cached_pixels_are_decoded_once(tmp_path, picture, monkeypatch):
    files = [saved(Image.fromarray(picture + k), tmp_path / "in" / f"{k}.png") for k in range(5)]
    plain = ImageReader(16).load(files)
    reader = ImageReader(16, cache=tmp_path / "kept")
    assert np.array_equal(reader.load(files), plain)
    reads = []
    monkeypatch.setattr(ImageReader, "read", lambda *args: reads.append(args))
    another = ImageReader(16, cache=tmp_path / "kept")
    assert np.array_equal(another.load(files[::-1]), plain[::-1])
    assert np.array_equal(another.load(files[2:4]), plain[2:4])
    assert not reads


def test_cache_sees_new_pixels_behind_the_old_size_and_time(tmp_path):
    file, reader = tmp_path / "x.bmp", ImageReader(4, cache=tmp_path / "kept")
    for color in (0, 200):
        Image.new("L", (6, 4), color).save(file)
        os.utime(file, ns=(10**18, 10**18))
        np.testing.assert_array_equal(reader.load([file]), color)


def test_cache_names_all_files_that_are_missing(tmp_path, picture):
    file = saved(Image.fromarray(picture), tmp_path / "a.png")
    reader = ImageReader(8, cache=tmp_path / "kept")
    with pytest.raises(FileNotFoundError, match=r"(?s)2 images.*b\.png: there is no.*c\.png"):
        reader.load([file, tmp_path / "b.png", tmp_path / "c.png"])
    pixels, kept = reader.load([tmp_path / "b.png", file], on_error="skip")
    assert kept.tolist() == [1]
    assert len(pixels) == 1


def test_cache_that_cannot_be_written_is_said_before_any_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    monkeypatch.setattr(ImageReader, "read", None)
    with pytest.raises(ValueError, match=r"cache: nothing can be written in .*file \(Not a dir"):
        ImageReader(8, cache=tmp_path / "file").load(["a.png"])


def test_cache_sees_that_a_file_or_a_setting_changed(tmp_path, picture):
    file = saved(Image.fromarray(picture), tmp_path / "in" / "a.png")
    cached = {"cache": tmp_path / "kept"}
    before = ImageReader(16, **cached).load([file])
    saved(Image.fromarray(255 - picture), file)
    os.utime(file, ns=(1, 1))
    after = ImageReader(16, **cached).load([file])
    assert np.array_equal(after, ImageReader(16).load([file]))
    assert not np.array_equal(after, before)
    for reader in (
        ImageReader(20, **cached),
        ImageReader(16, crop="pad", **cached),
        ImageReader(16, share=0.5, **cached),
        ImageReader(16, mode="L", **cached),
    ):
        plain = ImageReader(
            reader.size[::-1], crop=reader.crop, share=reader.share, mode=reader.mode
        )
        assert np.array_equal(reader.load([file]), plain.load([file]))


def attempt(reader, files):
    try:
        return reader.load(files)
    except ValueError as error:
        return error


def test_flipped_bit_in_a_cache_is_an_error_or_changes_nothing(tmp_path, picture):
    files = [saved(Image.fromarray(picture + k), tmp_path / "in" / f"{k}.png") for k in range(3)]
    reader = ImageReader(8, cache=tmp_path / "kept")
    plain = reader.load(files)
    kept = [file for file in Path(tmp_path, "kept").rglob("*") if file.is_file()]
    assert len(kept) == 2
    rng = np.random.default_rng(0)
    for file in kept:
        whole = file.read_bytes()
        for place in rng.integers(len(whole), size=60):
            changed = bytearray(whole)
            changed[place] ^= 1 << rng.integers(8)
            file.write_bytes(changed)
            outcome = attempt(ImageReader(8, cache=tmp_path / "kept"), files)
            assert "damaged" in str(outcome) or np.array_equal(outcome, plain)
        file.write_bytes(whole)


def test_cache_with_broken_files_keeps_the_others(tmp_path, picture):
    files = [saved(Image.fromarray(picture), tmp_path / "in" / f"{k}.png") for k in range(4)]
    broken(files[2], "cut")
    reader = ImageReader(8, cache=tmp_path / "kept")
    for _ in range(2):
        pixels, kept = reader.load(files, on_error="skip")
        assert kept.tolist() == [0, 1, 3]
        assert len(pixels) == 3
    with pytest.raises(ValueError, match=r"2\.png"):
        reader.load(files)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ImageReader(0), "size must be a positive int"),
        (lambda: ImageReader((3, True)), "size must be a positive int"),
        (lambda: ImageReader(8, crop="middle"), "crop must be one of 'center'"),
        (lambda: ImageReader(8, mode="RGBA"), "mode must be 'RGB' or 'L'"),
        (lambda: ImageReader(8, share=0), "share must be above 0"),
        (lambda: ImageReader(8, share="most"), "share must be above 0"),
        (lambda: ImageReader(8, n_jobs=0), "n_jobs must be a number of threads"),
        (lambda: ImageReader(8).read("a.jpg", (0, 0, 1)), r"boxes must be of shape \(1, 4\)"),
        (lambda: ImageReader(8).read("a.jpg", "0 0 1 1"), "boxes must be numbers"),
        (lambda: ImageReader(8).load(["a\0.jpg"]), "no name of a file"),
        (lambda: ImageReader(8).load(["a.jpg"], on_error="ignore"), "on_error must be"),
        (lambda: ImageReader(cache="kept").load(["a.jpg"]), "give a size"),
    ],
)
def test_arguments_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((3, 4)), r"got ndarray of float64, of shape \(3, 4\)"),
        ([], "got an empty list"),
        ("a.jpg", r"got one \(str\); put it into a list"),
        (["a.jpg", None], "a list that holds NoneType at 1"),
        (".", r"got a folder; list its images by ImagePaths\.from_folder"),
        ((path for path in ["a.jpg"]), "got generator"),
        ([io.BytesIO(b"")], "a list that holds BytesIO at 0"),
    ],
)
def test_what_is_not_images_is_a_type_error(images, message):
    with pytest.raises(TypeError, match=message):
        ImageReader(8).load(images)


def test_every_form_of_several_images_is_read_alike(tmp_path, picture):
    pixels, picture = picture, Image.fromarray(picture)
    picture.save(tmp_path / "x.png")
    name = str(tmp_path / "x.png")
    wanted = ImageReader(8).load([name] * 2)
    forms = [(name, tmp_path / "x.png"), [name, picture], np.array([name] * 2), [pixels] * 2]
    forms.append(np.array([[name], [name]], dtype=object))
    forms.append(np.stack([pixels] * 2))
    pd = pytest.importorskip("pandas")
    forms += [pd.Series([name] * 2), pd.Series([name] * 2, dtype="string")]
    forms += [pd.DataFrame({"path": [name] * 2}, index=[5, 7]), pd.Series([picture] * 2)]
    for form in forms:
        np.testing.assert_array_equal(ImageReader(8).load(form).reshape(wanted.shape), wanted)
    np.testing.assert_array_equal(ImageReader(8).load([pixels, name]), wanted)
    odd = ImageReader(8).load([pixels, pixels[:20]])  # of several sizes
    np.testing.assert_array_equal(odd[0], wanted[0])


def test_columns_travel_with_the_images():
    images = ImagePaths(
        "photos",
        ["a", "b", "c"],
        labels=[0, 1, 1],
        split=["train", "test", "test"],
        is_query=[0, 1, 0],
        boxes=[[0, 0, 1, 1], [1, 1, 2, 2], [np.nan] * 4],
    )
    part = images[[2, 1]]
    assert part.labels.tolist() == [1, 1]
    assert part.split.tolist() == ["test", "test"]
    assert part.is_query.tolist() == [False, True]
    assert part.is_gallery is None
    assert part.boxes[1].tolist() == [1, 1, 2, 2]
    with pytest.raises(ValueError, match=r"labels must be of shape \(2,\)"):
        ImagePaths("photos", ["a", "b"], labels=[1])
    with pytest.raises(ValueError, match="of image 0, a, is empty"):
        ImagePaths("photos", ["a"], boxes=[[3, 0, 1, 1]])


@pytest.mark.parametrize(
    "X",
    [
        ImagePaths(".", ["a.jpg", "b.jpg"]),
        ["a.jpg", "b.jpg"],
        np.array([["a.PNG"], ["b.PNG"]]),
        [Path("a.tif")],
        [Image.new("L", (4, 4))] * 2,
    ],
    ids=["ImagePaths", "list", "column", "paths", "Pillow"],
)
@pytest.mark.parametrize(
    "call",
    [
        lambda X: metriclearn.LMNN().fit(X, [0, 1]),
        lambda X: metriclearn.neighbors.RetrievalIndex().add(X),
        lambda X: metriclearn.metrics.recall_at_k(X, [0, 1]),
    ],
    ids=["learner", "index", "measure"],
)
def test_who_takes_vectors_says_how_to_make_them_of_images(X, call):
    with pytest.raises(TypeError, match="holds images; make vectors of them first"):
        call(X)
