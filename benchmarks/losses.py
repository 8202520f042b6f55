"""Forward and backward of the deep losses against pytorch-metric-learning, one thread.

    python benchmarks/losses.py [--groups pairs proxies] [--sizes 128 512 2048]
    python benchmarks/losses.py --groups many --classes 1000000

Each row is one loss with both libraries in the same process, on the same normalized embeddings of
128 dimensions with 4 rows of each class: CPU time of the two turn by turn, median of repeats, and
the memory that one step adds. What takes more than ``--patience`` seconds or ``--memory``
gigabytes says so; what the other library does not have is "-".

The group "many" trains `DeepEmbedder` on two rows each of so many classes, with proxies of a share
of them (arcface, 64 dimensions, Adam), in two epochs of ``--updates`` batches of 128 rows.
"""

import argparse
import multiprocessing
import resource
import statistics
import time

import torch
from torch.nn.functional import normalize

DIM = 128
SLOW = 3000


def embeddings_and_labels(batch, n_classes=None, dim=DIM):
    generator = torch.Generator().manual_seed(0)
    x = normalize(torch.randn(batch, dim, generator=generator))
    labels = torch.arange(batch) // 4
    if n_classes is not None:
        labels = torch.randint(0, n_classes, (batch,), generator=generator)
    return x, labels[torch.randperm(batch, generator=generator)]


def pair_table():
    """Name -> (ours, theirs), each made without arguments; None where they have none."""
    from pytorch_metric_learning import distances, losses, miners

    from metriclearn.deep import losses as ours
    from metriclearn.deep import miners as our_miners

    def mined(loss, miner):
        return lambda x, y: loss(x, y, miner(x, y))

    return {
        "contrastive": (ours.ContrastiveLoss, losses.ContrastiveLoss),
        "contrastive, cosine": (
            lambda: ours.ContrastiveLoss(form="cosine"),
            lambda: losses.ContrastiveLoss(1, 0.5, distance=distances.CosineSimilarity()),
        ),
        "SNR contrastive": (
            ours.SNRContrastiveLoss,
            lambda: losses.SignalToNoiseRatioContrastiveLoss(pos_margin=0.01, neg_margin=0.2),
        ),
        "margin": (ours.MarginLoss, lambda: losses.MarginLoss(learn_beta=True)),
        "multi-similarity": (ours.MultiSimilarityLoss, losses.MultiSimilarityLoss),
        "multi-similarity + miner": (
            lambda: ours.MinedLoss(ours.MultiSimilarityLoss(), our_miners.MultiSimilarityMiner()),
            lambda: mined(losses.MultiSimilarityLoss(), miners.MultiSimilarityMiner()),
        ),
        "circle": (ours.CircleLoss, losses.CircleLoss),
        "lifted structure": (ours.LiftedStructureLoss, losses.LiftedStructureLoss),
        "lifted, generalized": (
            lambda: ours.LiftedStructureLoss(form="generalized"),
            losses.GeneralizedLiftedStructureLoss,
        ),
        "ranked list": (ours.RankedListLoss, lambda: losses.RankedListLoss(margin=0.4, Tn=10)),
        "triplet": (
            lambda: ours.TripletLoss(0.2, squared=False),
            lambda: losses.TripletMarginLoss(0.2),
        ),
        "triplet, swap": (
            lambda: ours.TripletLoss(0.2, squared=False, swap=True),
            lambda: losses.TripletMarginLoss(0.2, swap=True),
        ),
        "triplet, soft": (
            lambda: ours.TripletLoss(0.2, squared=False, soft=True),
            lambda: losses.TripletMarginLoss(0.2, smooth_loss=True),
        ),
        "triplet + semi-hard": (
            lambda: ours.MinedLoss(
                ours.TripletLoss(0.2, squared=False), our_miners.SemiHardMiner()
            ),
            lambda: mined(
                losses.TripletMarginLoss(0.2), miners.TripletMarginMiner(0.2, "semihard")
            ),
        ),
        "triplet + batch-hard": (
            lambda: ours.MinedLoss(
                ours.TripletLoss(0.2, squared=False), our_miners.BatchHardMiner()
            ),
            lambda: mined(losses.TripletMarginLoss(0.2), miners.BatchHardMiner()),
        ),
        "triplet + easy-positive": (
            lambda: ours.MinedLoss(
                ours.TripletLoss(0.2, squared=False), our_miners.EasyPositiveMiner()
            ),
            lambda: mined(
                losses.TripletMarginLoss(0.2), miners.BatchEasyHardMiner("easy", "semihard")
            ),
        ),
        "margin + distance-weighted": (
            lambda: ours.MinedLoss(ours.MarginLoss(), our_miners.DistanceWeightedMiner()),
            lambda: mined(losses.MarginLoss(learn_beta=True), miners.DistanceWeightedMiner()),
        ),
        "contrastive + pair margin": (
            lambda: ours.MinedLoss(ours.ContrastiveLoss(), our_miners.PairMarginMiner()),
            lambda: mined(losses.ContrastiveLoss(), miners.PairMarginMiner()),
        ),
        "contrastive + HDC": (
            lambda: ours.MinedLoss(ours.ContrastiveLoss(), our_miners.HDCMiner()),
            lambda: mined(losses.ContrastiveLoss(), miners.HDCMiner()),
        ),
        "angular": (ours.AngularLoss, losses.AngularLoss),
        "tuplet margin": (ours.TupletMarginLoss, losses.TupletMarginLoss),
        "quadruplet": (ours.QuadrupletLoss, None),
        "log-ratio": (ours.LogRatioLoss, None),
        "N-pair": (ours.NPairLoss, losses.NPairsLoss),
        "NT-Xent": (ours.NTXentLoss, losses.NTXentLoss),
        "SupCon": (ours.SupConLoss, losses.SupConLoss),
        "soft nearest neighbor": (ours.SoftNearestNeighborLoss, losses.NCALoss),
        "FastAP": (ours.FastAPLoss, losses.FastAPLoss),
        "smooth-AP": (ours.SmoothAPLoss, losses.SmoothAPLoss),
        "recall@k": (ours.RecallAtKLoss, None),
        "histogram": (ours.HistogramLoss, losses.HistogramLoss),
    }


