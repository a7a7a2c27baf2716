"""What is said of a folder of images: every image counted, sizes upright, and pixels as NumPy finds them."""

import json

import numpy as np
import pytest
from PIL import Image

from mindclf.dataset.statistics import folder_statistics, histogram, mean_and_std

ORIENTATION = 0x0112


def noise(height, width, channels=3, seed=0):
    pixels = np.random.default_rng([seed, height, width]).integers(0, 256, (height, width, channels)).astype(np.uint8)
    return pixels if channels > 1 else pixels[..., 0]


def save(pixels, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def test_mean_and_deviation_are_those_of_all_pixels_whatever_the_image(tmp_path):
    small, large = noise(5, 8), noise(40, 30, seed=1) // 4
    save(small, tmp_path / "cat" / "a.png")
    save(large, tmp_path / "dog" / "b.png")
    found = folder_statistics(tmp_path)
    pixels = np.concatenate([small.reshape(-1, 3), large.reshape(-1, 3)]).astype(float)
    np.testing.assert_allclose(found.mean, pixels.mean(0))
    np.testing.assert_allclose(found.std, pixels.std(0))


def test_pixels_are_those_that_a_net_sees(tmp_path):
    """Grey in all three channels; what is transparent, white."""
    grey, clear = noise(4, 6, channels=1), np.zeros((4, 6, 4), np.uint8)
    save(grey, tmp_path / "a" / "grey.png")
    save(clear, tmp_path / "a" / "clear.png")
    found = folder_statistics(tmp_path)
    pixels = np.concatenate([grey.ravel(), np.full(24, 255)]).astype(float)
    np.testing.assert_allclose(found.mean, [pixels.mean()] * 3)
    np.testing.assert_allclose(found.std, [pixels.std()] * 3)


@pytest.mark.parametrize("value", [0, 3, 255])
def test_one_colour_has_no_deviation(value):
    counts = histogram(Image.new("RGB", (7, 11), (value,) * 3))
    assert counts.sum(1).tolist() == [77] * 3
    assert mean_and_std(counts * 10**12) == ((value,) * 3, (0,) * 3)


def test_sizes_are_upright_and_kinds_are_counted(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    save(noise(10, 20), tmp_path / "a" / "lies.jpg", exif=exif)
    exif[ORIENTATION] = 1
    save(noise(30, 40), tmp_path / "a" / "stands.jpg", exif=exif)
    save(noise(12, 12, channels=1), tmp_path / "a" / "grey.jpg")
    save(noise(14, 50, channels=4), tmp_path / "a" / "clear.png")
    image = Image.fromarray(noise(16, 16)).quantize(8)
    image.save(tmp_path / "a" / "palette.gif", transparency=3)
    found = folder_statistics(tmp_path)
    assert found.widths == (10, 16, 50)   # 10 12 16 40 50
    assert found.heights == (12, 16, 30)  # 12 14 16 20 30
    assert found.formats == {"JPEG": 3, "PNG": 1, "GIF": 1}
    assert found.modes == {"RGB": 2, "L": 1, "RGBA": 1, "P": 1}
    assert (found.grey, found.transparent, found.turned) == (1, 2, 1)


def test_a_median_of_two_lies_between_them(tmp_path):
    save(noise(4, 5), tmp_path / "a" / "a.png")
    save(noise(4, 8), tmp_path / "a" / "b.png")
    assert folder_statistics(tmp_path).widths == (5, 6.5, 8)


def test_pixels_of_a_divided_folder_are_those_of_training(tmp_path):
    train = noise(6, 6)
    save(train, tmp_path / "train" / "cat" / "a.png")
    for split in ("test", "valid"):
        save(np.zeros((90, 90, 3), np.uint8), tmp_path / split / "cat" / "a.png")
    found = folder_statistics(tmp_path)
    np.testing.assert_allclose(found.mean, train.reshape(-1, 3).mean(0))
    assert found.pixels_of == "train" and found.widths == (6, 90, 90)
    assert found.counts == {"train": {"cat": 1}, "valid": {"cat": 1}, "test": {"cat": 1}}


def test_classes_may_be_called_train_and_test(tmp_path):
    for name in ("train", "ship"):
        save(noise(3, 3), tmp_path / name / "a.png")
    assert folder_statistics(tmp_path).counts == {"all": {"ship": 1, "train": 1}}


def test_what_is_not_usable_is_named_and_not_counted(tmp_path):
    for split in ("train", "test"):
        save(noise(3, 3), tmp_path / split / "cat" / "a.png")
    save(noise(30, 30), tmp_path / "train" / "dog" / "a.png")
    (tmp_path / "train" / "dog" / "text.jpg").write_text("text")
    (tmp_path / "train" / "dog" / "cut.png").write_bytes((tmp_path / "train" / "dog" / "a.png").read_bytes()[:400])
    (tmp_path / "train" / "dog" / ".DS_Store").write_text("litter")
    found = folder_statistics(tmp_path)
    assert found.counts == {"train": {"cat": 1, "dog": 1}, "test": {"cat": 1, "dog": 0}}
    assert found.problems["test"] == ("class 'dog' has no folder",)
    cut, text = found.problems["train"]
    assert cut.startswith(f"{tmp_path}/train/dog/cut.png is damaged")
    assert text.startswith(f"{tmp_path}/train/dog/text.jpg is not an image")


def test_json_can_hold_it(tmp_path):
    save(noise(3, 4), tmp_path / "猫" / "a b.png")
    found = json.loads(json.dumps(folder_statistics(tmp_path).as_dict(), ensure_ascii=False))
    assert found["counts"] == {"all": {"猫": 1}} and found["widths"] == [4, 4, 4]


def test_folders_without_images_are_refused(tmp_path):
    with pytest.raises(ValueError, match="folder .*nowhere does not exist"):
        folder_statistics(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="has no class folders; expected one for each class, with its images"):
        folder_statistics(tmp_path)
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat" / "text.jpg").write_text("text")
    with pytest.raises(ValueError, match="holds no image that can be used: .*text.jpg is not an image"):
        folder_statistics(tmp_path)
