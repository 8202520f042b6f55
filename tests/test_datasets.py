"""Synthetic problems keep their promises; loaders survive what networks and archives do."""

import gzip
import hashlib
import http.server
import io
import re
import tarfile
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from scipy.io import savemat
from scipy.stats import norm
from sklearn.model_selection import GroupKFold, cross_val_score, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils import Bunch

from metriclearn import datasets
from metriclearn.datasets import (
    ImagePaths,
    _fetch,
    _mnist,
    fetch_cars196,
    fetch_cub200,
    fetch_inshop,
    fetch_lfw_pairs,
    fetch_mnist,
    fetch_omniglot,
    fetch_sop,
    make_metric_pairs,
    make_metric_triplets,
    make_planted_metric,
)
from metriclearn.datasets._fetch import RemoteFile, download
from metriclearn.datasets._sources import BENCHMARKS

# --------------------------------------------------------------------------- synthetic


def squared_distances(X, pairs, metric):
    difference = X[pairs[:, 0]] - X[pairs[:, 1]]
    return np.einsum("ij,jk,ik->i", difference, metric, difference)


def root_of(metric):
    values, vectors = np.linalg.eigh(metric)
    return vectors * np.sqrt(np.clip(values, 0, None))


MAKERS = [
    lambda **kw: make_planted_metric(n_samples=60, **kw),
    lambda **kw: make_metric_triplets(n_triplets=50, **kw),
    lambda **kw: make_metric_pairs(n_pairs=50, **kw),
]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(("n_features", "n_informative"), [(1, 1), (5, 2), (4, 4)])
def test_planted_metric_is_psd_of_the_stated_rank(make, n_features, n_informative):
    *_, metric = make(n_features=n_features, n_informative=n_informative, random_state=0)
    assert metric.shape == (n_features, n_features)
    assert_allclose(metric, metric.T)
    values = np.linalg.eigvalsh(metric)
    assert np.sum(values > 1e-10) == n_informative
    assert values.min() > -1e-12
    informative = values[-n_informative:]
    assert informative.min() >= 1 / 4 - 1e-12
    assert informative.max() <= 4 + 1e-12


@pytest.mark.parametrize("make", MAKERS)
def test_same_seed_same_problem(make):
    for first, second in zip(make(random_state=3), make(random_state=3), strict=True):
        assert_array_equal(first, second)
    assert not np.array_equal(make(random_state=3)[0], make(random_state=4)[0])


@pytest.mark.parametrize("n_classes", [2, 3, 8])
def test_euclid_fails_where_the_planted_metric_is_right(n_classes):
    X, y, metric = make_planted_metric(300, n_classes=n_classes, random_state=0)
    neighbours = KNeighborsClassifier(3)
    chance = 1 / n_classes
    assert cross_val_score(neighbours, X, y).mean() < chance + 0.2
    assert cross_val_score(neighbours, X @ root_of(metric), y).mean() > 0.98


def test_without_noise_euclid_does_well():
    X, y, _ = make_planted_metric(noise=0, random_state=0)
    assert cross_val_score(KNeighborsClassifier(3), X, y).mean() > 0.98


def test_classes_are_round_balanced_and_apart_under_the_planted_metric():
    X, y, metric = make_planted_metric(40_003, 6, 2, 3, class_sep=4.0, random_state=1)
    assert np.ptp(np.bincount(y)) <= 1
    latent = X @ root_of(metric)
    centres = np.array([latent[y == k].mean(axis=0) for k in range(3)])
    within = latent - centres[y]
    values = np.linalg.eigvalsh(within.T @ within / len(X))
    assert_allclose(values, [0, 0, 0, 0, 1, 1], atol=0.03)
    gaps = np.linalg.norm(centres[:, None] - centres, axis=2)[np.triu_indices(3, 1)]
    assert_allclose(gaps.min(), 4.0, atol=0.1)
    # The stated bound on the error of the nearest centre, and that it is no idle one.
    nearest = np.linalg.norm(latent[:, None] - centres, axis=2).argmin(axis=1)
    error = np.mean(nearest != y)
    assert 0.3 * norm.cdf(-2) < error <= 2 * norm.cdf(-2)


@pytest.mark.parametrize("flip", [0.0, 0.123])
def test_triplets_hold_but_for_the_flipped_share(flip):
    X, triplets, metric = make_metric_triplets(20, n_triplets=500, flip=flip, random_state=0)
    assert X.shape == (20, 10)
    assert triplets.shape == (500, 3)
    assert all(len(set(triplet)) == 3 for triplet in triplets.tolist())
    closer = squared_distances(X, triplets[:, :2], metric) < squared_distances(
        X, triplets[:, ::2], metric
    )
    assert np.sum(~closer) == round(500 * flip)


def test_every_triplet_can_be_drawn():
    _, triplets, _ = make_metric_triplets(4, n_triplets=2000, random_state=0)
    unordered = {(a, frozenset((p, n))) for a, p, n in triplets.tolist()}
    assert len(unordered) == 4 * 3


