"""A folder with one sub-folder of images per class."""

import warnings

import numpy as np

from metriclearn._extras import require
from metriclearn._text import one_line
from metriclearn.compare._sources._rows import as_source

# Images of a folder are brought to at most this many pixels a side: it bounds
# the time of a comparison on two cores, and the report says so.
MAX_IMAGE_SIDE = 64


def read_image_folder(folder, min_rows=None):
    """Read images at one size, grey where all are; the name of a sub-folder is the label."""
    image_module = require("PIL.Image", "cli")
    suffixes = {
        suffix
        for suffix, format_name in image_module.registered_extensions().items()
        if format_name in image_module.OPEN
    }
    classes = sorted(
        child for child in folder.iterdir() if child.is_dir() and not child.name.startswith(".")
    )
    if len(classes) < 2:
        raise ValueError(
            f"{folder}: needs one sub-folder of images per class, at least 2; there are "
            f"{len(classes)}"
        )
    files, labels = [], []
    for class_folder in classes:
        images = sorted(
            file
            for file in class_folder.iterdir()
            if file.suffix.lower() in suffixes
            and not file.name.startswith(".")
            and file.is_file()  # reading a pipe would wait for ever
        )
        if not images:
            raise ValueError(f"{class_folder}: no images for this class; add some or remove it")
        files += images
        labels += [class_folder.name] * len(images)

    sizes, grey = _survey(image_module, files)
    width, height = _common_size(sizes)
    pixels = np.empty((len(files), height, width) + (() if grey else (3,)), dtype=np.float32)
    for i, file in enumerate(files):
        pixels[i] = _read_image(image_module, file, "L" if grey else "RGB", (width, height))
    notes = ()
    if sizes != {(width, height)}:
        notes = (f"Images were resized to {width} × {height} pixels.",)
    return as_source(
        pixels, np.array(labels), name=folder.resolve().name, notes=notes, min_rows=min_rows
    )


def _survey(image_module, files):
    """Sizes of all images, and whether none of them has color."""
    sizes, grey = set(), True
    for file in files:
        with _opened(image_module, file) as image:
            sizes.add(image.size)
            grey = grey and image.mode in ("1", "L", "I", "I;16", "F")
    return sizes, grey


def _common_size(sizes):
    width, height = np.median(np.array(sorted(sizes)), axis=0)
    shrink = min(1, MAX_IMAGE_SIDE / max(width, height))
    return max(1, round(width * shrink)), max(1, round(height * shrink))


def _read_image(image_module, file, mode, size):
    with _opened(image_module, file) as image:
        try:
            if image.mode.startswith("I;16"):  # Pillow clips these at 255 instead of scaling
                image = image_module.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            image = image.convert(mode)
        except Exception as error:  # whatever a decoder makes of a broken file
            raise ValueError(_broken(file, error)) from None
        if image.size != size:
            image = image.resize(size, image_module.Resampling.BOX)
        return np.asarray(image)


def _opened(image_module, file):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", image_module.DecompressionBombWarning)
            return image_module.open(file)
    except Exception as error:  # as above
        raise ValueError(_broken(file, error)) from None


def _broken(file, error):
    return f"{file}: the image cannot be read ({one_line(error)}); mend or remove it"
