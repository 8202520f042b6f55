"""Embedders that train on image files: what an array of the same pixels gives, read as needed."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from torch import nn

import metriclearn
from metriclearn.constraints import pairs_from_labels
from metriclearn.deep import DeepEmbedder, augment
from metriclearn.images import ImagePaths, ImageReader

SMALL = {"loss": "contrastive", "max_epochs": 2, "batch_size": 8, "random_state": 0}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Twenty-four photos of 30 × 20 pixels, of three classes that differ in color."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for k, name in enumerate("abc"):
        (folder / name).mkdir()
        for i in range(8):
            pixels = rng.integers(0, 90, (20, 30, 3), dtype=np.uint8)
            pixels[..., k] += 90
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return ImagePaths.from_folder(folder)


def embedder(**params):
    return DeepEmbedder("convnet", **{"image_size": 16, **SMALL, **params})


def test_files_train_as_their_pixels_do(photos):
    pixels = ImageReader(16).load(photos)
    of_files = embedder().fit(photos, photos.labels)
    of_pixels = embedder().set_params(image_size=None).fit(pixels, photos.labels)
    assert of_files.image_shape_ == of_pixels.image_shape_ == (16, 16, 3)
    assert np.array_equal(of_files.transform(photos), of_pixels.transform(pixels))
    two = of_files.transform(photos[3:5])  # in a smaller batch: other sums
    assert np.allclose(two, of_files.transform(photos)[3:5], atol=1e-6)


def test_every_form_of_files_is_taken(photos):
    forms = [
        photos,
        [str(f) for f in photos],
        np.array(photos.files),
        [Image.open(f) for f in photos],
        [f.read_bytes() for f in photos],
    ]
    found = [embedder().fit(X, photos.labels).transform(X) for X in forms]
    assert all(np.array_equal(Z, found[0]) for Z in found[1:])


def test_gray_files_have_one_channel(tmp_path):
    files = [tmp_path / f"{k}.png" for k in range(12)]
    for k, file in enumerate(files):
        Image.new("L", (20, 20), 20 * k).save(file)
    fitted = embedder().fit(files, np.arange(12) % 3)
    assert fitted.image_shape_ == (16, 16, 1)


@pytest.mark.parametrize("kind", ["light", "standard"])
def test_crops_are_cut_when_files_are_read(photos, kind, monkeypatch):
    crops = []
    read = ImageReader.read_random_crop

    def watched(self, file, rng, box=None, **ranges):
        crops.append(ranges)
        return read(self, file, rng, box, **ranges)

    monkeypatch.setattr(ImageReader, "read_random_crop", watched)
    fitted = embedder(augment=kind).fit(photos, photos.labels)
    assert len(crops) == 2 * 24
    assert crops[0] == augment.AUGMENTS[kind].crop
    again, plain = embedder(augment=kind), embedder()
    Z = fitted.transform(photos)
    assert np.array_equal(again.fit(photos, photos.labels).transform(photos), Z)
    assert not np.array_equal(plain.fit(photos, photos.labels).transform(photos), Z)
    crops.clear()
    fitted.transform(photos)
    assert not crops


def test_stopped_run_on_files_ends_with_the_same_weights(photos, tmp_path):
    from skorch.callbacks import Callback

    class Stop(Callback):
        def on_epoch_end(self, net, **given):
            if len(net.history) == 2:
                raise OSError("power is gone")

    settings = {"augment": "standard", "max_epochs": 4, "validation": None}
    whole = embedder(**settings).fit(photos, photos.labels)
    stopped = embedder(**settings, checkpoint=tmp_path / "run", callbacks=[Stop()])
    with pytest.raises(OSError, match="power is gone"):
        stopped.fit(photos, photos.labels)
    resumed = embedder(**settings, checkpoint=tmp_path / "run").fit(photos, photos.labels)
    assert np.array_equal(resumed.transform(photos), whole.transform(photos))


def test_saved_embedders_of_files_come_back(photos, tmp_path):
    fitted = embedder(augment="light").fit(photos, photos.labels)
    fitted.save(tmp_path / "one")
    again = DeepEmbedder.load(tmp_path / "one")
    assert np.array_equal(again.transform(photos), fitted.transform(photos))
    pipeline = make_pipeline(fitted, KNeighborsClassifier(1)).fit(photos, photos.labels)
    metriclearn.save(pipeline, tmp_path / "two")
    again = metriclearn.load(tmp_path / "two")
    assert np.array_equal(again.predict(photos), pipeline.predict(photos))


@pytest.mark.parametrize("first", [0, 3])
def test_all_files_that_cannot_be_read_are_named_at_once(photos, tmp_path, first):
    files = []
    for row, file in enumerate(photos.files):
        files.append(tmp_path / f"{row}.png")
        content = file.read_bytes()
        files[-1].write_bytes(content[:60] if row in (first, 20) else content)
    message = rf"2 images cannot be read:\n.*{first}\.png.*\n.*20\.png"
    with pytest.raises(ValueError, match=message):
        embedder().fit(files, photos.labels)


def test_files_go_through_pipelines_and_splitters(photos):
    pipeline = make_pipeline(embedder(max_epochs=5), KNeighborsClassifier(1))
    assert cross_val_score(pipeline, photos, photos.labels, cv=2).mean() > 0.9


def test_constraints_on_files(photos):
    pairs = pairs_from_labels(photos.labels, n_pairs=20, random_state=0)
    fitted = embedder().fit(photos, constraints=pairs)
    pixels = ImageReader(16).load(photos)
    same = embedder().set_params(image_size=None).fit(pixels, constraints=pairs)
    assert np.array_equal(fitted.transform(photos), same.transform(pixels))


def test_broken_files_are_named(photos, tmp_path):
    files = [*photos.files, tmp_path / "broken.png"]
    files[-1].write_bytes(b"not an image")
    with pytest.raises(ValueError, match=r"broken\.png"):
        embedder().fit(files, [*photos.labels, "a"])
    fitted = embedder().fit(photos, photos.labels)
    with pytest.raises(ValueError, match=r"broken\.png"):
        fitted.transform(files)
    with pytest.raises(FileNotFoundError, match="nothing"):
        fitted.transform([tmp_path / "nothing.png"])


def test_all_files_that_are_missing_are_named(photos, tmp_path):
    """Also those of which nothing was looked at before the first batch."""
    files = [tmp_path / "x.png", *photos.files[1:5], tmp_path / "y.png", *photos.files[6:]]
    with pytest.raises(FileNotFoundError, match=r"(?s)2 images cannot be read.*x\.png.*y\.png"):
        embedder().fit(files, photos.labels)


@pytest.mark.parametrize("form", ["last", "first", "gray", "list", "tensor"])
def test_pixels_are_read_as_their_files_are(form):
    pixels = np.random.default_rng(0).integers(0, 256, (12, 30, 24, 3), np.uint8)
    pixels = pixels[..., 0] if form == "gray" else pixels
    images, y = [Image.fromarray(each) for each in pixels], np.arange(12) % 2
    X = {"first": lambda x: np.moveaxis(x, -1, 1), "list": list, "tensor": torch.from_numpy}.get(
        form, np.asarray
    )(pixels)
    expected = embedder(max_epochs=1).fit(images, y).transform(images)
    fitted = embedder(max_epochs=1).fit(X, y)
    np.testing.assert_array_equal(fitted.transform(X), expected)
    np.testing.assert_array_equal(fitted.transform(images), expected)


def table_of(photos):
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame({"file": photos.files, "label": photos.labels})


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (lambda p: p.folder, r"a folder; list its images by ImagePaths\.from_folder"),
        (lambda p: str(p.files[0]), "put it into a list"),
        (lambda p: (file for file in p.files), "got generator"),
        (lambda p: [*p.files[:3], None], "a list that holds NoneType at 3"),
        (table_of, "with columns file, label"),
    ],
)
@pytest.mark.parametrize("image_size", [None, 16])
def test_forms_that_are_no_images_are_named(photos, form, message, image_size):
    if image_size is None and message in ("got generator", "with columns file, label"):
        pytest.skip("of any array")
    with pytest.raises(TypeError, match=message):
        embedder().set_params(image_size=image_size).fit(form(photos), photos.labels)


def again(fitted, photos, **params):
    fitted.set_params(warm_start=True).fit(photos, photos.labels)
    return fitted.set_params(**params).fit(photos, photos.labels)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e, p: e.fit(np.zeros((8, 16, 16, 3)), [0, 1] * 4), "image_size is of image files"),
        (lambda e, p: e.fit(p, p.labels).transform(np.zeros((2, 768))), "is fitted on them"),
        (lambda e, p: e.fit(ImagePaths(p.folder, p.names[:, None]), p.labels), r"\(24, 1\)"),
        (lambda e, p: e.fit(ImagePaths(p.folder, p.names)), "requires y to be passed"),
        (lambda e, p: e.fit(p, p.labels[:3]), "inconsistent numbers"),
        (lambda e, p: e.fit(p, p.labels).transform(p[:0]), "X holds no images"),
        (lambda e, p: e.set_params(image_size=0).fit(p, p.labels), "image_size must be a positive"),
        (
            lambda e, p: (
                e.set_params(warm_start=True)
                .fit(p, p.labels)
                .set_params(image_size=20)
                .fit(p, p.labels)
            ),
            "image_size was changed",
        ),
    ],
)
def test_what_does_not_fit_is_named(photos, call, message):
    with pytest.raises(ValueError, match=message):
        call(embedder(max_epochs=1), photos)


# Augmentation of batches


@pytest.mark.parametrize("kind", ["light", "standard", "affine"])
def test_augmentations_by_name_work_on_arrays(photos, kind):
    pixels = ImageReader(16).load(photos)
    settings = {"image_size": None, "augment": kind}
    fitted = embedder(**settings).fit(pixels, photos.labels)
    plain = embedder(image_size=None).fit(pixels, photos.labels)
    assert not np.array_equal(fitted.transform(pixels), plain.transform(pixels))


def test_random_crop_cuts_what_it_says():
    """Of a ramp, a crop of width w spans w of its range, undistorted."""
    torch.manual_seed(0)
    ramp = torch.linspace(0, 1, 64).expand(500, 1, 64, 64)
    crops = augment.RandomCrop(scale=(0.25, 0.25), ratio=(1.0, 1.0))(ramp)
    span = crops[:, 0].amax(dim=(1, 2)) - crops[:, 0].amin(dim=(1, 2))
    assert torch.allclose(span, torch.full_like(span, 0.5), atol=0.02)
    starts = crops[:, 0].amin(dim=(1, 2))
    assert starts.min() < 0.03
    assert starts.max() > 0.46
    whole = augment.RandomCrop(scale=(1.0, 1.0), ratio=(1.0, 1.0))(ramp)
    assert torch.allclose(whole, ramp, atol=1e-5)


def test_flips_mirror_half_of_the_images():
    torch.manual_seed(0)
    images = torch.rand(1000, 1, 2, 3)
    flipped = augment.RandomFlip()(images)
    mirrored = (flipped == images.flip(-1)).all(dim=(1, 2, 3))
    assert ((flipped == images).all(dim=(1, 2, 3)) | mirrored).all()
    assert 0.45 < mirrored.float().mean() < 0.55


def test_jitter_keeps_colors_in_range_and_gray_gray():
    torch.manual_seed(0)
    images = torch.rand(50, 3, 4, 4)
    changed = augment.ColorJitter(0.5, 0.5, 0.5)(images)
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert not torch.equal(changed, images)
    gray = augment.ColorJitter()(images[:, :1].expand(-1, 3, -1, -1))
    assert torch.allclose(gray[:, 0], gray[:, 2], atol=1e-6)
    assert torch.allclose(augment.ColorJitter(0, 0, 0)(images), images, atol=1e-6)


@pytest.mark.parametrize("kind", ["light", "standard"])
def test_the_order_of_memory_changes_no_augmented_pixel(kind):
    changed, images = [], torch.rand(40, 3, 5, 7)
    for given in (images, images.to(memory_format=torch.channels_last)):
        torch.manual_seed(0)
        changed.append(augment.AUGMENTS[kind](crop=False)(given))
    assert torch.allclose(*changed, atol=1e-6)
    assert not torch.equal(changed[0], images)


def test_transforms_of_libraries_see_single_images(photos):
    def of(library):
        def call(self, img=None, image=None):
            seen.append(img.shape if image is None else image.shape)
            return img if image is None else {"image": image}

        kind = type("Transform", (), {"__call__": call})
        kind.__module__ = f"{library}.transforms"
        return kind()

    plain = embedder().fit(photos, photos.labels).transform(photos)
    for library, shape in (("torchvision", (3, 16, 16)), ("albumentations", (16, 16, 3))):
        seen = []
        fitted = embedder(augment=of(library)).fit(photos, photos.labels)
        assert len(seen) == 48
        assert set(map(tuple, seen)) == {shape}
        assert np.allclose(fitted.transform(photos), plain, atol=1e-5)


# Memory order


class Convolves(nn.Module):
    """A network of one's own; one that reads its input as rows in memory, where told."""

    def __init__(self, as_rows=False):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.as_rows = as_rows

    def forward(self, X):
        self.last = X.is_contiguous(memory_format=torch.channels_last)
        if self.as_rows:
            X = X.view(len(X), -1).view(X.shape)
        return self.conv(X)


