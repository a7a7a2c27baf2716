"""Nets in several threads and processes: all threads get the answers of one, and a process that would hang says so."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import mindspore as ms
import numpy as np
import pytest
from mindspore import Tensor

from mindclf.dataset import eval_pipeline, read_folder
from mindclf.device import exclusive, pynative
from mindclf.explain import explain
from mindclf.export import export
from mindclf.inference.logits import predict_logits
from mindclf.predict import Predictor
from mindclf.train import fit
from tests.conftest import CLASS_INDEX, ONLY_HEAD

THREADS = 4
SECONDS = 60  # after which a child process counts as one that hangs


@pytest.fixture
def images(colour_folder):
    return read_folder(colour_folder / "test", CLASS_INDEX).paths * 4


def in_threads(work, items, count=THREADS):
    """What `work` gives for each of `items`, in their order, from so many threads that begin together."""
    start = threading.Barrier(count)
    with ThreadPoolExecutor(count, initializer=start.wait) as pool:
        return list(pool.map(work, items))


@pytest.mark.parametrize("mode", ["graph", "pynative"])
def test_one_predictor_gives_all_threads_the_answers_of_one(fitted, images, mode):
    before = ms.get_context("mode")
    ms.set_context(mode=ms.GRAPH_MODE if mode == "graph" else ms.PYNATIVE_MODE)
    try:
        predictor = Predictor(fitted.checkpoint)
        expected = [predictor.predict([image]) for image in images]
        assert in_threads(lambda image: predictor.predict([image]), images) == expected
    finally:
        ms.set_context(mode=before)


def test_a_predictor_for_each_thread_gives_the_answers_of_one(fitted, images):
    alone = Predictor(fitted.checkpoint)
    expected = [alone.predict([image]) for image in images]
    own = threading.local()

    def predict(image):
        if not hasattr(own, "predictor"):
            own.predictor = Predictor(fitted.checkpoint)
        return own.predictor.predict([image])

    assert in_threads(predict, images) == expected


def test_explanations_evaluations_and_exports_side_by_side_are_those_of_one_thread(fitted, images, tmp_path):
    image_set = read_folder(images[0].rsplit("/", 2)[0], CLASS_INDEX)
    predictor = Predictor(fitted.checkpoint)
    names = iter(range(1000))

    def heat(image):
        return explain(fitted.checkpoint, image).activation

    def logits(image):
        return predict_logits(predictor.net, eval_pipeline(image_set, predictor.preprocessing, 16))[0]

    def predicted(image):
        return predictor.logits([np.asarray(ms.dataset.vision.Decode()(np.fromfile(image, np.uint8)))])

    def exported(image):
        file = export(fitted.checkpoint, "mindir", tmp_path / f"{next(names)}.mindir")
        return Predictor(file).logits(image_set.paths[:4])

    works = [heat, logits, predicted, exported]
    calls = [partial(work, image) for image in images[:2] for work in works]
    expected = [call() for call in calls]
    for got, wanted in zip(in_threads(lambda call: call(), calls), expected, strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_predictions_beside_a_training_change_neither(fitted, tiny_config, images, tmp_path):
    config = {**tiny_config, **ONLY_HEAD, "epochs": 20}
    alone = fit({**config, "output": str(tmp_path / "alone")})
    predictor = Predictor(fitted.checkpoint)
    expected = [predictor.predict([image]) for image in images]
    answers, ended = [], threading.Event()

    def predict_until_the_end():
        while not ended.is_set():
            answers.append([predictor.predict([image]) for image in images])

    predicting = threading.Thread(target=predict_until_the_end)
    predicting.start()
    try:
        beside = fit({**config, "output": str(tmp_path / "beside")})
    finally:
        ended.set()
        predicting.join()
    assert answers and all(answer == expected for answer in answers)
    for name, weights in ms.load_checkpoint(str(alone.checkpoint)).items():
        np.testing.assert_array_equal(weights.asnumpy(), ms.load_checkpoint(str(beside.checkpoint))[name].asnumpy(), name)


def test_own_cells_wait_inside_an_exclusive_block(fitted, images):
    predictor = Predictor(fitted.checkpoint)
    began, order = threading.Event(), []

    def predict():
        began.set()
        predictor.predict(images[:1])
        order.append("predictor")

    with exclusive(), pynative():  # the same thread may enter again
        thread = threading.Thread(target=predict)
        thread.start()
        began.wait()
        time.sleep(0.2)
        predictor.net(Tensor(np.zeros((1, 3, 32, 32), np.float32))).asnumpy()
        order.append("own cell")
    thread.join()
    assert order == ["own cell", "predictor"]


def outcome_of_fork(work):
    """How a forked child ends that does `work`: its exit status, or "hangs"."""
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        except BaseException as error:
            os.write(2, f"{error!r}\n".encode())
        finally:
            os._exit(status)
    for _ in range(10 * SECONDS):
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "hangs"


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork processes")


@needs_fork
@pytest.mark.parametrize("use", ["its parent's predictor", "a predictor of its own", "explain", "fit"])
def test_a_forked_child_of_a_process_with_a_net_says_so_at_once(fitted, images, tiny_config, use):
    predictor = Predictor(fitted.checkpoint)
    work = {"its parent's predictor": lambda: predictor.predict(images[:2]),
            "a predictor of its own": lambda: Predictor(fitted.checkpoint).predict(images[:2]),
            "explain": lambda: explain(fitted.checkpoint, images[0]),
            "fit": lambda: fit(tiny_config)}[use]

    def refused():
        message = rf"^process {os.getpid()} was forked from process {os.getppid()} .* after the fork"
        with pytest.raises(RuntimeError, match=message):
            work()

    assert outcome_of_fork(refused) == 0


@needs_fork
def test_a_fork_while_another_thread_runs_a_net_does_not_hang(fitted, images):
    predictor = Predictor(fitted.checkpoint)

    def refused():
        with pytest.raises(RuntimeError, match="was forked"):
            predictor.predict(images[:1])

    with exclusive(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(outcome_of_fork, refused).result() == 0


@needs_fork
def test_a_process_that_has_no_net_yet_may_fork(fitted, images, tmp_path):
    script = tmp_path / "forks.py"
    script.write_text(f"""
import os, sys
from mindclf.device import use_device
from mindclf.predict import Predictor

use_device("CPU")
if os.fork() == 0:
    [[top, *_]] = Predictor({str(fitted.checkpoint)!r}).predict([{images[0]!r}])
    print(top.name, flush=True)
    os._exit(0)
print(os.wait()[1])
""")
    [[expected, *_]] = Predictor(fitted.checkpoint).predict(images[:1])
    run = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=SECONDS)
    assert run.stdout.splitlines() == [expected.name, "0"], run.stderr


@needs_fork
def test_onnx_runtime_answers_in_a_forked_child_and_in_threads(exported, images):
    predictor = Predictor(exported("onnx"))
    expected = [predictor.predict([image]) for image in images]
    assert in_threads(lambda image: predictor.predict([image]), images) == expected

    def same():
        assert predictor.predict(images) and [predictor.predict([image]) for image in images] == expected

    assert outcome_of_fork(same) == 0
