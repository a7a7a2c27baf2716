"""The table of mutants fits the package, and a mutant is killed if, and only if, a test of its row fails."""

import pytest

from tests import mutate
from tests.mutate import CannotRun, Row

TESTS = mutate.ROOT / "tests"


def test_every_row_fits_the_package_of_today():
    mutate.check(mutate.ROWS, mutate.ROOT / "mindclf")


def test_every_test_of_a_row_is_there():
    named = [test.partition("[")[0].split("::") for row in mutate.ROWS for test in row.tests.split()]
    assert [(file, name) for file, name in named if f"\ndef {name}(" not in (TESTS / file).read_text(encoding="utf-8")] == []


def test_no_change_is_made_twice_and_none_changes_nothing():
    assert len({row[:3] for row in mutate.ROWS}) == len(mutate.ROWS)
    assert all(row.old != row.new for row in mutate.ROWS)


@pytest.fixture
def folder(tmp_path):
    """A package of one function with two tests, of which one looks at a single case."""
    for name in ("mindclf", "tests"):
        (tmp_path / name).mkdir()
    (tmp_path / "mindclf" / "square.py").write_text("def square(x):\n    return x * x\n")
    (tmp_path / "tests" / "test_square.py").write_text(
        "from mindclf.square import square\n\n\ndef test_of_two():\n    assert square(2) == 4\n\n\n"
        "def test_of_many():\n    assert [square(x) for x in range(4)] == [0, 1, 4, 9]\n")
    return tmp_path


@pytest.mark.parametrize(("new", "test", "killed"), [("x + x", "test_of_two", False), ("x + x", "test_of_many", True)])
def test_a_mutant_is_killed_if_a_test_fails(folder, new, test, killed):
    row = Row("square.py", "x * x", new, f"test_square.py::{test}")
    assert mutate.is_killed(row, folder) == killed
    assert (folder / "mindclf" / "square.py").read_text().endswith("return x * x\n")


@pytest.mark.parametrize(("old", "new", "test", "message"), [
    ("x * x", "x *", "test_of_two", "square.py: 'x \\* x': pytest ended with 4: "),
    ("y", "x", "test_of_two", "square.py: 'y' occurs 0 times, not once: the row is stale"),
    ("x", "y", "test_of_two", "square.py: 'x' occurs 3 times, not once: the row is stale"),
])
def test_a_row_that_cannot_be_run_is_neither_killed_nor_alive(folder, old, new, test, message):
    with pytest.raises(CannotRun, match=message) as raised:
        mutate.is_killed(Row("square.py", old, new, f"test_square.py::{test}"), folder)
    assert "\n" not in str(raised.value)


def test_without_a_mutation_all_tests_must_pass(folder):
    (folder / "mindclf" / "square.py").write_text("def square(x):\n    return x\n")
    with pytest.raises(CannotRun, match="without a mutation not all tests pass"):
        mutate.check_tests([Row("square.py", "x", "y", "test_square.py::test_of_two")], folder)


def test_the_result_has_each_row_and_the_fraction():
    rows = [Row("a.py", "x", "y", "test_a.py::test_x test_a.py::test_y"), Row("b.py", "x", "y", "test_b.py::test_x")]
    result = mutate.result_of(rows, [True, False])
    assert (result["killed"], result["of"], result["fraction"]) == (1, 2, 0.5)
    assert result["rows"][0] == {"file": "a.py", "old": "x", "new": "y", "tests": ["test_a.py::test_x", "test_a.py::test_y"],
                                 "killed": True}