@pytest.mark.parametrize("flip", [0.0, 0.2])
def test_one_threshold_parts_the_pairs_but_for_the_flipped_share(flip):
    X, pairs, similar, metric = make_metric_pairs(
        30, n_pairs=435, similar_share=0.3, flip=flip, random_state=0
    )
    # 435 is all there are, so each must be there once.
    assert {tuple(pair) for pair in pairs.tolist()} == {(i, j) for j in range(30) for i in range(j)}
    ranked = similar[np.argsort(squared_distances(X, pairs, metric))]
    wrong = ranked != (np.arange(435) < round(0.3 * 435))
    assert wrong.sum() == round(flip * 435)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_planted_metric(n_features=2, n_informative=3), "n_informative=3 is larger"),
        (lambda: make_planted_metric(n_samples=2, n_classes=3), "n_samples=2 is smaller"),
        (lambda: make_planted_metric(class_sep=0), "'class_sep' parameter"),
        (lambda: make_planted_metric(noise=-1), "'noise' parameter"),
        (lambda: make_metric_triplets(2), "n_samples=2: a triplet is of 3"),
        (lambda: make_metric_triplets(flip=0.6), "'flip' parameter"),
        (lambda: make_metric_pairs(5, n_pairs=11), "5 rows have 10 distinct pairs"),
        (lambda: make_metric_pairs(similar_share=1.0), "'similar_share' parameter"),
    ],
)
def test_bad_parameters_are_named(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


# --------------------------------------------------------------------------- images


def image_bytes(shade, size=(12, 8), kind="JPEG"):
    content = io.BytesIO()
    Image.new("L" if kind == "PNG" else "RGB", size, shade).save(content, kind)
    return content.getvalue()


@pytest.fixture
def shades(tmp_path):
    """Four images, 12 wide and 8 high, of shades 0, 50, 100 and 150."""
    for k in range(4):
        (tmp_path / f"{k}.jpg").write_bytes(image_bytes((50 * k,) * 3))
    return ImagePaths(tmp_path, [f"{k}.jpg" for k in range(4)])


def test_images_are_indexed_like_an_array(shades, tmp_path):
    assert len(shades) == 4
    assert shades[1] == tmp_path / "1.jpg"
    assert list(shades) == [tmp_path / f"{k}.jpg" for k in range(4)]
    assert shades[np.array([True, False, False, True])].names.tolist() == ["0.jpg", "3.jpg"]
    assert shades[1:].shape == (3,)
    assert shades[[[0, 1], [2, 3], [0, 3]]].shape == (3, 2)
    assert "shape (4,)" in repr(shades)


def test_images_go_through_scikit_learn_splitters(shades):
    train, test, y_train, y_test = train_test_split(shades, [0, 1, 2, 3], random_state=0)
    assert train.names.tolist() == [f"{k}.jpg" for k in y_train]
    assert test.names.tolist() == [f"{k}.jpg" for k in y_test]
    for rows, _ in GroupKFold(2).split(shades, groups=[0, 0, 1, 1]):
        assert shades[rows].shape == (2,)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_load_reads_in_order(shades, n_jobs):
    pixels = shades.load(n_jobs=n_jobs)
    assert pixels.shape == (4, 8, 12, 3)
    assert pixels.dtype == np.uint8
    assert_allclose(pixels[:, 4, 6, 0], [0, 50, 100, 150], atol=2)
    assert shades.load(size=5).shape == (4, 5, 5, 3)
    assert shades.load(size=(4, 6), mode="L").shape == (4, 4, 6)
    assert shades[[[0, 1], [2, 3]]].load(channels_first=True).shape == (2, 2, 3, 8, 12)


def test_load_crops_at_the_centre_and_keeps_the_aspect(tmp_path):
    pixels = np.zeros((10, 30, 3), dtype=np.uint8)
    pixels[:, 10:20] = 255
    Image.fromarray(pixels).save(tmp_path / "wide.png")
    assert np.all(ImagePaths(tmp_path, ["wide.png"]).load(size=10) == 255)


def test_load_says_what_is_wrong(shades, tmp_path):
    with pytest.raises(ValueError, match="no images"):
        shades[:0].load()
    with pytest.raises(ValueError, match="mode must be"):
        shades.load(mode="CMYK")
    for size in (0, (3,), "big", 2.5, (4, -1)):
        with pytest.raises(ValueError, match="size must be"):
            shades.load(size=size)
    (tmp_path / "1.jpg").write_bytes(image_bytes((0, 0, 0), size=(9, 9)))
    with pytest.raises(ValueError, match=r"size=None.*1\.jpg is \(9, 9\)"):
        shades.load()
    (tmp_path / "1.jpg").unlink()
    with pytest.raises(FileNotFoundError, match=r"1\.jpg"):
        shades.load(size=4)


# --------------------------------------------------------------------------- small benchmarks


def write_zip(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def write_tgz(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


JPEG = image_bytes((9, 9, 9))
PNG = image_bytes(255, (105, 105), "PNG")


def make_cub200(folder):
    """Four species of two images; the first two are for training."""
    species = ["001.Auk", "002.Bee_eater", "003.Crow", "004.Dove"]
    names = [f"{name}/{name[4:]}_{k}.jpg" for name in species for k in range(2)]
    files = {f"CUB_200_2011/images/{name}": JPEG for name in names}
    files |= {
        "CUB_200_2011/images.txt": "".join(f"{k + 1} {n}\n" for k, n in enumerate(names)).encode(),
        "CUB_200_2011/image_class_labels.txt": "".join(
            f"{k + 1} {k // 2 + 1}\n" for k in range(8)
        ).encode(),
        "CUB_200_2011/classes.txt": "".join(
            f"{k + 1} {n}\n" for k, n in enumerate(species)
        ).encode(),
        "._attributes.txt": b"litter",
        "CUB_200_2011/images/001.Auk/._Auk_0.jpg": b"litter",
    }
    write_tgz(folder / "CUB_200_2011.tgz", files)
    return {"counts": {"train": (4, 2), "test": (4, 2)}, "n_train_classes": 2}


def cars_table(path_field="relative_im_path", prefix="car_ims/", rows=range(6)):
    cars = [
        {path_field: f"{prefix}{k + 1:06d}.jpg", "class": np.uint8(k // 2 + 1), "test": k % 2}
        for k in rows
    ]
    return {"annotations": cars, "class_names": np.array(["Audi", "BMW", "Citroën"], dtype=object)}


def make_cars196(folder):
    table = io.BytesIO()
    savemat(table, cars_table())
    files = {f"cars196/car_ims/{k + 1:06d}.jpg": JPEG for k in range(6)}
    files |= {"cars196/cars_annos.mat": table.getvalue(), "__MACOSX/cars196/._x.jpg": b"litter"}
    write_zip(folder / "CARS196.zip", files)
    return {"counts": {"train": (2, 1), "test": (4, 2)}, "n_train_classes": 1}


def make_sop(folder):
    header = "image_id class_id super_class_id path\n"
    train = [(1, 1, 1, "bicycle_final/1_0.JPG"), (2, 1, 1, "bicycle_final/1_1.JPG")]
    train += [(3, 2, 12, "coffee_maker_final/2_0.JPG")]
    test = [(4, 3, 12, "coffee_maker_final/3_0.JPG"), (5, 3, 12, "coffee_maker_final/3_1.JPG")]
    files = {f"Stanford_Online_Products/{row[3]}": JPEG for row in train + test}
    for part, rows in {"train": train, "test": test}.items():
        lines = "".join(" ".join(map(str, row)) + "\n" for row in rows)
        files[f"Stanford_Online_Products/Ebay_{part}.txt"] = (header + lines).encode()
    write_zip(folder / "Stanford_Online_Products.zip", files)
    return {"counts": {"train": (3, 2), "test": (2, 1)}}


def make_inshop(folder):
    rows = [
        ("img/WOMEN/Dresses/id_00000002/02_1_front.jpg", "id_00000002", "train"),
        ("img/WOMEN/Dresses/id_00000002/02_2_side.jpg", "id_00000002", "train"),
        ("img/MEN/Denim/id_00000080/01_1_front.jpg", "id_00000080", "query"),
        ("img/MEN/Denim/id_00000080/01_2_side.jpg", "id_00000080", "gallery"),
    ]
    write_zip(folder / "img.zip", {name: JPEG for name, _, _ in rows})
    lines = ["4", "image_name item_id evaluation_status", *("  ".join(row) for row in rows)]
    (folder / "list_eval_partition.txt").write_text("\n".join(lines) + "\n")
    return {"counts": {"train": (2, 1), "query": (1, 1), "gallery": (1, 1)}}


def make_omniglot(folder):
    layout = {"background": ["Greek", "Latin"], "evaluation": ["Oriya"]}
    for part, alphabets in layout.items():
        names = [
            f"images_{part}/{alphabet}/character{c:02d}/{c:04d}_{drawer:02d}.png"
            for alphabet in alphabets
            for c in (1, 2)
            for drawer in (1, 2, 3)
        ]
        write_zip(folder / f"images_{part}.zip", dict.fromkeys(names, PNG))
    return {"counts": {"background": (12, 4), "evaluation": (6, 2)}}


def make_lfw(folder):
    people = {"Ann_A": 2, "Bob_B": 3, "Cy_C": 2, "Di_D": 2}
    files = {
        f"lfw_funneled/{p}/{p}_{k + 1:04d}.jpg": JPEG for p, n in people.items() for k in range(n)
    }
    files["lfw_funneled/pairs_01.txt"] = b"not a list of ours"
    write_tgz(folder / "lfw-funneled.tgz", files)
    fold = ["Ann_A\t1\t2", "Ann_A\t2\tBob_B\t3"], ["Cy_C\t1\t2", "Cy_C\t1\tDi_D\t2"]
    (folder / "pairs.txt").write_text("\n".join(["2\t1", *fold[0], *fold[1]]) + "\n")
    (folder / "pairsDevTrain.txt").write_text("\n".join(["1", *fold[0]]) + "\n")
    (folder / "pairsDevTest.txt").write_text("\n".join(["1", *fold[1]]) + "\n")
    return {"counts": {"all": (9, 4)}}


LOADERS = {
    "cub200": (fetch_cub200, make_cub200),
    "cars196": (fetch_cars196, make_cars196),
    "sop": (fetch_sop, make_sop),
    "inshop": (fetch_inshop, make_inshop),
    "omniglot": (fetch_omniglot, make_omniglot),
    "lfw_funneled": (fetch_lfw_pairs, make_lfw),
}


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves a folder with range requests, and misbehaves when it is told to."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        path = server.folder / self.path.lstrip("/")
        server.requests.append((path.name, self.headers.get("Range")))
        if server.status or not path.is_file():
            self.send_error(server.status or 404)
            return
        content = path.read_bytes()
        tag = f'"{hashlib.md5(content).hexdigest()}"'
        start = 0
        wanted = re.match(r"bytes=(\d+)-", self.headers.get("Range") or "")
        fresh = self.headers.get("If-Range") == tag
        if wanted and fresh and server.ranges:
            start = int(wanted[1])
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if server.tags:
            self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = len(content) if not server.breaks else start + server.breaks.pop(0)
        self.wfile.write(content[start:end])
        # A short answer has to be ended by closing, or the client waits for the rest.
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path):
    """A file server of ``server.folder``; ``breaks``: after how many bytes to hang up, in turn."""
    folder = tmp_path / "served"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.folder, httpd.requests, httpd.breaks = folder, [], []
        httpd.ranges, httpd.tags, httpd.status = True, True, None
        httpd.url = f"http://127.0.0.1:{httpd.server_port}/"
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield httpd
        httpd.shutdown()
        thread.join()


@pytest.fixture
def publish(server, monkeypatch):
    """Make the small archives of a benchmark and enter them in the table of sources."""

    def publish_one(key):
        expected = LOADERS[key][1](server.folder)
        files = tuple(
            RemoteFile(
                server.url + remote.filename,
                remote.filename,
                sha256=hashlib.sha256((server.folder / remote.filename).read_bytes()).hexdigest(),
            )
            for remote in BENCHMARKS[key].files
        )
        small = replace(BENCHMARKS[key], files=files, **expected)
        monkeypatch.setitem(BENCHMARKS, key, small)
        return LOADERS[key][0], small

    return publish_one


def archives(server, benchmark):
    return [server.folder / remote.filename for remote in benchmark.files]


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


# --------------------------------------------------------------------------- loaders


@pytest.mark.parametrize("key", LOADERS)
def test_fetch_downloads_once(key, server, publish, home):
    fetch, benchmark = publish(key)
    first = fetch(data_home=home, delay=0)
    assert len(server.requests) == len(benchmark.files)
    second = fetch(data_home=home, download_if_missing=False)
    assert len(server.requests) == len(benchmark.files)
    assert all(path.is_file() for path in second.images)
    assert_array_equal(first.target, second.target)
    assert benchmark.title in second.DESCR
    # Nothing is left but the data.
    assert [path.name for path in home.iterdir()] == [benchmark.folder]
    assert second.images.load(size=6).shape == (len(second.target), 6, 6, 3)


@pytest.mark.parametrize("key", LOADERS)
def test_local_archives_replace_the_network(key, server, publish, home):
    fetch, benchmark = publish(key)
    files = archives(server, benchmark)
    data = fetch(data_home=home, archive=files if len(files) > 1 else str(files[0]))
    assert server.requests == []
    assert all(path.is_file() for path in files)
    # Once unpacked, the archive is not needed.
    again = fetch(data_home=home, download_if_missing=False)
    assert_array_equal(data.target, again.target)


@pytest.mark.parametrize("key", LOADERS)
def test_an_unpacked_folder_is_read_in_place(key, server, publish, home):
    fetch, benchmark = publish(key)
    fetch(data_home=home, archive=archives(server, benchmark))
    data = fetch(archive=home / benchmark.folder, data_home=home / "other")
    assert data.images[0].is_relative_to(home / benchmark.folder)
    assert not (home / "other").exists()


@pytest.mark.parametrize("key", [key for key in LOADERS if key != "lfw_funneled"])
def test_splits_are_the_standard_ones_with_classes_apart(key, server, publish, home):
    fetch, benchmark = publish(key)
    data = fetch(data_home=home)
    assert set(data.split) == set(benchmark.counts)
    train, *tests = benchmark.counts
    for part, (n_images, n_classes) in benchmark.counts.items():
        rows = data.split == part
        images, target = fetch(data_home=home, subset=part, return_X_y=True)
        assert_array_equal(target, data.target[rows])
        assert_array_equal(images.names, data.images.names[rows])
        assert (len(target), len(set(target))) == (n_images, n_classes)
    for part in tests:
        assert not set(data.target[data.split == train]) & set(data.target[data.split == part])
    assert len(data.target_names) == len(set(data.target))
    subset = fetch(data_home=home, subset=tests[0])
    for name, column in data.items():
        if isinstance(column, np.ndarray) and name != "target_names":
            assert_array_equal(subset[name], column[data.split == tests[0]])


def test_classes_are_named(publish, home):
    cub = publish("cub200")[0](data_home=home)
    assert cub.target_names.tolist() == ["001.Auk", "002.Bee_eater", "003.Crow", "004.Dove"]
    for path, code in zip(cub.images, cub.target, strict=True):
        assert path.parent.name == cub.target_names[code]
    assert publish("cars196")[0](data_home=home).target_names.tolist() == ["Audi", "BMW", "Citroën"]
    sop = publish("sop")[0](data_home=home)
    assert sop.category.tolist() == ["bicycle"] * 2 + ["coffee_maker"] * 3
    assert sop.target_names[sop.target].tolist() == ["1", "1", "2", "3", "3"]
    inshop = publish("inshop")[0](data_home=home)
    assert inshop.category.tolist() == ["WOMEN/Dresses"] * 2 + ["MEN/Denim"] * 2
    assert inshop.target[2] == inshop.target[3]
    omniglot = publish("omniglot")[0](data_home=home)
    assert omniglot.target_names[0] == "Greek/character01"
    assert omniglot.drawer.tolist() == [1, 2, 3] * 6
    assert_array_equal(np.unique(omniglot.alphabet), ["Greek", "Latin", "Oriya"])


def test_lfw_pairs_are_of_the_people_they_say(publish, home):
    fetch, _ = publish("lfw_funneled")
    data = fetch(data_home=home)
    assert data.fold.tolist() == [0, 0, 1, 1]
    assert_array_equal(data.same, data.target[data.pairs[:, 0]] == data.target[data.pairs[:, 1]])
    names = [[path.stem for path in data.images[pair]] for pair in data.pairs]
    assert names[1] == ["Ann_A_0002", "Bob_B_0003"]
    assert names[2] == ["Cy_C_0001", "Cy_C_0002"]
    people = [set(data.target[data.pairs[data.fold == k]].ravel()) for k in (0, 1)]
    assert not people[0] & people[1]
    X, same = fetch(data_home=home, subset="train", return_X_y=True)
    assert X.shape == (2, 2)
    assert same.tolist() == [True, False]
    assert X.load(size=4, mode="L").shape == (2, 2, 4, 4)


def test_cars_are_read_from_the_challenge_layout(server, publish, home):
    fetch, _ = publish("cars196")
    expected = fetch(data_home=home)
    loose = server.folder / "loose"
    loose.mkdir()
    parts = {"train": range(3), "test": range(3, 6)}
    for part, rows in parts.items():
        write_tgz(
            loose / f"cars_{part}.tgz",
            {f"cars_{part}/{k + 1:06d}.jpg": JPEG for k in rows},
        )
    tables = {part: cars_table("fname", "", rows)["annotations"] for part, rows in parts.items()}
    savemat(loose / "cars_test_annos_withlabels.mat", {"annotations": tables["test"]})
    kit = io.BytesIO(), io.BytesIO()
    savemat(kit[0], {"annotations": tables["train"]})
    savemat(kit[1], {"class_names": np.array(["Audi", "BMW", "Citroën"], dtype=object)})
    write_tgz(
        loose / "car_devkit.tgz",
        {
            "devkit/cars_train_annos.mat": kit[0].getvalue(),
            "devkit/cars_meta.mat": kit[1].getvalue(),
        },
    )
    data = fetch(data_home=home / "other", archive=sorted(loose.iterdir()))
    assert_array_equal(data.target, expected.target)
    assert_array_equal(data.target_names, expected.target_names)
    assert [path.name for path in data.images] == [path.name for path in expected.images]


def test_default_home_is_within_that_of_scikit_learn(server, publish, tmp_path, monkeypatch):
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path / "sk"))
    fetch, _ = publish("cub200")
    assert fetch().images.folder.is_relative_to(tmp_path / "sk" / "metriclearn")


def test_missing_data_are_not_downloaded_against_ones_will(server, publish, home):
    fetch, _ = publish("cub200")
    with pytest.raises(OSError, match=r"CUB-200-2011 is not in .* download_if_missing=False"):
        fetch(data_home=home, download_if_missing=False)
    assert server.requests == []
    assert not home.exists()


def test_verbose_shows_a_bar_and_silence_is_the_default(publish, home, capsys):
    fetch, _ = publish("cub200")
    fetch(data_home=home)
    assert capsys.readouterr() == ("", "")
    fetch(data_home=home / "again", verbose=1)
    shown = capsys.readouterr().out
    assert "CUB_200_2011.tgz (MiB)" in shown
    assert "unpacking CUB_200_2011.tgz" in shown


# --------------------------------------------------------------------------- broken networks


@pytest.fixture
def remote(server, monkeypatch):
    """A file of 10,000 bytes, read in chunks of 1,000."""
    monkeypatch.setattr(_fetch, "CHUNK", 1000)
    content = np.random.RandomState(0).bytes(10_000)
    (server.folder / "file.bin").write_bytes(content)
    return RemoteFile(
        server.url + "file.bin", "file.bin", sha256=hashlib.sha256(content).hexdigest()
    )


def served(server):
    return (server.folder / "file.bin").read_bytes()


def test_a_broken_download_goes_on_where_it_broke(server, remote, home):
    server.breaks = [4000, 2500]
    path = download(remote, home, delay=0)
    assert path.read_bytes() == served(server)
    assert [wanted for _, wanted in server.requests] == [None, "bytes=4000-", "bytes=6500-"]
    assert [file.name for file in home.iterdir()] == ["file.bin"]


def test_a_part_is_continued_by_the_next_call(server, remote, home):
    server.breaks = [4000]
    with pytest.raises(OSError, match=r"4000 of 10000 bytes.*call again to go on"):
        download(remote, home, n_retries=0)
    assert not (home / "file.bin").exists()
    assert (home / "file.bin.part").stat().st_size == 4000
    download(remote, home)
    assert server.requests[-1] == ("file.bin", "bytes=4000-")
    assert (home / "file.bin").read_bytes() == served(server)


def test_a_part_complete_but_for_its_name_is_kept(server, remote, home):
    server.breaks = [4000]
    with pytest.raises(OSError, match="4000"):
        download(remote, home, n_retries=0)
    (home / "file.bin.part").write_bytes(served(server))
    assert download(remote, home).read_bytes() == served(server)
    assert server.requests[-1] == ("file.bin", "bytes=10000-")


def test_a_part_that_is_too_long_is_discarded(server, remote, home):
    server.breaks = [4000]
    with pytest.raises(OSError, match="4000"):
        download(remote, home, n_retries=0)
    (home / "file.bin.part").write_bytes(served(server) + b"more")
    assert download(remote, home).read_bytes() == served(server)


@pytest.mark.parametrize("why", ["changed", "no ranges", "no tags"])
def test_a_part_that_cannot_be_continued_is_discarded(why, server, remote, home):
    server.breaks = [4000]
    server.tags = why != "no tags"
    with pytest.raises(OSError, match="4000"):
        download(remote, home, n_retries=0)
    server.ranges = why != "no ranges"
    if why == "changed":
        content = served(server)[::-1]
        (server.folder / "file.bin").write_bytes(content)
        remote = replace(remote, sha256=hashlib.sha256(content).hexdigest())
    assert download(remote, home).read_bytes() == served(server)


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_a_wrong_checksum_is_refused_and_the_file_removed(algorithm, server, remote, home):
    wrong = replace(remote, **{"sha256": None, algorithm: "0" * 32})
    with pytest.raises(OSError, match=rf"wrong checksum \({algorithm} \w+, should be 0+\)"):
        download(wrong, home)
    assert not (home / "file.bin").exists()
    assert not (home / "file.bin.part").exists()
    # A complete file from elsewhere is no better.
    (home / "file.bin").write_bytes(b"something else")
    with pytest.raises(OSError, match="checksum"):
        download(remote, home)
    assert download(remote, home).read_bytes() == served(server)


def test_a_right_md5_is_accepted(server, remote, home):
    md5 = hashlib.md5(served(server)).hexdigest()
    assert download(replace(remote, sha256=None, md5=md5), home).is_file()


def test_a_refusal_is_not_asked_for_again(server, remote, home):
    with pytest.raises(OSError, match=r"answered 404 Not Found; .* give it as archive="):
        download(replace(remote, url=remote.url + "x"), home, delay=0)
    assert len(server.requests) == 1


def test_a_troubled_server_is_asked_again(server, remote, home):
    server.status = 503
    with pytest.raises(OSError, match="answered 503"):
        download(remote, home, n_retries=2, delay=0)
    assert len(server.requests) == 3


def test_an_unreachable_server_is_an_os_error(home):
    unreachable = RemoteFile("http://127.0.0.1:9/file.bin", "file.bin")
    with pytest.raises(OSError, match=r"call again to go on, or give file\.bin as archive="):
        download(unreachable, home, n_retries=1, delay=0)


def test_a_loader_refuses_a_wrong_checksum(server, publish, home, monkeypatch):
    fetch, benchmark = publish("cub200")
    wrong = replace(benchmark.files[0], sha256="0" * 64)
    monkeypatch.setitem(BENCHMARKS, "cub200", replace(benchmark, files=(wrong,)))
    with pytest.raises(OSError, match="wrong checksum"):
        fetch(data_home=home)
    assert list(home.rglob("*.tgz*")) == []


# --------------------------------------------------------------------------- bad archives


@pytest.mark.parametrize(
    "content",
    [b"", b"<!DOCTYPE html><title>Quota exceeded</title>", b"PK\x03\x04 broken"],
    ids=["empty", "page", "broken zip"],
)
def test_what_is_no_archive_is_refused(content, publish, home, tmp_path):
    fetch, _ = publish("cub200")
    path = tmp_path / "CUB_200_2011.tgz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"CUB_200_2011\.tgz is not a whole zip or tar archive"):
        fetch(data_home=home, archive=path)
    assert path.exists()
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("key", ["cub200", "sop"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_archive_leaves_nothing_behind(key, share, server, publish, home):
    fetch, benchmark = publish(key)
    (path,) = archives(server, benchmark)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match="is not a whole zip or tar archive"):
        fetch(data_home=home, archive=path)
    assert list(home.iterdir()) == []
    # The whole one is accepted afterwards.
    path.write_bytes(content)
    assert len(fetch(data_home=home, archive=path).target) > 0


def test_a_damaged_member_is_refused(server, publish, home):
    fetch, benchmark = publish("sop")
    (path,) = archives(server, benchmark)
    content = bytearray(path.read_bytes())
    content[content.index(JPEG) + 20] ^= 255
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match="CRC"):
        fetch(data_home=home, archive=path)


@pytest.mark.parametrize("name", ["../out.txt", "/out.txt", "a/../../out.txt", "C:\\out.txt"])
@pytest.mark.parametrize("write", [write_zip, write_tgz])
def test_a_member_that_leads_out_of_the_folder_is_refused(name, write, publish, home, tmp_path):
    fetch, _ = publish("cub200")
    write(tmp_path / "evil", {"images.txt": b"1 a.jpg\n", name: b"gotcha"})
    with pytest.raises(ValueError, match="leads out of the folder"):
        fetch(data_home=home, archive=tmp_path / "evil")
    assert list(tmp_path.rglob("out.txt")) == []


def test_a_link_that_leads_out_of_the_folder_is_refused(publish, home, tmp_path):
    fetch, _ = publish("cub200")
    with tarfile.open(tmp_path / "evil.tgz", "w:gz") as archive:
        link = tarfile.TarInfo("images")
        link.type, link.linkname = tarfile.SYMTYPE, "../../../elsewhere"
        archive.addfile(link)
    with pytest.raises(ValueError, match="outside the destination"):
        fetch(data_home=home, archive=tmp_path / "evil.tgz")


def test_a_password_is_said(publish, home, tmp_path):
    fetch, _ = publish("inshop")
    path = tmp_path / "img.zip"
    write_zip(path, {"img/a.jpg": JPEG})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match="has a password"):
        fetch(data_home=home, archive=path)


@pytest.mark.parametrize("key", LOADERS)
def test_a_foreign_archive_is_refused(key, publish, home, tmp_path):
    fetch, benchmark = publish(key)
    write_zip(tmp_path / "holiday.zip", {"beach/1.jpg": JPEG})
    with pytest.raises(
        ValueError, match=rf"holiday\.zip'\) is not {re.escape(benchmark.title)}: there is no"
    ):
        fetch(data_home=home, archive=tmp_path / "holiday.zip")
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("key", LOADERS)
def test_a_foreign_download_is_removed(key, server, publish, home, monkeypatch):
    """As where a source without a published checksum now serves something else."""
    fetch, benchmark = publish(key)
    for remote in benchmark.files:
        write_zip(server.folder / remote.filename, {"beach/1.jpg": JPEG})
    files = tuple(replace(remote, sha256=None) for remote in benchmark.files)
    monkeypatch.setitem(BENCHMARKS, key, replace(benchmark, files=files))
    with pytest.raises(ValueError, match=rf"127\.0\.0\.1.* is not {re.escape(benchmark.title)}"):
        fetch(data_home=home)
    assert list(home.iterdir()) == []


def test_missing_images_and_wrong_numbers_are_refused(server, publish, home, monkeypatch):
    fetch, benchmark = publish("cub200")
    fetch(data_home=home)
    folder = home / benchmark.folder
    image = folder / "CUB_200_2011" / "images" / "004.Dove" / "Dove_1.jpg"
    image.unlink()
    with pytest.raises(ValueError, match=r"the image 004\.Dove/Dove_1\.jpg is missing"):
        fetch(archive=folder)
    larger = replace(benchmark, counts={"train": (4, 2), "test": (5, 2)})
    monkeypatch.setitem(BENCHMARKS, "cub200", larger)
    with pytest.raises(ValueError, match="test has 4 images of 2 classes, 5 of 2 are expected"):
        fetch(archive=folder)


@pytest.mark.parametrize("share", [0, 0.1, 0.5])
def test_a_damaged_table_of_cars_is_refused(share, server, publish, home):
    fetch, _ = publish("cars196")
    fetch(data_home=home)
    table = home / "cars196" / "cars196" / "cars_annos.mat"
    content = table.read_bytes()
    table.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match="is not Cars196"):
        fetch(archive=home / "cars196")