@pytest.mark.parametrize("as_rows", [False, True])
def test_own_convolutions_get_channels_last_where_they_can(photos, as_rows):
    pixels = ImageReader(16).load(photos)
    fitted = DeepEmbedder(Convolves(as_rows), n_components=4, **SMALL).fit(pixels, photos.labels)
    fitted.transform(pixels)
    assert fitted.net_.module_.backbone.last != as_rows


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: augment.RandomCrop(scale=(0, 1)), "scale must be two shares above 0"),
        (lambda: augment.RandomCrop(scale=0.5), "scale must be two shares above 0.*got 0.5"),
        (lambda: augment.RandomCrop(scale=(0.5, 2)), "scale must be two shares"),
        (lambda: augment.RandomCrop(ratio=(2, 1)), "ratio must be two numbers above 0"),
        (lambda: augment.RandomCrop(ratio=("1", "2")), "ratio must be two numbers above 0"),
        (lambda: augment.RandomAffine(degrees=float("nan")), "degrees must be a number"),
        (lambda: augment.RandomAffine(shear="0.1"), "shear must be a number.*got '0.1'"),
        (lambda: augment.RandomAffine(scale=1), "scale must be at least 0 and below 1, got 1"),
        (lambda: augment.CorruptFeatures(share=float("nan")), "share must be from 0 to 1, got nan"),
        (lambda: augment.ColorJitter(contrast=2), "contrast must be from 0 to 1, got 2"),
    ],
)
def test_arguments_of_augmentations_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()
