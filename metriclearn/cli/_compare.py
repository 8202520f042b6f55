"""``metriclearn compare``: which distance is best on your data."""

import sys
import warnings
from contextlib import contextmanager

from metriclearn._extras import require
from metriclearn._text import printable
from metriclearn.cli import _numbers
from metriclearn.cli._errors import EXIT_INTERRUPTED, BadInputError, wrapped
from metriclearn.cli._judged import read_judged
from metriclearn.cli._outputs import Outputs, check_outputs, save_winner
from metriclearn.compare import LEARNER_NAMES, SOURCE_NAMES

CONNECT_SECONDS = 10
EXAMPLES = """
examples:
  metriclearn compare wine
  metriclearn compare measurements.csv --target species --report report.html
  metriclearn compare houses.csv --target price        # an amount: regression
  metriclearn compare items.csv --triplets judged.csv  # judgments in place of labels
  metriclearn compare photos/ --report report.html     # one sub-folder of images a class
  metriclearn compare photos/ --features timm/resnet18.a1_in1k --report report.html
  metriclearn compare photos/ --features timm/resnet18.a1_in1k --finetune
  metriclearn compare digits --learners lmnn,nca,proxy_anchor --tune random --budget 20
  metriclearn compare wine iris breast_cancer --learners linear

A table has one row per sample and a column of labels; what is found in it and done about it is
printed first. Exit codes: 0; 2 for bad input; 130 after Ctrl-C and 143
after SIGTERM, with what was finished.
"""


def add_parser(commands):
    """Add the sub-command to a parser."""
    parser = commands.add_parser(
        "compare",
        help="which distance is best on your data, and is a deep one worth it",
        description=(
            "Compare linear and deep metrics on labeled rows or images: new rows of known "
            "classes (closed set) and classes never seen in training (open set)."
        ),
        usage="%(prog)s SOURCE [SOURCE ...] [options]",
        epilog=f"Learners: {', '.join(LEARNER_NAMES)}\n{EXAMPLES}",
    )
    for add_options in (
        _add_data,
        _add_learners,
        _add_outputs,
        _add_runs,
        _add_searches,
        _add_networks,
    ):
        add_options(parser.add_argument)
    parser.set_defaults(run=run)


def _add_data(add):
    """Add what is compared on, and what its columns are."""
    add(
        "sources",
        metavar="SOURCE",
        nargs="+",
        help=f"{', '.join(SOURCE_NAMES[:-1])} or {SOURCE_NAMES[-1]}; a table (.csv, "
        ".tsv, .parquet, .xlsx, packed or not); an .npz file with X and y; or a folder with one "
        "sub-folder of images per class; "
        "of several, the learners are ranked over them",
    )
    add("--target", metavar="COL", help="label column of a table")
    add(
        "--groups",
        metavar="COL",
        help="column that says what a row is a measurement of: a person, a machine; rows of one "
        "group are never on both sides of a split",
    )
    add(
        "--split",
        metavar="COL",
        help="column that says train or test of each row, or query, gallery and train: no other "
        "split is drawn; of photos in folders of these names, or with a list of them: split",
    )
    add(
        "--task",
        choices=("classes", "amounts"),
        help="what the target holds (inferred from it): amounts are predicted by the mean of the "
        "nearest neighbors",
    )
    add(
        "--pairs",
        metavar="FILE",
        help="in place of labels: a table of pairs of items of SOURCE that are the same or not, "
        "with the columns first, second and same (1 or 0)",
    )
    add(
        "--triplets",
        metavar="FILE",
        help="in place of labels: a table with the columns anchor, nearer and farther, of which "
        "the first is nearer to the second than to the third",
    )
    add(
        "--ids",
        metavar="COL",
        help="with --pairs or --triplets: the column of SOURCE that names its items (inferred, or "
        "else row numbers from 0)",
    )
    add("--drop", metavar="COL,..", type=_numbers.names, default=(), help="columns to leave out")
    add(
        "--keep",
        metavar="COL,..",
        type=_numbers.names,
        default=(),
        help="columns to keep that would be left out: row numbers, ids",
    )
    add(
        "--min-rows",
        type=_numbers.whole,
        metavar="N",
        help="classes with fewer rows are searched, but not tested on (5)",
    )
    add(
        "--image-shape",
        type=_numbers.shape,
        metavar="HxW",
        help="the rows are images of this height and width, as in 28x28 or 32x32x3",
    )


def _add_learners(add):
    """Add which learners are compared, and how much may be spent on them."""
    add(
        "--learners",
        metavar="A,B,..",
        help="default, all, linear, deep, names as listed below, or package.module:Class",
    )
    add(
        "--effort",
        choices=("quick", "normal", "thorough"),
        help="how much may be spent on each learner (normal, or quick with --time)",
    )
    add(
        "--time",
        metavar="T",
        help="end within this time, as in 90s, 10m or 1h: each learner gets a little, then the "
        "time goes to those that can still win",
    )


def _add_outputs(add):
    """Add what is written."""
    add("--report", metavar="FILE", help="write a self-contained HTML report")
    add("--json", metavar="FILE", help="write every number as JSON")
    add("--save", metavar="DIR", help="fit the winner on all rows and keep it in this folder")
    add("--save-learner", metavar="NAME", help="with --save: keep this learner instead")


