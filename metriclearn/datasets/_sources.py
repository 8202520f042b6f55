"""Where the benchmarks are, their published checksums, and what they must contain.

Checksums: Omniglot, CUB-200-2011 and Stanford Online Products as TensorFlow
Datasets publishes them, LFW as scikit-learn does. None is published for the zip of
Cars196 or for In-Shop; for these, as for every archive given by hand, the numbers
of images and classes below are what is checked, and they come over https only.
"""

from dataclasses import dataclass

from metriclearn.datasets._fetch import RemoteFile

OMNIGLOT = "https://github.com/brendenlake/omniglot/raw/master/python/"
FIGSHARE = "https://ndownloader.figshare.com/files/"
DRIVE = "https://drive.usercontent.google.com/download?export=download&confirm=t&id="


@dataclass(frozen=True)
class Benchmark:
    """What is known of a data set before it is read.

    Parameters
    ----------
    title : str
        Name in messages.
    paper : str
        Authors and year.
    folder : str
        Name of its folder in the data home.
    files : tuple of RemoteFile
        What is downloaded and unpacked into that folder.
    counts : dict of str to (int, int)
        Number of images and of classes of each part of the standard split.
    n_train_classes : int, default=None
        Where the split is by class number: how many of the first are for training.
    """

    title: str
    paper: str
    folder: str
    files: tuple[RemoteFile, ...]
    counts: dict[str, tuple[int, int]]
    n_train_classes: int | None = None


_LFW_LISTS = (
    RemoteFile(
        FIGSHARE + "5976012",
        "pairsDevTrain.txt",
        sha256="1d454dada7dfeca0e7eab6f65dc4e97a6312d44cf142207be28d688be92aabfa",
    ),
    RemoteFile(
        FIGSHARE + "5976009",
        "pairsDevTest.txt",
        sha256="7cb06600ea8b2814ac26e946201cdb304296262aad67d046a16a7ec85d0ff87c",
    ),
    RemoteFile(
        FIGSHARE + "5976006",
        "pairs.txt",
        sha256="ea42330c62c92989f9d7c03237ed5d591365e89b3e649747777b70e692dc1592",
    ),
)

BENCHMARKS = {
    "omniglot": Benchmark(
        title="Omniglot",
        paper="Lake, Salakhutdinov and Tenenbaum, 2015",
        folder="omniglot",
        files=(
            RemoteFile(
                OMNIGLOT + "images_background.zip",
                "images_background.zip",
                sha256="ad41ab679c8b5d90b271ef46be6987cc81211774a695c29dcc5367b2b26ee640",
            ),
            RemoteFile(
                OMNIGLOT + "images_evaluation.zip",
                "images_evaluation.zip",
                sha256="1f61a8f3366785b057fc117d9228e78a16e3d976c8953b2a10fcc74cf0609cee",
            ),
        ),
        counts={"background": (19280, 964), "evaluation": (13180, 659)},
    ),
    "cub200": Benchmark(
        title="CUB-200-2011",
        paper="Wah, Branson, Welinder, Perona and Belongie, 2011",
        folder="cub_200_2011",
        files=(
            RemoteFile(
                "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
                "CUB_200_2011.tgz",
                sha256="0c685df5597a8b24909f6a7c9db6d11e008733779a671760afef78feb49bf081",
            ),
        ),
        counts={"train": (5864, 100), "test": (5924, 100)},
        n_train_classes=100,
    ),
    "cars196": Benchmark(
        title="Cars196",
        paper="Krause, Stark, Deng and Fei-Fei, 2013",
        folder="cars196",
        files=(RemoteFile("https://ftp.cs.stanford.edu/cs/cvgl/CARS196.zip", "CARS196.zip"),),
        counts={"train": (8054, 98), "test": (8131, 98)},
        n_train_classes=98,
    ),
    "sop": Benchmark(
        title="Stanford Online Products",
        paper="Oh Song, Xiang, Jegelka and Savarese, 2016",
        folder="stanford_online_products",
        files=(
            RemoteFile(
                "http://ftp.cs.stanford.edu/cs/cvgl/Stanford_Online_Products.zip",
                "Stanford_Online_Products.zip",
                sha256="b04fa78210e69fab050ce73939550e1cd0f96890bdd98ec9fee732c3b756ef48",
            ),
        ),
        counts={"train": (59551, 11318), "test": (60502, 11316)},
    ),
    "inshop": Benchmark(
        title="In-Shop Clothes Retrieval",
        paper="Liu, Luo, Qiu, Wang and Tang, 2016",
        folder="inshop",
        files=(
            RemoteFile(
                DRIVE + "0B7EVK8r0v71pS2YxRE1QTFZzekU&resourcekey=0-2n-dbZygJiZdm0UbEaFRTA",
                "img.zip",
            ),
            RemoteFile(
                DRIVE + "0B7EVK8r0v71pYVBqLXpRVjhHeWM&resourcekey=0-rxJ2QcImN-IRo_Bv9QSXmg",
                "list_eval_partition.txt",
            ),
        ),
        counts={"train": (25882, 3997), "query": (14218, 3985), "gallery": (12612, 3985)},
    ),
    "lfw_funneled": Benchmark(
        title="LFW (funneled)",
        paper="Huang, Ramesh, Berg and Learned-Miller, 2007",
        folder="lfw_funneled",
        files=(
            RemoteFile(
                FIGSHARE + "5976015",
                "lfw-funneled.tgz",
                sha256="b47c8422c8cded889dc5a13418c4bc2abbda121092b3533a83306f90d900100a",
            ),
            *_LFW_LISTS,
        ),
        counts={"all": (13233, 5749)},
    ),
    "lfw": Benchmark(
        title="LFW",
        paper="Huang, Ramesh, Berg and Learned-Miller, 2007",
        folder="lfw",
        files=(
            RemoteFile(
                FIGSHARE + "5976018",
                "lfw.tgz",
                sha256="055f7d9c632d7370e6fb4afc7468d40f970c34a80d4c6f50ffec63f5a8d536c0",
            ),
            *_LFW_LISTS,
        ),
        counts={"all": (13233, 5749)},
    ),
}