def proxy_table(n_classes):
    from pytorch_metric_learning import losses

    from metriclearn.deep import losses as ours

    sizes = {"n_classes": n_classes, "embedding_dim": DIM}
    theirs = {"num_classes": n_classes, "embedding_size": DIM}
    return {
        "softmax": (lambda: ours.SoftmaxLoss(**sizes), None),
        "normalized softmax": (
            lambda: ours.NormalizedSoftmaxLoss(**sizes),
            lambda: losses.NormalizedSoftmaxLoss(**theirs),
        ),
        "SphereFace": (
            lambda: ours.SphereFaceLoss(**sizes),
            lambda: losses.SphereFaceLoss(**theirs),
        ),
        "CosFace": (lambda: ours.CosFaceLoss(**sizes), lambda: losses.CosFaceLoss(**theirs)),
        "ArcFace": (lambda: ours.ArcFaceLoss(**sizes), lambda: losses.ArcFaceLoss(**theirs)),
        "sub-center ArcFace (3)": (
            lambda: ours.SubCenterArcFaceLoss(**sizes),
            lambda: losses.SubCenterArcFaceLoss(**theirs),
        ),
        "Proxy-NCA": (lambda: ours.ProxyNCALoss(**sizes), None),
        "Proxy-NCA++": (
            lambda: ours.ProxyNCAPlusPlusLoss(**sizes),
            lambda: losses.ProxyNCALoss(softmax_scale=9, **theirs),
        ),
        "SoftTriple (10)": (
            lambda: ours.SoftTripleLoss(tau=0, **sizes),
            lambda: losses.SoftTripleLoss(**theirs),
        ),
        "Proxy-Anchor": (
            lambda: ours.ProxyAnchorLoss(**sizes),
            lambda: losses.ProxyAnchorLoss(**theirs),
        ),
        "proxy repulsion": (lambda: ours.ProxyRepulsionLoss(**sizes), None),
        "group": (lambda: ours.GroupLoss(**sizes), None),
    }


def step(loss, x, labels):
    x = x.detach().requires_grad_()
    loss(x, labels).backward()
    for parameter in getattr(loss, "parameters", list)():
        parameter.grad = None


def cpu_ms(loss, x, labels):
    start = time.process_time()
    step(loss, x, labels)
    return 1e3 * (time.process_time() - start)


def measure_times(makes, batch, n_classes, options, results):
    """Send what is known so far: medians of ours and theirs, or why there is none of theirs.

    The two are measured turn by turn; a step of more than ``SLOW`` milliseconds only once.
    """
    torch.set_num_threads(1)
    limit_memory(options.memory)
    x, labels = embeddings_and_labels(batch, n_classes)
    losses = [make() for make in makes]
    times = [[] for _ in losses]
    try:
        for loss, own in zip(losses, times, strict=True):
            first = cpu_ms(loss, x, labels)
            own.append(first if first > SLOW else cpu_ms(loss, x, labels))
            results.send([statistics.median(own) for own in times if own])
        end = time.process_time() + options.seconds
        while len(times[0]) < options.repeats and time.process_time() < end:
            for loss, own in zip(losses, times, strict=True):
                if own[0] < SLOW:
                    own.append(cpu_ms(loss, x, labels))
        results.send([statistics.median(own) for own in times])
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        results.send([statistics.median(times[0]), f"> {options.memory:g} GB"])


