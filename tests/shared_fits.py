"""Fits of nets, which `python -m torch.distributed.run tests/shared_fits.py FOLDER` does in several processes."""

import sys
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.datasets import load_digits

from fmkit.deep import CNNClassifier, MLPClassifier, MLPRegressor, RNNClassifier
from fmkit.errors import InputError

# Batches of 25 rows, and of 24: two processes have parts of unequal size.
USUAL = {"random_state": 0, "batch_size": 25, "max_epochs": 3, "n_jobs": 1}


def fitted():
    """Every kind of net with what it draws and what it puts together, and what it predicts of its own rows, by name."""
    digits = load_digits()
    X, y = digits.data[:273], digits.target[:273]
    weights = 1 + np.arange(len(X)) % 3
    pictures = np.stack([digits.images[:273], digits.images[272::-1]], axis=-1)
    texts = [" ".join("abcdefgh"[int(value) // 2 % 8] * 2 for value in row[: 5 + n % 20]) for n, row in enumerate(X)]
    series = [row.reshape(32, 2)[: 4 + n % 28] for n, row in enumerate(X)]
    # By AdamW, a bias before batch normalisation, which has no gradient, would go wherever rounding sends it.
    kept = {"dropout": 0.3, "batch_norm": True, "early_stopping": True, "ema": 0.9, "optimizer": "sgd"}
    moved = {"flip": True, "shift": 1, "cutout": 3, "dropout": 0.2}
    nets = {
        "MLP": (MLPClassifier((16, 16), **USUAL, **kept), X, weights),
        "sparse rows": (MLPClassifier((16,), **USUAL, learning_rate="auto"), sparse.csr_array(X), None),
        "L-BFGS": (MLPRegressor((8,), random_state=0, max_epochs=2, optimizer="lbfgs", l2=0.1), X, None),
        "CNN": (CNNClassifier("classic", channels=(4, 4), **USUAL, **moved), pictures, weights),
        "texts": (RNNClassifier(n_units=8, **USUAL), texts, None),
        "series": (RNNClassifier(n_units=8, **USUAL), series, None),
    }
    return {name: (model.fit(rows, y, w), model.predict(rows)) for name, (model, rows, w) in nets.items()}


def main(folder):
    """Fit, and write what became of it and, where processes do not agree, what they do."""
    import torch.distributed as dist

    dist.init_process_group()
    rank = dist.get_rank()
    for name, (model, predictions) in fitted().items():
        arrays = {key: tensor.numpy() for key, tensor in model.net_.state_dict().items()}
        told = {"losses": [row["train_loss"] for row in model.history_], "best": model.best_epoch_}
        np.savez(folder / f"{name} {rank}.npz", predictions=predictions, **told, **arrays)

    X, y = load_digits(return_X_y=True)
    ended = MLPClassifier((4,), max_epochs=9, callbacks=[lambda progress: progress.sweep == 2] if rank else None)
    counts = [model.fit(X, y).n_iter_ for model in (ended, MLPClassifier((4,), max_time=0.3))]
    sentences = []
    wrong = [
        (MLPClassifier((4,)), X, y[::-1] if rank else y),
        (MLPClassifier((4,)), X + rank * np.arange(len(X))[:, None], y),
        (MLPClassifier((4 + rank,)), X, y),
        (MLPClassifier((4,), batch_size=1), X, y),
    ]
    for model, rows, targets in wrong:
        try:
            model.fit(rows, targets)
        except InputError as error:
            sentences.append(str(error))
    (folder / f"told {rank}.txt").write_text("\n".join([*map(str, counts), *sentences]))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
