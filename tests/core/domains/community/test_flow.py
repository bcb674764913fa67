"""Gates that agree, gates that drift, and places that will be full before they close."""

from __future__ import annotations

import numpy as np
import pytest

from services.community.indices.flow import flow_balance, forecast_to_closing


def test_what_came_in_less_what_went_out_is_the_drift_of_the_gates():
    entered = np.array([[100.0, 0.0], [50.0, 0.0], [np.nan, 0.0]])
    left = np.array([[90.0, 0.0], [30.0, 0.0], [10.0, 0.0]])
    balance = flow_balance(entered, left)
    assert balance.entered.tolist() == [150.0, 0.0]
    assert balance.surplus.tolist() == [20.0, 0.0]
    assert balance.drift[0] == pytest.approx(20 / 140)
    assert np.isnan(balance.drift[1])


def test_a_day_twice_as_lively_goes_on_so():
    forecast = forecast_to_closing(300.0, 400.0, 200.0, np.array([100.0, 50.0, -50.0, -200.0]), capacity=550.0)
    assert forecast.present.tolist() == [500.0, 600.0, 500.0, 100.0]
    assert (forecast.peak, forecast.full_step) == (600.0, 1)


def test_a_place_that_is_exactly_full_is_not_over_its_capacity_and_nobody_is_the_least():
    forecast = forecast_to_closing(300.0, 200.0, 200.0, np.array([100.0, -900.0]), capacity=400.0)
    assert forecast.present.tolist() == [400.0, 0.0]
    assert forecast.full_step == -1


def test_before_anybody_usually_comes_the_day_is_as_usual_and_a_lively_one_four_times_so_at_most():
    assert forecast_to_closing(0.0, 7.0, 0.0, np.array([10.0]), 99.0).present.tolist() == [10.0]
    assert forecast_to_closing(0.0, 70.0, 1.0, np.array([10.0]), 99.0).present.tolist() == [40.0]
    assert forecast_to_closing(0.0, 0.0, 100.0, np.array([10.0]), 99.0).present.tolist() == [2.5]
    assert forecast_to_closing(5.0, 0.0, 0.0, np.array([]), 3.0).peak == 5.0


@pytest.mark.parametrize("present", [-1.0, np.nan])
def test_fewer_than_none_and_no_number_are_refused(present):
    with pytest.raises(ValueError, match="from 0 up"):
        forecast_to_closing(present, 0.0, 0.0, np.array([1.0]), 1.0)
    with pytest.raises(ValueError, match="from 0 up"):
        forecast_to_closing(0.0, 0.0, 0.0, np.array([1.0]), present)