def measure_peak(make, batch, n_classes, options, results):
    """Send the megabytes that one step adds to those of the process."""
    torch.set_num_threads(1)
    limit_memory(options.memory)
    x, labels = embeddings_and_labels(batch, n_classes)
    loss = make()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        step(loss, x, labels)
        results.send((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        results.send(f"> {1024 * options.memory:g}")


def out_of_memory(error):
    return isinstance(error, MemoryError) or "can't allocate memory" in str(error)


def limit_memory(gigabytes):
    limit = int(gigabytes * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def in_a_process(measure, arguments, patience):
    """Return the last that ``measure`` sends before it ends, and whether it ended in time."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=measure, args=(*arguments, there))
    process.start()
    there.close()
    last, ended, end = None, False, time.monotonic() + patience
    try:
        while here.poll(max(0, end - time.monotonic())):
            last = here.recv()
    except EOFError:
        ended = True
    process.kill()
    process.join()
    return last, ended


def cell(result, form):
    return result if isinstance(result, str) else form.format(result)


def row(makes, batch, n_classes, options):
    """Cells of one loss."""
    given = batch, n_classes, options
    times, ended = in_a_process(measure_times, (makes, *given), options.patience)
    late = "failed" if ended else f"> {options.patience:g} s"
    times = [*(times or []), late, late][: len(makes)]
    peaks = []
    for make, taken in zip(makes, times, strict=True):
        # What ran out of memory or time already does not run again.
        peak = (
            None
            if isinstance(taken, str)
            else in_a_process(measure_peak, (make, *given), options.patience)[0]
        )
        peaks.append(taken if peak is None else peak)
    ratio = "-"
    if len(makes) == 1:
        times, peaks = [*times, "-"], [*peaks, "-"]
    elif not any(isinstance(taken, str) for taken in times):
        ratio = f"{times[1] / times[0]:.1f}"
    cells = [cell(taken, "{:.1f}") for taken in times] + [ratio]
    return cells + [cell(peak, "{:.0f}") for peak in peaks]


def table(title, rows, batch, n_classes, options):
    print(f"\n### {title}\n")
    print("| Loss | ours ms | PML ms | PML / ours | ours MB | PML MB |")
    print("| --- | --: | --: | --: | --: | --: |", flush=True)
    for name, makes in rows.items():
        if options.only and not any(word in name for word in options.only):
            continue
        makes = [make for make in makes if make is not None]
        print(f"| {name} | {' | '.join(row(makes, batch, n_classes, options))} |", flush=True)


def train(n_classes, options, share, sparse, results):
    """Send the CPU seconds of an update and of all before the first, and gigabytes at the most."""
    import numpy as np
    from skorch.callbacks import Callback

    from metriclearn.deep import DeepEmbedder
    from metriclearn.deep.samplers import Sampler

    class Few(Sampler):
        def draw(self, codes, rng):
            return list(rng.integers(len(codes), size=(options.updates, 128)))

    class Clock(Callback):
        def on_train_begin(self, net, **kwargs):
            self.begin_, self.updates_ = time.process_time(), []

        def on_batch_begin(self, net, **kwargs):
            self.last_ = time.process_time()

        def on_batch_end(self, net, **kwargs):
            self.updates_.append(time.process_time() - self.last_)

    torch.set_num_threads(1)
    y = np.repeat(np.arange(n_classes), 2)
    X = np.random.default_rng(0).standard_normal((len(y), 16), dtype=np.float32)
    embedder = DeepEmbedder(
        loss="sampled_proxies",
        loss_params={"loss": "arcface", "share": share, "sparse": sparse},
        n_components=64,
        sampler=Few(),
        validation=None,
        max_epochs=2,
        callbacks=[Clock()],
        random_state=0,
    )
    begin = time.process_time()
    embedder.fit(X, y)
    clock = dict(embedder.net_.callbacks_)["Clock"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    results.send((statistics.median(clock.updates_), clock.begin_ - begin, peak))


def table_of_many(options):
    print("\n| classes | share | gradient | s an update | s before the first | peak GB |")
    print("| --: | --: | --- | --: | --: | --: |", flush=True)
    for n_classes in options.classes:
        for share, sparse in [(0.1, False), (0.1, True), (0.01, True)]:
            given = n_classes, options, share, sparse
            found, _ = in_a_process(train, given, options.patience)
            cells = "- | - | -" if found is None else "{:.3f} | {:.1f} | {:.2f}".format(*found)
            kind = "sparse" if sparse else "dense"
            print(f"| {n_classes:,} | {share} | {kind} | {cells} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--groups", nargs="+", default=["pairs", "proxies"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[128, 512, 2048])
    parser.add_argument("--classes", nargs="+", type=int, default=[100, 10_000])
    parser.add_argument("--only", nargs="+", default=[], help="losses whose name has this")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=6, help="of repeats for one row")
    parser.add_argument("--patience", type=float, default=90, help="seconds for one cell")
    parser.add_argument("--memory", type=float, default=6, help="gigabytes for one cell")
    parser.add_argument("--updates", type=int, default=10, help="of an epoch in the group many")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if "many" in options.groups:
        table_of_many(options)
    for batch in options.sizes:
        if "pairs" in options.groups:
            table(f"Pairs and triplets, batch {batch}", pair_table(), batch, None, options)
        if "proxies" in options.groups:
            for n_classes in options.classes:
                title = f"Proxies, {n_classes} classes, batch {batch}"
                table(title, proxy_table(n_classes), batch, n_classes, options)


if __name__ == "__main__":
    main()
