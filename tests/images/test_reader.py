"""What is read of an image file is what a person sees."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from metriclearn.images import ImagePaths, ImageReader
from metriclearn.images._decode import FORMATS, UnreadableImageError
from metriclearn.images._regions import center_crop, random_crop


@pytest.fixture
def picture():
    """A smooth picture of 60 × 40 pixels whose four quarters differ."""
    down, across = np.mgrid[:40, :60]
    pixels = np.stack([4 * across, 6 * down, 255 - 2 * across - 3 * down], axis=-1)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def saved(image, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


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


FORMATS_THAT_TELL = {
    "JPEG": {"quality": 90},
    "progressive JPEG": {"quality": 90, "progressive": True},
    "PNG": {},
    "WEBP": {"lossless": True},
    "GIF": {},
    "BMP": {},
    "TIFF": {"compression": "tiff_lzw"},
    "plain TIFF": {},
    "PPM": {},
}


@pytest.mark.parametrize("kind", FORMATS_THAT_TELL)
@pytest.mark.parametrize("size", [None, 16])
def test_a_file_that_ends_early_is_an_error_or_whole(picture, tmp_path, kind, size):
    """Never the gray of what is missing, however little that is."""
    noise = np.random.default_rng(0).integers(0, 9, picture.shape, np.uint8)
    image, file = Image.fromarray(picture // 2 + noise), tmp_path / "a"
    with file.open("wb") as stream:
        image.save(stream, kind.rpartition(" ")[2], **FORMATS_THAT_TELL[kind])
    whole, content = ImageReader(size).read(file), file.read_bytes()
    for n in (1, 2, 3, 8, 30, 200, len(content) // 2, len(content) - 30):
        file.write_bytes(content[:-n])
        try:
            read = ImageReader(size).read(file)
        except UnreadableImageError:
            continue
        assert kind in ("PNG", "GIF")  # whose last bytes hold no pixels
        np.testing.assert_array_equal(read, whole)


def test_files_of_other_formats_say_what_they_are(tmp_path):
    contents = {
        "a.jpg": (b"\0\0\0\x18ftypheic" + b"\0" * 90, r"convert \.heic to JPEG or PNG"),
        "b.jpg": (b"\0\0\0\x18ftypavif" + b"\0" * 90, r"convert \.avif to JPEG or PNG"),
        "c.HEIC": (b"\0" * 90, r"convert \.heic to JPEG or PNG"),
        "d.png": (b"<!DOCTYPE html><html>", "a web page, which downloads that fail"),
        "e.png": (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
    }
    for name, (content, message) in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UnreadableImageError, match=rf"{name}: no image.*{message}"):
            ImageReader(8).read(tmp_path / name)


def test_an_image_that_is_too_large_is_one_error(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    file = saved(Image.new("L", (20, 20)), tmp_path / "a.png")
    with pytest.raises(UnreadableImageError, match=r"a\.png: .*exceeds limit"):
        ImageReader(8).read(file)
    saved(Image.new("L", (9, 9)), file)  # of which Pillow warns
    assert ImageReader(8).read(file).shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("there", "given"),
    [
        ("a/IMG.JPG", "a/img.jpg"),
        ("Photos/b/x.png", "photos/B/x.png"),
        ("caf\u00e9/1.png", "cafe\u0301/1.png"),
        ("a/0.png", "a\\0.png"),
    ],
)
def test_a_missing_file_names_one_that_differs_in_how_it_is_written(tmp_path, there, given):
    saved(Image.new("L", (9, 9)), tmp_path / there)
    if (tmp_path / given).exists():
        pytest.skip("this file system does not tell them apart")
    for load in (ImageReader(8).load, ImageReader(8, cache=tmp_path / "kept").load):
        with pytest.raises(FileNotFoundError, match=r"is .* meant") as error:
            load(ImagePaths(tmp_path, [given]))
        assert str(tmp_path / there) in str(error.value)


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


def broken(path, kind):
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = io.BytesIO()
    Image.new("RGB", (50, 50)).save(stream, "JPEG")
    contents = {
        "empty": b"",
        "cut": stream.getvalue()[:300],
        "text": b"not a picture",
        "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
        "gif header": b"GIF89a",
    }
    path.write_bytes(contents[kind])
    return path


@pytest.mark.parametrize("kind", ["empty", "cut", "text", "eps", "gif header"])
def test_what_is_no_image_is_named(tmp_path, kind):
    file = broken(tmp_path / "bad.jpg", kind)
    why = "the file is empty" if kind == "empty" else "image"
    with pytest.raises(UnreadableImageError, match=rf"bad\.jpg: .*{why}"):
        ImageReader(8).read(file)


def test_a_link_to_itself_is_named(tmp_path):
    (tmp_path / "a.jpg").symlink_to(tmp_path / "a.jpg")
    with pytest.raises(UnreadableImageError, match=r"a\.jpg: cannot be opened \(Too many levels"):
        ImageReader(8).read(tmp_path / "a.jpg")


def test_only_formats_of_the_list_are_opened(tmp_path, picture, monkeypatch):
    """Other decoders of Pillow are never reached, whatever a file is called."""
    from PIL import EpsImagePlugin

    def run(*args, **options):
        raise AssertionError("a decoder that starts other programs was reached")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", run)
    assert "EPS" not in FORMATS
    image = Image.fromarray(picture)
    for suffix in ("eps", "pcx", "ico", "tga", "sgi"):
        stream = io.BytesIO()
        image.save(stream, {"tga": "TGA", "sgi": "SGI"}.get(suffix, suffix.upper()))
        (tmp_path / "a.jpg").write_bytes(stream.getvalue())
        with pytest.raises(UnreadableImageError):
            ImageReader(8).read(tmp_path / "a.jpg")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
def test_pipe_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(UnreadableImageError, match="not a regular file"):
        ImageReader(8).read(tmp_path / "a.jpg")


def test_all_broken_files_are_named_at_once(tmp_path, picture):
    files = [saved(Image.fromarray(picture), tmp_path / f"{k}.png") for k in range(6)]
    for k in (1, 4):
        broken(files[k], "text")
    with pytest.raises(ValueError, match=r"(?s)2 images cannot be read.*1\.png.*4\.png"):
        ImageReader(8).load(files)
    with pytest.raises(ValueError, match=r"(?s)1\.png.*4\.png"):
        list(ImageReader(8).batches(files, 2))
    pixels, kept = ImageReader(8).load(files, on_error="skip")
    assert kept.tolist() == [0, 2, 3, 5]
    assert pixels.shape == (4, 8, 8, 3)
    with pytest.raises(FileNotFoundError, match="nothing"):
        ImageReader(8).load([*files, tmp_path / "nothing.png"])


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
