"""The arithmetic of benchmarks/speed.py: medians, ratios and who runs when. What all benchmarks import of ours is there."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.imports import imports_of_ours

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def speed(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("speed")


@pytest.fixture
def speed_case(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("speed_case")


def rounds(**seconds):
    """A list of rounds from {configuration: its seconds in each round}."""
    names = {name.replace("_channels_last", " channels-last"): values for name, values in seconds.items()}
    return [{name: {"seconds": values[number], "others": 0.01 * number} for name, values in names.items() if number < len(values)}
            for number in range(max(map(len, names.values())))]


def test_what_they_import_of_ours_is_there():
    found = {path.stem: imports_of_ours(path.read_text(encoding="utf-8")) for path in BENCHMARKS.glob("*.py")}
    assert {name: missing for name, (_, missing) in found.items() if missing} == {}
    assert sum(count for count, _ in found.values()) > 50


@pytest.mark.parametrize("values", [[3.0], [1.0, 2.0], [5.0, 1.0, 4.0], [1.0, 9.0, 3.0, 7.0, 2.0]])
def test_a_spread_is_numpys_median_and_quartiles(speed, values):
    figures = speed.spread(values)
    assert figures["count"] == len(values)
    np.testing.assert_allclose([figures["median"], *figures["quartiles"]], np.percentile(values, [50, 25, 75]))


def test_a_ratio_is_the_median_of_the_rounds_ratios(speed):
    """Both are three times slower in the second round: the ratio does not see it."""
    figures = speed.summary(rounds(mindclf=[1.0, 3.0, 1.0], capped=[2.0, 6.0, 4.0]))
    assert figures["ratios"]["capped"]["median"] == 0.5 and figures["seconds"]["mindclf"]["median"] == 1.0


def test_the_better_pytorch_is_the_one_with_the_smaller_median(speed):
    figures = speed.summary(rounds(mindclf=[1.0] * 3, torch=[2.0, 2.0, 2.0], torch_channels_last=[4.0]))
    assert figures["ratios"]["better torch"] == figures["ratios"]["torch"]
    figures = speed.summary(rounds(mindclf=[2.0] * 3, torch=[1.0, 9.0, 9.0], torch_channels_last=[4.0] * 3))
    assert figures["ratios"]["better torch"]["median"] == 0.5


def test_stock_is_compared_with_its_own_round(speed):
    figures = speed.summary(rounds(mindclf=[2.0, 1.0, 1.0], stock=[40.0]))
    assert figures["ratios"]["stock"] == {"median": 0.05, "quartiles": [0.05, 0.05], "count": 1}


def test_without_pytorch_there_is_no_better_one(speed):
    assert list(speed.summary(rounds(mindclf=[1.0], capped=[2.0]))["ratios"]) == ["capped"]


def test_the_most_that_others_took_is_told(speed):
    assert speed.summary(rounds(mindclf=[1.0] * 3, capped=[2.0] * 3))["others"] == {"median": 0.01, "most": 0.02}


def test_everyone_runs_once_a_round_and_stock_in_the_first_alone(speed):
    names = ["stock", "capped", "mindclf", "torch"]
    rows = speed.orders(names, 4)
    assert [sorted(row) for row in rows] == [sorted(names)] + [sorted(names[1:])] * 3
    assert len({row[0] for row in rows}) > 1


def test_workers_get_no_tuning_but_their_own(speed, monkeypatch):
    monkeypatch.setenv("MINDCLF_KERNELS", "0")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    environment = speed.environment_with({"OMP_NUM_THREADS": "1"})
    assert environment["OMP_NUM_THREADS"] == "1" and not {"MINDCLF_KERNELS", "ONEDNN_MAX_CPU_ISA"} & set(environment)


def test_a_batch_is_always_the_same_and_fits_its_case(speed_case):
    for case in speed_case.CASES.values():
        images, labels = speed_case.random_batch(case)
        assert images.shape == (case.batch_size, 3, case.size, case.size) and images.dtype == np.float32
        assert labels.dtype == np.int32 and set(labels) <= set(range(case.num_classes))
        np.testing.assert_array_equal(images, speed_case.random_batch(case)[0])


def test_a_command_may_name_another_batch_size(speed_case):
    case = speed_case.case_of("mobilenet_v2")
    other = speed_case.case_of("mobilenet_v2:1")
    assert (case.batch_size, other.batch_size, speed_case.random_batch(other)[0].shape) == (16, 1, (1, 3, 224, 224))
    assert {**vars(other), "batch_size": 16} == vars(case)


def test_the_cases_are_nets_of_the_table(speed_case):
    from mindclf.nets import NETS

    assert set(speed_case.CASES) <= set(NETS)


@pytest.fixture
def predict_speed(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("predict_speed")


def test_files_come_from_all_over_the_folder(predict_speed, tmp_path):
    for name in ("a", "b", "c", "d"):
        (tmp_path / name).mkdir()
        for number in range(5):
            (tmp_path / name / f"{number}.jpg").touch()
    assert [Path(file).parent.name for file in predict_speed.some_files(tmp_path, 4)] == ["a", "b", "c", "d"]
    assert len(predict_speed.some_files(tmp_path, 100)) == 20


def test_each_runtime_sorts_all_files_once_a_round_and_bad_images_do_not_count_as_fast(predict_speed, tmp_path):
    class Fake:
        def __init__(self):
            self.sorted = []

        def predict_iter(self, sources):
            names = [name for name, _ in sources]
            self.sorted.append(len(names))
            return ((name, ValueError("bad") if name == "bad.jpg" else []) for name in names)

    runtimes = {"one": Fake(), "other": Fake()}
    measured = predict_speed.measure(runtimes, [f"{number}.jpg" for number in range(60)], rounds=3)
    assert all(runtime.sorted == [48, 60, 60, 60] for runtime in runtimes.values())  # 48 to warm up
    assert {name: figures["count"] for name, figures in measured["images_per_second"].items()} == {"one": 3, "other": 3}
    with pytest.raises(ValueError, match="bad"):
        predict_speed.predict_all(Fake(), ["bad.jpg"])


def test_the_pipeline_of_drawn_images_is_measured(speed, tmp_path):
    measured = speed.pipeline(tmp_path, train_per_class=1)
    assert (measured["images"], measured["size"], measured["images_per_second"]["count"]) == (26, 224, 3)
    assert measured["images_per_second"]["median"] > 0


def test_rows_that_a_table_has_are_not_measured_again_and_each_new_one_is_kept_at_once(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(BENCHMARKS)
    common = importlib.import_module("common")
    monkeypatch.setattr(common, "TABLES", tmp_path)
    measured = []

    def work(name, seed, fails=False):
        def measure():
            if fails:
                raise RuntimeError("killed")
            measured.append((name, seed))
            return {"top1": seed / 10}

        return measure, {"way": name, "seed": seed}

    with pytest.raises(RuntimeError, match="killed"):
        common.add_rows("table", [work("b", 1), work("a", 2), work("c", 3, fails=True)], epochs=4)
    common.add_rows("table", [work("a", 2), work("b", 1), work("a", 1)], epochs=5)
    table = json.loads((tmp_path / "table.json").read_text(encoding="utf-8"))
    assert measured == [("b", 1), ("a", 2), ("a", 1)] and table["epochs"] == 5
    assert [(row["way"], row["seed"], row["top1"]) for row in table["rows"]] == [("a", 1, 0.1), ("a", 2, 0.2), ("b", 1, 0.1)]