def test_a_page_in_place_of_a_list_is_refused(server, publish, home):
    fetch, benchmark = publish("inshop")
    path = server.folder / "list_eval_partition.txt"
    for page in ("<html>\n<p>Quota exceeded\n", "<html>\n<p>\nThe quota is exceeded\n"):
        path.write_text(page)
        with pytest.raises(ValueError, match=r"is not In-Shop .* list_eval_partition\.txt"):
            fetch(data_home=home, archive=archives(server, benchmark))
    for name in ("/img/MEN/a.jpg", "img/[a-z]/**/a.jpg"):
        path.write_text(f"1\nimage_name item_id evaluation_status\n{name} id_1 train\n")
        with pytest.raises(ValueError, match="is not In-Shop"):
            fetch(data_home=home, archive=archives(server, benchmark))


@pytest.mark.parametrize("content", ["", "1\n", "1 one\n2 two", "\ufeff"])
def test_a_kept_folder_that_was_tampered_with_says_so(content, publish, home):
    fetch, benchmark = publish("cub200")
    fetch(data_home=home)
    labels = home / benchmark.folder / "CUB_200_2011" / "image_class_labels.txt"
    labels.write_text(content)
    with pytest.raises(ValueError, match="delete the folder and fetch it again"):
        fetch(data_home=home)


