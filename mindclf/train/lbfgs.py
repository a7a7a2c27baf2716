"""L-BFGS: minimises a smooth function of many numbers, in NumPy and float64."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

PAIRS = 10             # of steps and changes of the gradient that it remembers
SUFFICIENT = 1e-4      # of the decrease that the slope promises, a step must bring this fraction: Armijo's condition
MOST_TRIALS = 30       # step lengths that are tried in one direction
FLAT = 1e-14           # a smaller relative decrease is rounding


class Minimum(NamedTuple):
    """Where `minimise` stopped: the point (n,), the value there, the iterations, and whether the gradient was small enough."""

    point: np.ndarray
    value: float
    iterations: int
    converged: bool


def minimise(function: Callable[[np.ndarray], tuple[float, np.ndarray]], start: np.ndarray, tolerance: float = 1e-5,
             max_iterations: int = 1000, each: Callable[[int, np.ndarray, float, float], None] | None = None) -> Minimum:
    """The `Minimum` of `function`, which gives (value, gradient (n,)) at a point (n,), from `start` on.

    It stops when the Euclidean norm of the gradient is at most `tolerance`, when nothing but rounding is left to gain, or after
    `max_iterations`. `each(iteration, point, value, step)` is called after every iteration; `step` is the length of the
    step as a fraction of the proposed one. Same input, same bits. Source: Nocedal and Wright, Numerical Optimization, algorithms
    7.4 and 7.5, with the scaling of equation 7.20; the line search is backtracking by quadratic interpolation (section 3.5),
    which suffices for a convex function: there the curvature along a step is never negative.
    """
    point = np.array(start, np.float64)
    value, gradient = function(point)
    memory = deque(maxlen=PAIRS)
    for iteration in range(max_iterations):
        if _is_small(gradient, tolerance):
            return Minimum(point, value, iteration, True)
        direction = -_times_inverse_hessian(gradient, memory)
        first = 1.0 if memory else min(1.0, 1.0 / np.abs(gradient).sum())
        found = _line_search(function, point, value, gradient @ direction, direction, first)
        if found is None:
            return Minimum(point, value, iteration, False)
        step, (new_value, new_gradient) = found
        moved, turned = step * direction, new_gradient - gradient
        if moved @ turned > np.finfo(np.float64).eps * (turned @ turned):
            memory.append((moved, turned, 1.0 / (moved @ turned)))
        gained = value - new_value
        point, value, gradient = point + moved, new_value, new_gradient
        if each:
            each(iteration + 1, point, value, step)
        if gained <= FLAT * abs(value):
            return Minimum(point, value, iteration + 1, _is_small(gradient, tolerance))
    return Minimum(point, value, max_iterations, _is_small(gradient, tolerance))


def _is_small(gradient, tolerance):
    return bool(np.sqrt(gradient @ gradient) <= tolerance)


def _times_inverse_hessian(gradient, memory):
    """The product of `gradient` and the inverse Hessian, as far as the (step, change of the gradient) in `memory` tell it."""
    product, factors = gradient.copy(), []
    for moved, turned, rho in reversed(memory):
        factors.append(rho * (moved @ product))
        product -= factors[-1] * turned
    if memory:
        moved, turned, rho = memory[-1]
        product *= 1.0 / (rho * (turned @ turned))
    for (moved, turned, rho), factor in zip(memory, reversed(factors)):
        product += (factor - rho * (turned @ product)) * moved
    return product


def _line_search(function, point, value, slope, direction, step):
    """(step, what `function` gives there) with a sufficient decrease along `direction`; None where no step brings one."""
    for _ in range(MOST_TRIALS):
        there = function(point + step * direction)
        if there[0] <= value + SUFFICIENT * step * slope:
            return step, there
        curvature = there[0] - value - step * slope
        best = -slope * step * step / (2 * curvature) if np.isfinite(curvature) and curvature > 0 else 0.0
        step = min(max(best, 0.1 * step), 0.5 * step)
    return None
