import numpy as np
import pytest

from fmkit.fitting import FitInterrupted, run_fit
from fmkit.machine import FactorizationMachine
from fmkit.progress import Progress


def counting_solver(machine, interrupt_at=None):
    """A solver whose machine's bias is the number of the sweep."""
    sweep = 0
    while True:
        sweep += 1
        if sweep == interrupt_at:
            raise KeyboardInterrupt
        machine.bias = float(sweep)
        yield Progress(sweep, 1 / sweep, float(sweep), machine)


@pytest.fixture
def machine():
    return FactorizationMachine(0.0, np.zeros(1, np.float32), np.zeros((1, 1), np.float32))


def test_it_stops_at_max_iter(machine):
    record = run_fit(counting_solver(machine), machine, 5)
    assert record.machine.bias == 5
    assert [row["sweep"] for row in record.history] == [1, 2, 3, 4, 5]


def test_it_keeps_the_machine_that_is_best_on_the_part_set_aside(machine):
    record = run_fit(counting_solver(machine), machine, 50, validation_loss=lambda m: 1 + abs(m.bias - 4), patience=3)
    assert record.machine.bias == 4
    assert len(record.history) == 7


def test_ctrl_c_keeps_the_last_machine_and_says_so(machine):
    with pytest.warns(FitInterrupted, match="interrupted in sweep 4 of 9; the machine of sweep 3 is kept"):
        record = run_fit(counting_solver(machine, interrupt_at=4), machine, 9)
    assert record.machine.bias == 3


def test_ctrl_c_keeps_the_best_machine(machine):
    with pytest.warns(FitInterrupted, match="the machine of sweep 2 is kept"):
        record = run_fit(
            counting_solver(machine, interrupt_at=4), machine, 9, validation_loss=lambda m: abs(m.bias - 2)
        )
    assert record.machine.bias == 2


def test_ctrl_c_before_the_first_sweep_goes_on(machine):
    with pytest.raises(KeyboardInterrupt):
        run_fit(counting_solver(machine, interrupt_at=1), machine, 9)


def test_losses_of_the_burn_in_do_not_count(machine):
    def loss(machine):
        return 0.1 if machine.bias < 4 else 2 + abs(machine.bias - 8)

    record = run_fit(counting_solver(machine), machine, 50, validation_loss=loss, patience=3, burn_in=5)
    assert record.machine.bias == 8
    assert len(record.history) == 11


def test_what_is_kept_of_a_posterior_is_told_and_no_machine_copied(machine):
    with pytest.warns(FitInterrupted, match="interrupted in sweep 4 of 9; all there is is kept"):
        record = run_fit(
            counting_solver(machine, interrupt_at=4),
            machine,
            9,
            validation_loss=lambda m: abs(m.bias - 2),
            kept=lambda: "all there is",
        )
    assert record.machine is machine
    assert record.interrupted


def test_losses_are_told_in_the_users_units(machine):
    record = run_fit(counting_solver(machine), machine, 2, validation_loss=lambda m: m.bias, loss_unit=100.0)
    assert [row["train_loss"] for row in record.history] == [100, 50]
    assert [row["validation_loss"] for row in record.history] == [100, 200]