def test_a_half_extracted_folder_is_never_taken_for_a_whole_one(publish, home, monkeypatch):
    fetch, benchmark = publish("cub200")

    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("metriclearn.datasets._benchmark.os.replace", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch(data_home=home)
    assert not (home / benchmark.folder).exists()
    # What was downloaded is whole, and is used.
    assert len(fetch(data_home=home).target) == 8


def test_two_processes_may_fetch_at_once(server, publish, home, monkeypatch):
    fetch, benchmark = publish("cub200")
    (archive,) = archives(server, benchmark)
    other = home / "other"
    fetch(data_home=other, archive=archive)

    def lost_race(source, target):
        (other / benchmark.folder).rename(target)
        raise OSError("the folder is there already")

    monkeypatch.setattr("metriclearn.datasets._benchmark.os.replace", lost_race)
    assert len(fetch(data_home=home, archive=archive).target) == 8


@pytest.mark.parametrize(
    ("archive", "message"),
    [
        ("nowhere.tgz", "archive: there is no nowhere.tgz"),
        ([], "archive is an empty list"),
        ([".", "."], "archive: . is a folder in a list"),
        (3, "'archive' parameter"),
    ],
)
def test_a_bad_archive_argument_is_named(archive, message, home):
    with pytest.raises(ValueError, match=re.escape(message)):
        fetch_sop(data_home=home, archive=archive)
    assert not home.exists()


@pytest.mark.parametrize("fetch", [fetch_cub200, fetch_inshop, fetch_omniglot, fetch_mnist])
def test_an_unknown_subset_is_named(fetch, home):
    with pytest.raises(ValueError, match="'subset' parameter"):
        fetch(subset="validation", data_home=home)


# --------------------------------------------------------------------------- MNIST


def idx(array):
    shape = b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    return b"\0\0\x08" + bytes([array.ndim]) + shape + array.astype(np.uint8).tobytes()


@pytest.fixture
def mnist(tmp_path, monkeypatch):
    """Six training and three test images, as the authors' files, one of them plain."""
    monkeypatch.setattr(_mnist, "SIZES", {"train": 6, "test": 3})
    rng = np.random.RandomState(0)
    pixels, digits = rng.randint(0, 256, (9, 28, 28)), rng.randint(0, 10, 9)
    folder = tmp_path / "idx"
    folder.mkdir()
    for prefix, rows in {"train": slice(6), "t10k": slice(6, 9)}.items():
        images = gzip.compress(idx(pixels[rows]))
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(images)
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(digits[rows]))
    return folder, pixels.reshape(9, 784), digits


