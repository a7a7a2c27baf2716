"""Bytes of decoded images that are held at once, counted: bounded, whatever the number of cores."""

import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from mindclf.dataset import folder, images, statistics
from mindclf.dataset import reduce as reducing
from mindclf.dataset.memory import BYTES_A_PIXEL, Budget
from mindclf.dataset.reduce import Reduced
from mindclf.inference import sources
from mindclf.preprocessing import Preprocessing

ORIENTATION = 0x0112


class Counted(Budget):
    """A Budget that knows the most that was held, and by how many."""

    def __init__(self, limit):
        super().__init__(limit)
        self.most, self.inside, self.most_inside, self.asked = 0, 0, 0, 0

    def room(self, count):
        return _Room(self, super().room(count))


class _Room:
    def __init__(self, budget, room):
        self.budget, self.room = budget, room

    def __enter__(self):
        self.room.__enter__()
        budget = self.budget
        with budget._changed:
            budget.asked += 1
            budget.inside += 1
            budget.most, budget.most_inside = max(budget.most, budget.held), max(budget.most_inside, budget.inside)
        time.sleep(0.01)

    def __exit__(self, *error):
        with self.budget._changed:
            self.budget.inside -= 1
        return self.room.__exit__(*error)


@pytest.fixture
def sixteen_cores(monkeypatch):
    for module in (folder, statistics, sources):
        monkeypatch.setattr(module, "usable_cores", lambda: 16)


@pytest.fixture
def photos(tmp_path):
    """24 photos of 60 x 40 pixels that lie on their side, in two classes."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    rng = np.random.default_rng(0)
    for number in range(24):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 60, 3)).astype(np.uint8)).save(path, exif=exif)
    return tmp_path / "photos"


def test_what_is_held_stays_within_the_budget_and_all_get_their_turn():
    budget = Counted(100)
    sizes = [10, 60, 30, 90, 5, 100] * 8

    def hold(size):
        with budget.room(size):
            assert budget.held <= 100
        return size

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(hold, sizes)) == sizes
    assert 60 < budget.most <= 100 and budget.held == 0


def test_one_that_is_larger_than_the_budget_is_held_alone():
    budget = Budget(100)
    others, entered = [], threading.Event()

    def second():
        with budget.room(1):
            others.append(budget.held)
            entered.set()

    with budget.room(1000):
        thread = threading.Thread(target=second)
        thread.start()
        assert not entered.wait(0.2)
    thread.join(10)
    assert others == [1]


def test_room_is_given_back_after_an_error():
    budget = Budget(10)
    with pytest.raises(ZeroDivisionError), budget.room(10):
        raise ZeroDivisionError
    assert budget.held == 0


@pytest.mark.parametrize("photos_at_once", [1, 3])
def test_statistics_decode_no_more_at_once_than_the_budget_holds(photos, sixteen_cores, monkeypatch, photos_at_once):
    budget = Counted(photos_at_once * BYTES_A_PIXEL * 40 * 60)
    monkeypatch.setattr(images, "DECODING", budget)
    found = statistics.folder_statistics(photos)
    assert sum(found.counts["all"].values()) == found.turned == 24
    assert budget.most_inside == photos_at_once and budget.most <= budget.limit and budget.asked == 2 * 24


def test_images_read_ahead_are_few_where_they_are_large(sixteen_cores, monkeypatch):
    """What was read and is not yet done, in bytes, at each moment that the net looks at a list."""
    image = np.zeros(1000, np.uint8)
    started, done, most = [], 0, 0

    def read():
        started.append(1)
        return image

    monkeypatch.setattr(sources, "CHUNK_BYTES", 4000)
    for chunk in sources.read_ahead((str(number), read) for number in range(60)):
        time.sleep(0.01)
        most = max(most, len(started) - done)
        done += len(chunk)
    assert done == len(started) == 60
    assert most <= 3 * 5  # the list that the net looks at, the next one, and what is read for the one after it


@pytest.mark.parametrize("kind", ["JPEG", "BMP"])
@pytest.mark.parametrize(("size", "crop_pct"), [((64, 64), 0.875), ((96, 64), 0.7), ((32, 32), 1.0), ((65, 64), 0.7)])
def test_a_large_image_waits_small_and_the_net_sees_the_same_pixels(monkeypatch, kind, size, crop_pct):
    monkeypatch.setattr(reducing, "WAITING_BYTES", 2**16)
    rng = np.random.default_rng(0)
    preprocessing = Preprocessing(size, crop_pct)
    reduced = Reduced(preprocessing)
    for width, height in ((401, 300), (300, 401), (640, 333), (1001, 230), (256, 256)):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (height, width, 3)).astype(np.uint8)).save(buffer, kind, quality=95)
        encoded = np.frombuffer(buffer.getvalue(), np.uint8)
        small = reduced(encoded)
        expected, found = encoded, small
        for transform in preprocessing.pixel_transforms():
            expected, found = transform(expected), transform(found)
        assert len(small) < len(encoded)
        assert np.array_equal(expected, found)


def test_a_large_image_is_as_before_for_nets_of_raw_images(monkeypatch):
    monkeypatch.setattr(reducing, "WAITING_BYTES", 2**16)
    encoded = images.encoded_image(np.random.default_rng(0).integers(0, 256, (300, 400, 3)).astype(np.uint8))
    small = Reduced(Preprocessing((32, 32), 1.0, raw_size=(32, 32)))(encoded)
    assert len(small) < 4000
    assert np.array_equal(images.small_image(small, (32, 32)), images.small_image(encoded, (32, 32)))


def test_a_small_image_passes_as_it_is():
    encoded = images.encoded_image(np.zeros((300, 400, 3), np.uint8))
    assert Reduced(Preprocessing((64, 64)))(encoded) is encoded
