"""Characters of unseen alphabets, learned without a label: two views of each image of Omniglot.

    python benchmarks/unlabeled.py --data DIR --epochs 20 --seeds 3

Trains on the images with ``dev_split == 0`` of DIR/omniglot_background.npz, whose labels are not
read, and searches each image with ``dev_split == 1`` among all others of that split: 316 characters
of alphabets never seen. Printed are Recall@1, MAP@R and CPU seconds. Beside it stand the pixels,
and the same network trained with the labels for as many epochs.
"""

import argparse
import statistics
import time

from omniglot import load

from metriclearn.deep import DeepEmbedder
from metriclearn.deep.augment import RandomAffine
from metriclearn.metrics import map_at_r, recall_at_k


def embedder(seed, epochs, **arguments):
    return DeepEmbedder(
        "convnet",
        module_params={"channels": (16, 32, 64, 64)},
        n_components=128,
        batch_size=256,
        augment=RandomAffine(degrees=15, translate=0.1, scale=0.2, shear=0.2),
        max_epochs=epochs,
        validation=None,
        random_state=seed,
        **arguments,
    )


def measured(Z, y):
    """Recall@1 and MAP@R in percent."""
    return 100 * recall_at_k(Z, y, k=1), 100 * map_at_r(Z, y)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    X, y, unseen, unseen_y = load(options.data)
    print("pixels:", measured(unseen.reshape(len(unseen), -1), unseen_y))
    kinds = {
        "two views, no label": ({"loss": "two_views"}, None),
        "multi-similarity, all labels": ({"loss": "multi_similarity"}, y),
    }
    for name, (arguments, labels) in kinds.items():
        found = []
        for seed in range(options.seeds):
            begun = time.process_time()
            fitted = embedder(seed, options.epochs, **arguments).fit(X, labels)
            seconds = time.process_time() - begun
            found.append((*measured(fitted.transform(unseen), unseen_y), seconds))
            print(f"{name}, seed {seed}:", found[-1], flush=True)
        print(f"{name}, mean:", tuple(map(statistics.mean, zip(*found, strict=True))), flush=True)


if __name__ == "__main__":
    main()