@pytest.fixture
def openml(mnist, monkeypatch):
    """The same images from a stand-in for OpenML, which notes what it was asked for."""
    asked = []

    def fetch_openml(name, **options):
        asked.append((name, options))
        return Bunch(data=mnist[1].astype(float), target=mnist[2].astype(str).astype(object))

    monkeypatch.setattr(_mnist, "fetch_openml", fetch_openml)
    return asked


def test_mnist_from_the_authors_files(mnist, home):
    folder, pixels, digits = mnist
    data = fetch_mnist(archive=folder, data_home=home)
    assert data.data.dtype == np.uint8
    assert_array_equal(data.data, pixels)
    assert_array_equal(data.target, digits)
    assert data.split.tolist() == ["train"] * 6 + ["test"] * 3
    X, y = fetch_mnist(archive=folder, subset="test", return_X_y=True)
    assert_array_equal(X, pixels[6:])
    assert_array_equal(y, digits[6:])
    assert not home.exists()


@pytest.mark.parametrize(
    ("name", "fetch", "first"),
    [
        ("mnist_784", fetch_mnist, "0"),
        ("Fashion-MNIST", datasets.fetch_fashion_mnist, "T-shirt/top"),
    ],
)
def test_mnist_from_openml_is_asked_for_once(name, fetch, first, mnist, openml, home):
    data = fetch(data_home=home, n_retries=5, delay=0.5)
    ((asked, options),) = openml
    assert asked == name
    assert options["version"] == 1
    assert options["as_frame"] is False
    assert (options["data_home"], options["n_retries"], options["delay"]) == (home, 5, 0.5)
    assert_array_equal(data.data, mnist[1])
    assert_array_equal(data.target, mnist[2])
    assert data.target.dtype == np.int64
    assert data.target_names[0] == first
    again = fetch(data_home=home, download_if_missing=False)
    assert len(openml) == 1
    assert_array_equal(again.data, data.data)
    assert [path.suffix for path in home.iterdir()] == [".npz"]


