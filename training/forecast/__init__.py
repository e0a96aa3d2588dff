"""Forecasts of series: quantiles of the next steps, and how strange a point is beside them."""
