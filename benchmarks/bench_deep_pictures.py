"""Convolutional nets on pictures: Fashion-MNIST and CIFAR-10, by the processor's seconds.

    python benchmarks/bench_deep_pictures.py fashion [PATH]     # fmkit[deep]
    python benchmarks/bench_deep_pictures.py cifar [PATH] --seconds 300
    python benchmarks/bench_deep_pictures.py classic [PATH] --epochs 25
    python benchmarks/bench_deep_pictures.py scenes [PATH] --epochs 10
    python benchmarks/bench_deep_pictures.py speed

PATH is what `fmkit.datasets.fetch_fashion_mnist` or `fetch_cifar10` reads; without it, the set is downloaded.

`max_time` is a clock's; here it counts the processor's seconds, so that the figures are the same on a busy machine but
for what its neighbours take of the caches. Settings were chosen on parts of the training pictures.

scenes: garments in scenes of 64 x 64; beside the share that is named and found by half, that of right classes, and the
mean intersection over union. speed: seconds of an epoch of 50,000 pictures of 32 x 32, in each precision.
"""

import argparse
import time
from typing import Any
from unittest import mock

import numpy as np
import torch
from tabulate import tabulate

from fmkit.datasets import fetch_cifar10, fetch_fashion_mnist, make_scenes
from fmkit.deep import CNNClassifier
from fmkit.deep import training as training_module
from fmkit.deep.localization import iou


def judged(model: CNNClassifier, train: Any, test: Any) -> list[Any]:
    """Epochs, processor and clock seconds of a fit, and the accuracy on the test pictures."""
    start, clock = time.process_time(), time.perf_counter()
    with mock.patch.object(training_module, "perf_counter", time.process_time):
        model.fit(*train)
    cost = time.process_time() - start, time.perf_counter() - clock
    return [model.n_iter_, *cost, float(model.score(*test))]


def fashion(args: argparse.Namespace) -> list[list[Any]]:
    bunch = fetch_fashion_mnist(args.path)
    model = CNNClassifier(max_time=args.seconds, max_epochs=args.epochs, random_state=args.seed, n_jobs=args.n_jobs)
    train, test = (bunch.data, bunch.target), (bunch.test_data, bunch.test_target)
    return [["Fashion-MNIST, defaults", *judged(model, train, test)]]


def scenes(args: argparse.Namespace) -> list[list[Any]]:
    bunch = fetch_fashion_mnist(args.path)
    train = make_scenes(bunch.data, bunch.target, 5000, random_state=0)
    test = make_scenes(bunch.test_data, bunch.test_target, 1000, random_state=1)
    model = CNNClassifier(
        task="localize", max_time=args.seconds, max_epochs=args.epochs, random_state=args.seed, n_jobs=args.n_jobs
    )
    cost = judged(model, (train.data, (train.target, train.boxes)), (test.data, (test.target, test.boxes)))
    right = float(np.mean(model.predict(test.data) == test.target))
    overlap = float(iou(model.predict_boxes(test.data), test.boxes).mean())
    return [["named and found", *cost], ["right class", *cost[:3], right], ["mean IoU", *cost[:3], overlap]]


def cifar(args: argparse.Namespace) -> list[list[Any]]:
    return [["CIFAR-10, defaults", *on_cifar("auto", args)]]


def classic(args: argparse.Namespace) -> list[list[Any]]:
    return [["CIFAR-10, classic", *on_cifar("classic", args)]]


def on_cifar(architecture: str, args: argparse.Namespace) -> list[Any]:
    bunch = fetch_cifar10(args.path)
    model = CNNClassifier(
        architecture, max_time=args.seconds, max_epochs=args.epochs, random_state=args.seed, n_jobs=args.n_jobs
    )
    return judged(model, (bunch.data, bunch.target), (bunch.test_data, bunch.test_target))


def speed(args: argparse.Namespace) -> list[list[Any]]:
    n = 2048
    X = np.random.default_rng(0).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
    rows = []
    for amp in (False, True):
        model = CNNClassifier(max_epochs=1, batch_size=256, amp=amp, random_state=0, n_jobs=args.n_jobs)
        model.fit(X[:512], np.arange(512) % 10)
        start, clock = time.process_time(), time.perf_counter()
        model.fit(X, np.arange(n) % 10)
        scale = 50_000 / n
        precision = "bfloat16" if amp else "float32"
        rows.append([precision, 1, scale * (time.process_time() - start), scale * (time.perf_counter() - clock), None])
    return rows


COMMANDS = {"fashion": fashion, "cifar": cifar, "classic": classic, "scenes": scenes, "speed": speed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=list(COMMANDS))
    parser.add_argument("path", nargs="?")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n-jobs", type=int, default=1)
    args = parser.parse_args()
    rows = COMMANDS[args.what](args)
    print(f"torch {torch.__version__}, {args.n_jobs} thread(s), seed {args.seed}")
    print(tabulate(rows, ["", "epochs", "CPU s", "s", "accuracy"], floatfmt=("", "", ".0f", ".0f", ".4f")))


if __name__ == "__main__":
    main()