def test_mnist_says_what_is_wrong(mnist, openml, home, tmp_path, monkeypatch):
    folder = mnist[0]
    with pytest.raises(OSError, match="download_if_missing=False"):
        fetch_mnist(data_home=home, download_if_missing=False)
    with pytest.raises(ValueError, match=r"archive: .*nowhere is no folder"):
        fetch_mnist(archive=tmp_path / "nowhere")
    with pytest.raises(ValueError, match="has no file train-images-idx3-ubyte"):
        fetch_mnist(archive=tmp_path)
    labels = folder / "train-labels-idx1-ubyte"
    for content in (b"", b"\0\0\x08", b"\0\0\x08\x01\0\0", labels.read_bytes()[:-1], b"PNG..."):
        labels.write_bytes(content)
        with pytest.raises(ValueError, match="is no whole IDX file"):
            fetch_mnist(archive=folder)
    labels.write_bytes(idx(np.zeros(5)))
    with pytest.raises(ValueError, match=r"train images are of shape \(6, 28, 28\) and .* \(5,\)"):
        fetch_mnist(archive=folder)
    images = folder / "train-images-idx3-ubyte.gz"
    images.write_bytes(images.read_bytes()[:50])
    with pytest.raises(ValueError, match="is damaged"):
        fetch_mnist(archive=folder)
    monkeypatch.setattr(_mnist, "SIZES", {"train": 6, "test": 4})
    with pytest.raises(ValueError, match=r"from OpenML is of shape \(9, 784\), not \(10, 784\)"):
        fetch_mnist(data_home=home)


