"""Small archives laid out as the benchmarks', and a server of them that misbehaves."""

import hashlib
import http.server
import io
import re
import tarfile
import zipfile
from functools import cache

import numpy as np
from scipy.io import savemat

from helpers.optional import Image
from metriclearn.datasets import (
    fetch_cars196,
    fetch_cub200,
    fetch_inshop,
    fetch_lfw_pairs,
    fetch_omniglot,
    fetch_sop,
)


def image_bytes(shade, size=(12, 8), kind="JPEG"):
    content = io.BytesIO()
    Image.new("L" if kind == "PNG" else "RGB", size, shade).save(content, kind)
    return content.getvalue()


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


@cache
def jpeg():
    return image_bytes((9, 9, 9))


@cache
def png():
    return image_bytes(255, (105, 105), "PNG")


def make_cub200(folder):
    """Four species of two images; the first two are for training."""
    species = ["001.Auk", "002.Bee_eater", "003.Crow", "004.Dove"]
    names = [f"{name}/{name[4:]}_{k}.jpg" for name in species for k in range(2)]
    files = {f"CUB_200_2011/images/{name}": jpeg() for name in names}
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
    files = {f"cars196/car_ims/{k + 1:06d}.jpg": jpeg() for k in range(6)}
    files |= {"cars196/cars_annos.mat": table.getvalue(), "__MACOSX/cars196/._x.jpg": b"litter"}
    write_zip(folder / "CARS196.zip", files)
    return {"counts": {"train": (2, 1), "test": (4, 2)}, "n_train_classes": 1}


def make_sop(folder):
    header = "image_id class_id super_class_id path\n"
    train = [(1, 1, 1, "bicycle_final/1_0.JPG"), (2, 1, 1, "bicycle_final/1_1.JPG")]
    train += [(3, 2, 12, "coffee_maker_final/2_0.JPG")]
    test = [(4, 3, 12, "coffee_maker_final/3_0.JPG"), (5, 3, 12, "coffee_maker_final/3_1.JPG")]
    files = {f"Stanford_Online_Products/{row[3]}": jpeg() for row in train + test}
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
    write_zip(folder / "img.zip", {name: jpeg() for name, _, _ in rows})
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
        write_zip(folder / f"images_{part}.zip", dict.fromkeys(names, png()))
    return {"counts": {"background": (12, 4), "evaluation": (6, 2)}}


def make_lfw(folder):
    people = {"Ann_A": 2, "Bob_B": 3, "Cy_C": 2, "Di_D": 2}
    files = {
        f"lfw_funneled/{p}/{p}_{k + 1:04d}.jpg": jpeg() for p, n in people.items() for k in range(n)
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


def archives(server, benchmark):
    return [server.folder / remote.filename for remote in benchmark.files]
