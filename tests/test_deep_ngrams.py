"""The linear model of n-grams beside a recurrent net."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from fmkit.deep import RNNClassifier
from fmkit.deep.losses import binary_log_loss, log_loss, squared_loss
from fmkit.deep.ngrams import SHORTEST, C, NgramBag, as_matrix, hashed_ngrams
from fmkit.deep.sequences import StepInputs


def bags_of(texts):
    rows = [hashed_ngrams(text.split(), 2, SHORTEST) for text in texts]
    return StepInputs.of(torch.from_numpy(np.concatenate(rows)), torch.tensor([len(row) for row in rows]))


@pytest.fixture
def texts():
    rng = np.random.default_rng(0)
    words = np.array(["so", "good", "bad", "very", "film", "dull", "fine", "it"])
    return [" ".join(rng.choice(words, n)) for n in rng.integers(1, 9, 60)], rng.random(60)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_weights_are_those_of_a_penalised_logistic_regression(texts, n_classes):
    X, chances = texts
    y, weights = (chances * n_classes).astype(int), np.random.default_rng(1).uniform(0.5, 2, len(X)).astype(np.float32)
    labels = torch.eye(n_classes)[y] if n_classes > 2 else torch.from_numpy(y).float()[:, None]
    targets, loss = (torch.from_numpy(y), log_loss()) if n_classes > 2 else (labels, binary_log_loss())
    bag, bags = NgramBag(labels.shape[1]), bags_of(X)
    bag.learn(as_matrix(bags), targets, labels, torch.from_numpy(weights), loss)
    outputs = bag(*bags.batch(torch.arange(len(X)))).numpy()
    if n_classes > 2:  # each output has scales of its own: at the optimum, no direction leads down
        rng = np.random.default_rng(2)
        there = torch.unique(bags.steps[:-1])

        def objective():
            values = loss(bag(*bags.batch(torch.arange(len(X)))), targets)
            return float((values * torch.from_numpy(weights)).sum() + bag.weight.square().sum() / (2 * C))

        best = objective()
        for _ in range(20):
            step = torch.from_numpy(rng.standard_normal((len(there), n_classes))).float()
            bag.weight[there] += 0.05 * step / step.norm()
            assert objective() > best - 1e-4
            bag.weight[there] -= 0.05 * step / step.norm()
        return
    columns, codes = np.unique(bags.steps[:-1], return_inverse=True)
    design = np.zeros((len(X), len(columns)))
    design[np.repeat(np.arange(len(X)), bags.lengths), codes] = 1
    counts = [1 + design.T @ (weights * (y == c)) for c in (1, 0)]
    design *= np.log(counts[0] / counts[0].sum()) - np.log(counts[1] / counts[1].sum())
    design /= np.linalg.norm(design, axis=1, keepdims=True)
    twin = LogisticRegression(C=C, tol=1e-8, max_iter=1000).fit(design, y, weights)
    np.testing.assert_allclose(outputs[:, 0], twin.decision_function(design), atol=5e-3)


def test_numbers_are_regressed_on_ngrams_of_one_scale(texts):
    X, values = texts
    bag, bags = NgramBag(1), bags_of(X)
    bag.learn(as_matrix(bags), torch.from_numpy(values).float()[:, None], None, torch.ones(len(X)), squared_loss)
    assert set(bag.scales.unique().tolist()) == {0.0, 1.0}
    outputs = bag(*bags.batch(torch.arange(len(X)))).numpy()[:, 0]
    assert np.corrcoef(outputs, values)[0, 1] > 0.5


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_words_that_come_later_are_learned_and_the_first_are_kept(ema):
    first, later = ["good film", "bad film"] * 20, ["splendid play", "dreadful play"] * 20
    model = RNNClassifier(n_units=2, embedding_size=2, ema=ema, random_state=0)
    model.partial_fit(first, [1, 0] * 20, classes=[0, 1])
    model.partial_fit(later, [1, 0] * 20)
    bag = model.net_.bag
    assert bag is not None
    numbers = [hashed_ngrams(text.split(), 2, 6) for text in (*first[:2], *later[:2])]
    outputs = [float(bag(torch.from_numpy(n)[None], torch.tensor([len(n)]))) for n in numbers]
    assert (np.sign(outputs) == [1, -1, 1, -1]).all()


def test_a_text_of_no_known_ngram_has_the_intercept_alone():
    bag = NgramBag(1)
    bag.learn(as_matrix(bags_of(["a b", "c d"])), torch.ones(2, 1), torch.ones(2, 1), torch.ones(2), binary_log_loss())
    empty = bag(torch.zeros(1, 1, dtype=torch.int64), torch.tensor([0]))
    assert empty.item() == bag.bias.item() > 1
