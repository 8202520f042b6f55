"""Forward and backward of the deep losses against pytorch-metric-learning, one thread.

    python benchmarks/losses.py [--groups pairs proxies large] [--sizes 128 512 2048]

Each row is one loss with both libraries in the same process, on the same normalised embeddings of
128 dimensions with 4 rows of each class; CPU time, median of repeats. What would take the other
library more than ``--patience`` seconds or ``--memory`` gigabytes is left out ("-").
"""

import argparse
import multiprocessing
import resource
import statistics
import time

import torch
from torch.nn.functional import normalize

DIM = 128


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
        "soft nearest neighbour": (ours.SoftNearestNeighborLoss, losses.NCALoss),
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
        "normalised softmax": (
            lambda: ours.NormalizedSoftmaxLoss(**sizes),
            lambda: losses.NormalizedSoftmaxLoss(**theirs),
        ),
        "SphereFace": (
            lambda: ours.SphereFaceLoss(**sizes),
            lambda: losses.SphereFaceLoss(**theirs),
        ),
        "CosFace": (lambda: ours.CosFaceLoss(**sizes), lambda: losses.CosFaceLoss(**theirs)),
        "ArcFace": (lambda: ours.ArcFaceLoss(**sizes), lambda: losses.ArcFaceLoss(**theirs)),
        "sub-centre ArcFace (3)": (
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


def milliseconds(loss, x, labels, repeats):
    times = []
    step(loss, x, labels)
    for _ in range(repeats):
        start = time.process_time()
        step(loss, x, labels)
        times.append(time.process_time() - start)
        if sum(times) > 4 and len(times) > 2:
            break
    return 1e3 * statistics.median(times)


def _measure(make, batch, n_classes, repeats, memory, results):
    torch.set_num_threads(1)
    limit = int(memory * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    x, labels = embeddings_and_labels(batch, n_classes)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        loss = make()
        start = time.process_time()
        step(loss, x, labels)
        once = 1e3 * (time.process_time() - start)
        time_taken = once if once > 3e3 else milliseconds(loss, x, labels, repeats)
        peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        results.send((time_taken, peak))
    except (RuntimeError, MemoryError):
        results.send(None)


def in_a_process(make, arguments, patience):
    """Milliseconds and extra megabytes, or None where time or memory did not suffice."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(make, *arguments, there))
    process.start()
    there.close()
    try:
        return here.recv() if here.poll(patience) else None
    except EOFError:
        return None
    finally:
        process.kill()
        process.join()


def cell(result, form="{:.1f}"):
    return "-" if result is None else form.format(result)


def table(title, rows, batch, n_classes, options):
    print(f"\n### {title}\n")
    print("| Loss | ours ms | PML ms | PML / ours | ours MB | PML MB |")
    print("| --- | --: | --: | --: | --: | --: |")
    for name, makes in rows.items():
        if options.only and not any(word in name for word in options.only):
            continue
        arguments = (batch, n_classes, options.repeats, options.memory)
        ours, theirs = (
            None if make is None else in_a_process(make, arguments, options.patience)
            for make in makes
        )
        ratio = None if ours is None or theirs is None else theirs[0] / ours[0]
        cells = [cell(ours and ours[0]), cell(theirs and theirs[0]), cell(ratio)]
        cells += [cell(ours and ours[1], "{:.0f}"), cell(theirs and theirs[1], "{:.0f}")]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--groups", nargs="+", default=["pairs", "proxies"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[128, 512, 2048])
    parser.add_argument("--classes", nargs="+", type=int, default=[100, 10_000])
    parser.add_argument("--only", nargs="+", default=[], help="losses whose name has this")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--patience", type=float, default=90, help="seconds for one cell")
    parser.add_argument("--memory", type=float, default=12, help="gigabytes for one cell")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for batch in options.sizes:
        if "pairs" in options.groups:
            table(f"Pairs and triplets, batch {batch}", pair_table(), batch, None, options)
        if "proxies" in options.groups:
            for n_classes in options.classes:
                title = f"Proxies, {n_classes} classes, batch {batch}"
                table(title, proxy_table(n_classes), batch, n_classes, options)


if __name__ == "__main__":
    main()
