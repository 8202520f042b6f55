"""Files that are damaged, missing, too large or of another format: one error that names them."""

import io
import os

import numpy as np
import pytest
from helpers.pictures import broken, saved
from PIL import Image, ImageFile

from metriclearn.images import ImagePaths, ImageReader
from metriclearn.images._decode import FORMATS, UnreadableImageError, opened, upright_size

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


def bytes_of(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind.rpartition(" ")[2], **options)
    return stream.getvalue()


@pytest.mark.parametrize("n", [700, 4096])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("JPEG", {"quality": 95, "optimize": True}),
        ("JPEG", {"quality": 95, "restart_marker_rows": 1}),
        ("PNG", {}),
        ("PNG", {"compress_level": 0}),
        ("WEBP", {"quality": 95}),
        ("GIF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
def test_a_part_that_was_never_written_is_an_error(kind, options, n):
    """Zeros in the middle, or up to the end."""
    if kind == "WEBP" and n < 1100:
        pytest.skip("may be an area of one color")
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 230, (12, 15, 3), np.uint8)).resize((300, 240))
    noise = rng.integers(0, 25, (240, 300, 3), np.uint8)
    content = bytes_of(Image.fromarray(np.asarray(coarse) + noise), kind, **options)
    reader = ImageReader(32)
    reader.read(content)
    for start in (len(content) // 2, len(content) - n):
        with pytest.raises(UnreadableImageError):
            reader.read(content[:start] + bytes(n) + content[start + n :])


@pytest.mark.parametrize("color", ["white", "black", (118, 118, 118)])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"optimize": True}),
        ("JPEG", {"progressive": True}),
        ("WEBP", {}),
        ("WEBP", {"quality": 100, "method": 0}),
        ("WEBP", {"lossless": True, "method": 0}),
        ("PNG", {"compress_level": 0}),
    ],
)
def test_an_area_of_one_color_is_no_damage(picture, kind, options, color):
    """Its codes may be zeros, which are also in what other programs write around the pixels."""
    image = Image.new("RGB", (1500, 1200), color)
    image.paste(Image.fromarray(picture), (100, 300))
    exif = image.getexif()
    exif[0x010E] = "\0" * 5000
    content = bytes_of(image, kind, **options, exif=exif) + bytes(5000)
    read = ImageReader(None).read(content)
    assert np.abs(read[800:].astype(int) - np.asarray(image)[800:]).max() <= 3


@pytest.mark.parametrize("kind", FORMATS_THAT_TELL)
def test_the_size_of_a_file_is_known_without_its_pixels(picture, kind, monkeypatch):
    content = bytes_of(Image.fromarray(picture), kind, **FORMATS_THAT_TELL[kind])

    def load(image):
        raise AssertionError("the pixels were decoded")

    for loader in (ImageFile.ImageFile, Image.Image):
        monkeypatch.setattr(loader, "load", load)
    with opened(content) as image:
        assert upright_size(image) == picture.shape[1::-1]


def test_a_png_may_say_behind_its_pixels_how_it_is_turned(picture):
    image = Image.fromarray(picture)
    exif = image.getexif()
    exif[0x0112] = 6
    content = bytes_of(image, "PNG", exif=exif)
    start = content.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(content[start : start + 4], "big")
    last = content.index(b"IEND") - 4
    moved = content[:start] + content[end:last] + content[start:end] + content[last:]
    turned = np.rot90(picture, -1)
    for each in (content, moved):
        np.testing.assert_array_equal(ImageReader().read(each), turned)


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
        ("\u00e9/1.png", "e\u0301/1.png"),
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