def test_a_damaged_kept_mnist_says_so(mnist, openml, home):
    fetch_mnist(data_home=home)
    (kept,) = home.iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    with pytest.raises(ValueError, match="delete it and fetch it again"):
        fetch_mnist(data_home=home)


# --------------------------------------------------------------------------- the room


def test_sources_are_complete():
    for key, benchmark in BENCHMARKS.items():
        assert key in LOADERS or key == "lfw"
        for remote in benchmark.files:
            assert remote.url.startswith("http")
            for digest, length in ((remote.sha256, 64), (remote.md5, 32)):
                assert digest is None or re.fullmatch(rf"[0-9a-f]{{{length}}}", digest)
    unchecked = [key for key, b in BENCHMARKS.items() if not all(f.sha256 for f in b.files)]
    assert unchecked == ["cars196", "inshop"]


def test_public_names_are_documented_and_others_are_none():
    for name in datasets.__all__:
        assert getattr(datasets, name).__doc__
        assert name in dir(datasets)
    with pytest.raises(AttributeError, match="no attribute 'fetch_imagenet'"):
        datasets.fetch_imagenet  # noqa: B018


def test_images_need_pillow_only_when_they_are_read(shades, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    with pytest.raises(ImportError, match=r"pip install 'metriclearn\[cli\]'"):
        shades.load()


def test_paths_may_be_text_or_paths(server, publish, home):
    fetch, benchmark = publish("cub200")
    (path,) = archives(server, benchmark)
    assert len(fetch(data_home=str(home), archive=Path(path)).target) == 8