def _add_runs(add):
    """Add how often everything is run, and by which processes."""
    add(
        "--seed",
        type=_numbers.seed,
        metavar="N",
        default=0,
        help="random seed of all splits and learners (0)",
    )
    add(
        "--folds",
        type=_numbers.folds,
        metavar="N",
        default=5,
        help="splits of each protocol (5)",
    )
    add(
        "--repeats",
        type=_numbers.whole,
        metavar="N",
        default=1,
        help="how many times the splits are drawn: more of them detect smaller leads (1)",
    )
    add(
        "--seeds",
        type=_numbers.whole,
        metavar="N",
        default=1,
        help="how many times each fold is run, with other weights and batches (1)",
    )
    add(
        "--n-jobs",
        type=_numbers.n_jobs,
        metavar="N",
        help="processes; -1, the default, for all cores",
    )
    add("--dask", metavar="ADDRESS", help="run on the Dask cluster whose scheduler is there")


def _add_searches(add):
    """Add searches of settings, curves, and where what is finished is kept."""
    add(
        "--tune",
        choices=("none", "grid", "random", "halving"),
        help="search the settings of each learner on validation data (default: a few settings "
        "each; none: the first of them)",
    )
    add(
        "--budget",
        metavar="N",
        help="with --tune: fits for each learner in each fold (20), or seconds as in 90s",
    )
    add(
        "--rows",
        type=_numbers.counts,
        metavar="N,N,..",
        help="learning curves over numbers of training rows",
    )
    add(
        "--dimensions",
        type=_numbers.counts,
        metavar="D,D,..",
        help="curves over the dimension of the learned space, as in 64,128,512",
    )
    add(
        "--shift",
        type=_numbers.whole,
        metavar="N",
        help="a curve over N splits of growing distance between train and test classes",
    )
    add(
        "--resume",
        metavar="DIR",
        help="keep every finished fit in this folder, and go on from what it holds",
    )


def _add_networks(add):
    """Add what networks make of photos."""
    add(
        "--features",
        metavar="BACKBONE",
        nargs="?",
        const=True,
        help="of photos: the network that makes vectors of them, timm/NAME, torchvision/NAME, "
        "hf/NAME, FILE.onnx, FILE.npy or package.module:Class; alone, after the source: its rows "
        "are such vectors already",
    )
    add(
        "--finetune",
        metavar="NAME=VALUE,..",
        nargs="?",
        const={},
        type=_numbers.settings,
        help="with --features: train the network itself, too, under two losses, or those that "
        "--learners names; alone, after the source, or with settings, as in "
        "max_epochs=5,backbone_lr=1e-5",
    )


def run(options, command):
    """Run the sub-command; return the exit code."""
    check_outputs(options)
    from metriclearn.compare import compare

    given = {"drop": options.drop}
    if options.pairs or options.triplets:
        given |= read_judged(options)
    elif options.ids is not None:
        raise BadInputError("--ids names the items of --pairs or --triplets; give one of them")
    elif len(options.sources) == 1:
        given |= {"X": options.sources[0], "y": options.target}
    else:
        given["datasets"] = [(source, _target(options, source)) for source in options.sources]
    try:
        with warnings.catch_warnings(), _workers(options) as workers:
            warnings.simplefilter("ignore")  # the result says the same in its own words
            result = compare(
                **given,
                **workers,
                learners=options.learners,
                groups=options.groups,
                split=options.split,
                task=options.task,
                keep=options.keep,
                min_rows=options.min_rows,
                image_shape=options.image_shape,
                n_folds=options.folds,
                tune=False if options.tune == "none" else options.tune,
                tune_budget=options.budget,
                rows=options.rows,
                dimensions=options.dimensions,
                shift=options.shift,
                effort=options.effort,
                time=options.time,
                repeats=options.repeats,
                seeds=options.seeds,
                random_state=options.seed,
                resume=options.resume,
                features=options.features,
                finetune=False if options.finetune is None else options.finetune,
                verbose=1,
            )
    except (ValueError, ImportError) as error:  # of what is asked, before any work
        raise BadInputError(error) from None
    result = result.with_command(command)
    constraints = given.get("constraints")
    outputs = Outputs(
        {
            options.json: result.to_json,
            options.report: result.to_html,
            None if result.interrupted else options.save: lambda folder: save_winner(
                result, options, folder, constraints
            ),
        }
    )
    try:
        result.show()
    except KeyboardInterrupt:
        return outputs.interrupted()
    finally:  # where the reader of a pipe has seen enough, the files are still written
        outputs.write()
    code = outputs.said()
    if options.save and result.interrupted:  # what was best so far may not be what is best
        line = f"--save {printable(options.save)}: no model was kept: the comparison is not whole"
        print(wrapped(f"metriclearn: {line}", sys.stderr), file=sys.stderr)
    return code or (EXIT_INTERRUPTED if result.interrupted else 0)


def _target(options, source):
    """Return the label column, which among several sources is of the tables alone."""
    from metriclearn.compare._tables._read import table_suffix

    return options.target if table_suffix(source) is not None else None


@contextmanager
def _workers(options):
    """Yield where the fits are run, as arguments; let go of a cluster in the end."""
    if options.dask is None:
        yield {"n_jobs": -1 if options.n_jobs is None else options.n_jobs}
        return
    if options.n_jobs is not None:
        raise BadInputError("--n-jobs and --dask are two answers to one question; give one")
    try:
        client = require("distributed", "dask").Client(options.dask, timeout=CONNECT_SECONDS)
    except ImportError as error:
        raise BadInputError(error) from None
    except (OSError, ValueError) as error:
        raise BadInputError(
            f"--dask {options.dask}: no scheduler answers there ({error})"
        ) from None
    with client:
        yield {"client": client}
