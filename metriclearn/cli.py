"""The command line: ``metriclearn compare SOURCE`` and ``metriclearn doctor``."""

import argparse
import os
import shlex
import sys
import warnings
from contextlib import contextmanager

from metriclearn import __version__

EXIT_SLOW = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
CONNECT_SECONDS = 10


class _Parser(argparse.ArgumentParser):
    """Errors are one line, as of every other bad input."""

    def error(self, message):
        self.exit(EXIT_BAD_INPUT, f"metriclearn: error: {message}\n")


def main(argv=None):
    """Run the command line.

    Parameters
    ----------
    argv : list of str, default=None
        ``sys.argv[1:]`` by default.

    Returns
    -------
    int
        0; 1 where ``doctor`` found what slows search; 2 for bad input, after one line on
        standard error; 130 after Ctrl-C.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    options = _parser().parse_args(argv)
    command = shlex.join(["metriclearn", *argv])
    try:
        return options.run(options, command)
    except _BadInputError as error:
        print(f"metriclearn: error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        print("metriclearn: interrupted before anything was finished", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe, e.g. head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


class _BadInputError(Exception):
    """Something the user can mend; its text is one line."""


def _parser():
    parser = _Parser(prog="metriclearn", description="Learn metrics, and find out which to use.")
    parser.add_argument("--version", action="version", version=f"metriclearn {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    compare = commands.add_parser(
        "compare",
        help="which distance is best on your data, and is a deep one worth it",
        description=(
            "Compare linear and deep metrics on labeled rows or images: new rows of known "
            "classes (closed set) and classes never seen in training (open set)."
        ),
    )
    compare.add_argument(
        "sources",
        metavar="SOURCE",
        nargs="+",
        help="digits, wine, iris, breast_cancer or olivetti; a .csv or .parquet file; an .npz "
        "file with X and y; or a folder with one sub-folder of images per class; "
        "of several, the learners are ranked over them",
    )
    compare.add_argument("--target", metavar="COL", help="label column of a .csv or .parquet file")
    compare.add_argument(
        "--learners",
        metavar="A,B,..",
        help="which learners, of: euclidean, standardized, mahalanobis, lmnn, mmc, nca, "
        "contrastive, triplet, proxy_anchor, arcface (default: all)",
    )
    compare.add_argument("--report", metavar="FILE", help="write a self-contained HTML report")
    compare.add_argument("--json", metavar="FILE", help="write every number as JSON")
    compare.add_argument(
        "--seed", type=_seed, metavar="N", default=0, help="of all splits and learners (0)"
    )
    compare.add_argument(
        "--folds", type=_folds, metavar="N", default=5, help="splits of each protocol (5)"
    )
    compare.add_argument(
        "--n-jobs", type=_n_jobs, metavar="N", help="processes; -1, the default, for all cores"
    )
    compare.add_argument(
        "--dask", metavar="ADDRESS", help="run on the Dask cluster whose scheduler is there instead"
    )
    compare.add_argument(
        "--tune",
        choices=("none", "grid", "random", "halving"),
        help="search the settings of each learner on validation data (default: a few settings "
        "each; none: the first of them)",
    )
    compare.add_argument(
        "--budget",
        metavar="N",
        help="with --tune: fits for each learner in each fold (20), or seconds as in 90s",
    )
    compare.add_argument(
        "--rows", type=_counts, metavar="N,N,..", help="learning curves over so many training rows"
    )
    compare.add_argument(
        "--dimensions",
        type=_counts,
        metavar="D,D,..",
        help="curves over the dimension of the learned space, as in 64,128,512",
    )
    compare.add_argument(
        "--shift",
        type=_whole,
        metavar="N",
        help="a curve over N splits of growing distance between train and test classes",
    )
    compare.add_argument(
        "--resume",
        metavar="DIR",
        help="keep every finished fit in this folder, and go on from what it holds",
    )
    compare.set_defaults(run=_compare)
    doctor = commands.add_parser(
        "doctor",
        help="what slows nearest-neighbor search on this machine, and the remedy",
        description=(
            "Look for what slows nearest-neighbor search on this machine, and name the remedy. "
            "The exit status is 0 where nothing does, 1 where something does."
        ),
    )
    doctor.set_defaults(run=_doctor)
    return parser


def _whole(text):
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def _seed(text):
    value = _whole(text)
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"{value} is not between 0 and 2**32 - 1")
    return value


def _folds(text):
    value = _whole(text)
    if value < 2:
        raise argparse.ArgumentTypeError(f"{value} is too few; at least 2 are needed")
    return value


def _n_jobs(text):
    value = _whole(text)
    if value == 0:
        raise argparse.ArgumentTypeError("0 processes can do nothing; -1 means all cores")
    return value


def _counts(text):
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a list of whole numbers, as in 100,300"
        ) from None


def _compare(options, command):
    learners, sources, tuning, curves = _prepared(options)
    from metriclearn.compare._cells import count_cells
    from metriclearn.compare._many import compare_sources
    from metriclearn.compare._run import compare_source
    from metriclearn.compare._terminal import show, show_ranks

    n_found = 0 if options.resume is None else count_cells(options.resume)
    try:
        with warnings.catch_warnings(), _workers(options) as workers:
            warnings.simplefilter("ignore")  # the result says the same in its own words

            def compare_one(source):
                return compare_source(
                    learners,
                    source,
                    n_folds=options.folds,
                    tuning=tuning,
                    curves=curves,
                    random_state=options.seed,
                    workers=workers,
                    resume=options.resume,
                    verbose=1,
                    command=command,
                )

            if len(sources) == 1:
                result = compare_one(sources[0])
            else:
                result = compare_sources(compare_one, sources)
    except ValueError as error:  # of the data and what is asked of them, before any work
        raise _BadInputError(" ".join(str(error).split())) from None
    (show if len(sources) == 1 else show_ranks)(result)
    compared = [result] if len(sources) == 1 else result.comparisons
    if n_found and not any(each.run["n_resumed"] for each in compared):
        print(
            f"None of the {n_found} fits in {options.resume} was of use: they are of other data, "
            f"settings, learners or versions"
        )
    _write(result, options)
    return EXIT_INTERRUPTED if result.interrupted else 0


def _doctor(options, command):
    from metriclearn.neighbors._doctor import diagnose, show

    findings = diagnose()
    try:
        show(findings)
    except ImportError as error:
        raise _BadInputError(error) from None
    return 0 if all(finding.ok for finding in findings) else EXIT_SLOW


def _prepared(options):
    """Find out all that can be found out before the work."""
    from metriclearn._extras import require

    try:
        require("rich", "cli")
        if options.report is not None:
            require("jinja2", "cli")
            require("PIL", "cli")
        from metriclearn._files import check_writable
        from metriclearn.compare._cells import open_folder
        from metriclearn.compare._curves import make_curves
        from metriclearn.compare._lineup import resolve_learners
        from metriclearn.compare._sources._load import load_source
        from metriclearn.compare._tuning._budget import make_tuning

        outputs = {"--report": options.report, "--json": options.json}
        _check_apart({**outputs, "--resume": options.resume}, options.sources)
        for argument, path in outputs.items():
            if path is not None:
                check_writable(path, argument)
        if options.resume is not None:
            open_folder(options.resume)
        tuning = make_tuning(False if options.tune == "none" else options.tune, options.budget)
        names = None if options.learners is None else options.learners.split(",")
        curves = make_curves(options.rows, options.dimensions, options.shift)
        sources = [load_source(source, _target(options, source)) for source in options.sources]
        return resolve_learners(names), sources, tuning, curves
    except (ValueError, ImportError, OSError) as error:
        raise _BadInputError(" ".join(str(error).split())) from None


def _check_apart(outputs, sources):
    """Refuse outputs that would overwrite the data, or one another."""
    taken = {os.path.realpath(source): source for source in sources}
    for argument, path in outputs.items():
        if path is None:
            continue
        if not path:
            raise ValueError(f"{argument} needs the name of a file or folder, got an empty one")
        if os.path.realpath(path) in taken:
            other = taken[os.path.realpath(path)]
            raise ValueError(f"{argument} {path} would overwrite {other}; give another name")
        taken[os.path.realpath(path)] = argument


def _target(options, source):
    """The label column, which among several sources is of the tables alone."""
    is_table = source.lower().endswith((".csv", ".parquet"))
    return options.target if is_table or len(options.sources) == 1 else None


@contextmanager
def _workers(options):
    """Yield where the fits are run; let go of a cluster in the end."""
    from metriclearn._extras import require
    from metriclearn.compare._run import make_workers

    if options.dask is None:
        yield make_workers(-1 if options.n_jobs is None else options.n_jobs)
        return
    if options.n_jobs is not None:
        raise _BadInputError("--n-jobs and --dask are two answers to one question; give one")
    try:
        client = require("distributed", "dask").Client(options.dask, timeout=CONNECT_SECONDS)
    except ImportError as error:
        raise _BadInputError(str(error)) from None
    except (OSError, ValueError) as error:
        raise _BadInputError(
            f"--dask {options.dask}: no scheduler answers there ({' '.join(str(error).split())})"
        ) from None
    with client:
        yield make_workers(client=client)


def _write(result, options):
    try:
        if options.json:
            result.to_json(options.json)
            print(f"wrote {options.json}")
        if options.report:
            result.to_html(options.report)
            print(f"wrote {options.report}")
    except (OSError, ValueError) as error:
        raise _BadInputError(f"the result could not be written: {error}") from None


if __name__ == "__main__":
    raise SystemExit(main())
