"""L-BFGS against minima that are known."""

import numpy as np
import pytest

from mindclf.train.lbfgs import minimise

RNG = np.random.default_rng(0)


def quadratic(size=30, condition=1e4):
    """(matrix, vector) of x A x / 2 - b x, whose minimum solves A x = b."""
    rotation, _ = np.linalg.qr(RNG.standard_normal((size, size)))
    return rotation @ np.diag(np.geomspace(1, condition, size)) @ rotation.T, RNG.standard_normal(size)


def test_the_minimum_of_a_quadratic_is_the_solution_of_its_equations():
    matrix, vector = quadratic()
    found = minimise(lambda x: (x @ matrix @ x / 2 - vector @ x, matrix @ x - vector), np.zeros(30), tolerance=1e-4)
    assert found.converged
    np.testing.assert_allclose(found.point, np.linalg.solve(matrix, vector), atol=1e-4)


def test_it_needs_few_steps_where_steepest_descent_needs_many():
    """Steepest descent at the largest rate that is stable, 2 / 1e4, is after 1,000 steps still far in the flattest direction."""
    matrix, vector = quadratic()
    solution, point = np.linalg.solve(matrix, vector), np.zeros(30)
    for _ in range(1000):
        point -= 1.9e-4 * (matrix @ point - vector)
    found = minimise(lambda x: (x @ matrix @ x / 2 - vector @ x, matrix @ x - vector), np.zeros(30), max_iterations=400)
    assert np.abs(found.point - solution).max() < 0.01 * np.abs(point - solution).max()


def test_each_iteration_lowers_the_value_and_is_told():
    values = []
    found = minimise(lambda x: (np.logaddexp(x - 3, 3 - x).sum(), np.tanh(x - 3)), np.full(4, 50.0),
                     each=lambda iteration, point, value, step: values.append((iteration, value, step)))
    assert [iteration for iteration, _, _ in values] == list(range(1, found.iterations + 1))
    assert np.diff([value for _, value, _ in values]).max() <= 0 and all(step > 0 for _, _, step in values)
    assert found.point == pytest.approx(3, abs=1e-4)


def test_it_begins_where_it_is_told_and_stops_there_if_that_is_the_minimum():
    found = minimise(lambda x: (x @ x, 2 * x), np.zeros(3))
    assert (found.iterations, found.converged, found.value) == (0, True, 0.0)


def test_steps_into_infinity_are_shortened():
    """x - log(x), which is infinite at 0 and beyond: the minimum is at 1."""
    def barrier(x):
        if x[0] <= 0:
            return np.inf, np.zeros(1)
        return float(x[0] - np.log(x[0])), 1 - 1 / x

    assert minimise(barrier, np.array([40.0]), tolerance=1e-8).point == pytest.approx(1, abs=1e-6)


def test_too_few_iterations_are_said():
    matrix, vector = quadratic()
    found = minimise(lambda x: (x @ matrix @ x / 2 - vector @ x, matrix @ x - vector), np.zeros(30), max_iterations=3)
    assert (found.iterations, found.converged) == (3, False)
