"""The parts that nets are made of: first weights, optimizers, schedules, saturation, the range test."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fmkit.deep.activations import ACTIVATIONS, saturation
from fmkit.deep.initialization import initialize
from fmkit.deep.losses import binary_log_loss, log_loss, squared_loss
from fmkit.deep.optimizers import Optimizer, OptimizerSettings
from fmkit.deep.schedules import SCHEDULES


@pytest.mark.parametrize(
    ("init", "variance"),
    [
        ("he", 2 / 400),
        ("xavier", 2 / 700),
        ("lecun", 1 / 400),
        ("constant-variance", 0.03**2),
    ],
)
def test_first_weights_have_the_variance_that_they_say(init, variance):
    torch.manual_seed(0)
    weight = torch.empty(300, 400)
    initialize(weight, init, init_std=0.03)
    n = weight.numel()
    assert abs(weight.mean()) < 4 * np.sqrt(variance / n)
    assert weight.var().item() == pytest.approx(variance, rel=4 * np.sqrt(2 / n))  # 4 standard deviations of it


def test_fans_of_filters_count_their_places():
    torch.manual_seed(0)
    weight = torch.empty(64, 32, 5, 5)
    initialize(weight, "xavier")
    assert weight.var().item() == pytest.approx(2 / (25 * (32 + 64)), rel=0.03)


@pytest.mark.parametrize("shape", [(30, 50), (50, 30)])
def test_orthogonal_weights_are(shape):
    torch.manual_seed(0)
    weight = torch.empty(shape)
    initialize(weight, "orthogonal")
    gram = weight @ weight.T if shape[0] < shape[1] else weight.T @ weight
    torch.testing.assert_close(gram, torch.eye(30), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", sorted(SCHEDULES))
@given(done=st.floats(0, 1))
def test_schedules_are_shares_of_the_highest_rate(name, done):
    assert 0 < SCHEDULES[name](done) <= 1


def test_onecycle_rises_and_falls():
    shares = [SCHEDULES["onecycle"](t) for t in np.linspace(0, 1, 101)]
    assert shares[0] == pytest.approx(0.04)
    assert shares[20] == 1
    assert (np.diff(shares[:21]) > 0).all()
    assert (np.diff(shares[20:]) < 0).all()


def one_step(weight, gradient, **settings):
    """A weight after a step of SGD at rate 0.1 along a constant gradient."""
    layer = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(weight)
    optimizer = Optimizer(OptimizerSettings("sgd", momentum=0.0, **settings), layer, 0.1)
    optimizer.step(lambda: gradient * layer.weight.sum())
    return layer.weight.item()


def test_penalties_shrink_weights():
    assert one_step(1.0, 0.5, l1=0.0, l2=0.0) == pytest.approx(0.95)
    assert one_step(1.0, 0.5, l1=0.0, l2=1.0) == pytest.approx(0.95 * 0.9)
    assert one_step(1.0, 0.5, l1=1.0, l2=0.0) == pytest.approx(0.85)
    assert one_step(0.05, 0.0, l1=1.0, l2=0.0) == 0


def test_a_long_gradient_is_clipped():
    layer = torch.nn.Linear(1, 1)
    before = torch.cat([p.detach().ravel().clone() for p in layer.parameters()])
    optimizer = Optimizer(OptimizerSettings("sgd", momentum=0.0, l2=0.0), layer, 1.0)
    optimizer.step(lambda: 300 * layer.weight.sum() + 400 * layer.bias.sum(), grad_clip=1.0)
    after = torch.cat([p.detach().ravel() for p in layer.parameters()])
    torch.testing.assert_close(before - after, torch.tensor([0.6, 0.8]))


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_saturation_is_the_share_of_flat_slopes(name):
    activation = ACTIVATIONS[name]()
    z = torch.linspace(-8, 8, 1001)
    slope = np.gradient(activation(z).double().numpy(), z.double().numpy())
    told = saturation(torch.nn.Sequential(activation), (z,))["0"]
    assert told == pytest.approx((abs(slope) < 0.05).mean(), abs=0.005)


def test_losses_are_a_value_a_row():
    outputs, classes = torch.tensor([[0.0, 0.0], [2.0, -1.0]]), torch.tensor([0, 1])
    torch.testing.assert_close(
        log_loss()(outputs, classes), torch.tensor([np.log(2), 3 + np.log1p(np.exp(-3))]).float()
    )
    labels = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    expected = torch.tensor([2 * np.log(2), np.log1p(np.exp(2)) + np.log1p(np.exp(1))]).float()
    torch.testing.assert_close(binary_log_loss()(outputs, labels), expected)
    torch.testing.assert_close(squared_loss(outputs, labels), torch.tensor([0.5, 4.0]))


def test_smoothed_labels_of_two_classes_are_those_of_softmax():
    odds = torch.tensor([[1.5], [-0.3]])
    both = torch.cat([torch.zeros(2, 1), odds], dim=1)
    binary = binary_log_loss(0.2)(odds, torch.tensor([[1.0], [0.0]]))
    torch.testing.assert_close(binary, log_loss(0.2)(both, torch.tensor([1, 0])))
