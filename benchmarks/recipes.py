"""Published settings on the benchmarks of the field: birds, cars, products, clothes.

    python benchmarks/recipes.py cub200 --loss multi_similarity --checkpoint runs/cub-ms
    python benchmarks/recipes.py sop --loss proxy_anchor --checkpoint runs/sop-pa
    python benchmarks/recipes.py inshop --archive img.zip list_eval_partition.txt
    python benchmarks/recipes.py FOLDER --small            # any photos, to see that it runs

Roth et al., "Revisiting training strategies and generalization performance in deep metric
learning", ICML 2020: ResNet-50 with ImageNet's weights and frozen batch normalization, crops of
224 pixels mirrored at random, batches of 112 with two photos of a class, Adam at 1e-5 with weight
decay 4e-4 for all, 150 epochs at one rate; 128 dimensions there, 512 here (``--dimension``). The
test photos are read at 224 pixels, without the margin of 256; half precision is bfloat16.

For a GPU: the networks are torchvision's (``pip install 'metriclearn[timm]'``). A run that is
stopped goes on from ``--checkpoint``. Musgrave et al. (ECCV 2020) used BN-Inception, which is
neither in torchvision nor in timm; its nearest relatives are ``--backbone torchvision/googlenet``
and ``torchvision/inception_v3`` (``--side 299``), whose auxiliary heads take no part. A folder is
split by the alphabet: the first half of its classes is trained on.
"""

import argparse
import time

import numpy as np

from metriclearn import datasets
from metriclearn.deep import DeepEmbedder
from metriclearn.deep.modules import Pretrained
from metriclearn.images import ImagePaths
from metriclearn.metrics import retrieval_scores

FETCH = {
    "cub200": datasets.fetch_cub200,
    "cars196": datasets.fetch_cars196,
    "sop": datasets.fetch_sop,
    "inshop": datasets.fetch_inshop,
}
MEASURES = ("recall_at_1", "r_precision", "map_at_r")


def read(name, archive=None):
    """Return images, labels and parts ("train", "test", or "train", "query", "gallery")."""
    if name in FETCH:
        data = FETCH[name](archive=archive, verbose=1)
        return data.images, data.target, data.split
    images = ImagePaths.from_folder(name)
    y = np.unique(images.labels, return_inverse=True)[1]
    return images, y, np.where(y < (y.max() + 1) // 2, "train", "test")


def embedder(options):
    """Make the embedder by the published settings, with what the command changes of them."""
    backbone = {"backbone": options.backbone, "image_size": options.side}
    return DeepEmbedder(
        Pretrained,
        options.loss,
        module_params=backbone,
        n_components=options.dimension,
        sampler_params={"samples_per_class": 2},
        optimizer="adam",
        optimizer_params={"weight_decay": 4e-4},
        lr=options.lr,
        backbone_lr=options.lr,
        warmup_epochs=0,
        freeze_batch_norm=True,
        schedule="constant",
        batch_size=options.batch,
        max_epochs=options.epochs,
        validation=None,
        image_size=options.side,
        augment="light",
        precision=options.precision,
        checkpoint=options.checkpoint,
        random_state=options.seed,
        verbose=1,
    )


def scores(fitted, images, y, split):
    """Score the part that was not trained on."""
    if "query" in split:
        query, gallery = (split == part for part in ("query", "gallery"))
        Z = fitted.transform(images[gallery])
        found = {"gallery": Z, "gallery_labels": y[gallery]}
        return retrieval_scores(fitted.transform(images[query]), y[query], MEASURES, **found)
    test = split == "test"
    return retrieval_scores(fitted.transform(images[test]), y[test], MEASURES)


def main():
    """Train and print a row of a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", help=f"{', '.join(FETCH)}, or a folder of photos")
    parser.add_argument("--archive", nargs="+", help="its files, or its folder, already here")
    parser.add_argument("--loss", default="multi_similarity")
    parser.add_argument("--backbone", default="torchvision/resnet50")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--lr", type=float, default=1e-5)
    parser.add_argument("--batch", type=int, default=112)
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--precision", default="bfloat16")
    parser.add_argument("--checkpoint")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small", action="store_true", help="two epochs of small images")
    options = parser.parse_args()
    if options.small:
        options.side, options.epochs, options.precision = 96, 2, "float32"
    images, y, split = read(options.data, options.archive)
    start = time.process_time()
    fitted = embedder(options).fit(images[split == "train"], y[split == "train"])
    spent = time.process_time() - start
    found = scores(fitted, images, y, split)
    row = [options.data, options.loss, *(f"{100 * found[m]:.1f}" for m in MEASURES), f"{spent:.0f}"]
    print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
