"""Training views: in C and in NumPy the same, each part as MindSpore and Pillow compute it, each choice from its own words."""

import contextlib
import itertools

import numpy as np
import pytest
from mindspore.dataset import vision
from PIL import Image, ImageEnhance
from scipy import stats

from mindclf import kernels
from mindclf.dataset.draws import WORDS, Draws
from mindclf.dataset.policies import TrivialAugment, wide_space
from mindclf.dataset.views import VIEW, RandomCrop, RandomCropDecodeResize, RandomViews, cropped, render

MEAN, STD = (100, 110, 120), (50, 60, 70)
STILL = dict(flip_prob=0.0, color_adjust=0.0)
ALL = dict(rotation=30.0, flip_prob=0.5, vertical_flip_prob=0.5, color_adjust=0.3, hue_adjust=0.1, grey_prob=0.25, cutout=9)
WHOLE = RandomCrop(0)


@pytest.fixture(scope="module")
def images():
    """60 images of noise, of 20 to 90 pixels a side, so that many are longer than high and many shorter than a view."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*rng.integers(20, 90, 2), 3)).astype(np.uint8) for _ in range(60)]


@pytest.fixture(scope="module")
def photo():
    """A smooth image, 48 x 64: what is interpolated in it hardly depends on how."""
    y, x = np.indices((48, 64))
    return np.stack([128 + 90 * np.sin(x / 9), 128 + 90 * np.cos(y / 7), 128 + 60 * np.sin((x + y) / 11)], -1).astype(np.uint8)


def given(images):
    """What RandomViews takes for `load`."""
    return lambda index: contextlib.nullcontext(images[index])


def views_of(images, size, crop=WHOLE, mean=(0, 0, 0), std=(1, 1, 1), words=None, **fields):
    views = RandomViews(given(images), crop, size, mean, std, **{**STILL, **fields})
    words = Draws(1, 1, 1).words(views.names, range(len(images))) if words is None else words
    return views(np.arange(len(images)), words)


def words_for(views, **fractions):
    """Words of one image from which uniform(words) draws these numbers in [0, 1), by name; the rest are 0.5."""
    words = np.full((1, len(views.names), WORDS), 2**63, np.uint64)
    for name, values in fractions.items():
        for position, value in enumerate(np.atleast_1d(values)):
            words[0, views.names.index(name.replace("_", " ")), position] = int(value * 2**53) << 11
    return words


def one_view(image, size=None, fractions=(), **fields):
    """A view as pixels (H, W, 3), with chosen numbers in place of random ones."""
    views = RandomViews(given([image]), WHOLE, size or image.shape[:2], (0, 0, 0), (1, 1, 1), **{**STILL, **fields})
    return views(np.array([0]), words_for(views, **dict(fractions)))[0].transpose(1, 2, 0)


@pytest.mark.parametrize("crop", [RandomCropDecodeResize((0.08, 1), (0.75, 1.333)), RandomCrop(4)], ids=["resized", "padded"])
@pytest.mark.parametrize("fields", [{}, ALL, {"rotation": 90.0}, {"color_adjust": 1.0}], ids=["still", "all", "turned", "light"])
def test_c_and_numpy_render_the_same(images, crop, fields, monkeypatch):
    in_c = views_of(images, (37, 53), crop, MEAN, STD, **fields)
    monkeypatch.setattr(kernels, "render_views", lambda: None)
    in_numpy = views_of(images, (37, 53), crop, MEAN, STD, **fields)
    assert np.isfinite(in_c).all() and in_c.std() > 0.3
    np.testing.assert_allclose(in_c, in_numpy, rtol=0, atol=0.01 / 50)


@pytest.mark.parametrize("fields", [{}, {"rotation": 30.0}], ids=["still", "turned"])
def test_places_in_large_photos_are_exact(fields, monkeypatch):
    photo = [np.random.default_rng(0).integers(0, 256, (1500, 4000, 3), np.uint8)]
    in_c = views_of(photo, (60, 50), **fields)
    monkeypatch.setattr(kernels, "render_views", lambda: None)
    np.testing.assert_allclose(in_c, views_of(photo, (60, 50), **fields), rtol=0, atol=0.01)


@pytest.mark.parametrize("variant", [name for name in kernels.VARIANTS if kernels.available(name)])
def test_all_variants_render_the_same(images, variant, monkeypatch):
    expected = views_of(images[:9], (37, 53), RandomCropDecodeResize((0.08, 1), (0.75, 1.333)), **ALL)
    monkeypatch.setenv("MINDCLF_KERNELS", variant)
    np.testing.assert_allclose(views_of(images[:9], (37, 53), RandomCropDecodeResize((0.08, 1), (0.75, 1.333)), **ALL), expected,
                               rtol=0, atol=0.01)


def test_an_image_of_the_size_of_a_view_comes_through_unchanged(photo):
    np.testing.assert_array_equal(one_view(photo), photo)


def test_normalisation_is_that_of_evaluation(photo):
    expected = vision.HWC2CHW()(vision.Normalize(list(MEAN), list(STD))(photo))
    np.testing.assert_allclose(views_of([photo], photo.shape[:2], mean=MEAN, std=STD)[0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("size", [(24, 24), (48, 64), (96, 80), (17, 200), (1, 1)])
def test_an_image_is_resized_as_by_evaluation(images, size):
    for image in images[:6]:
        np.testing.assert_allclose(one_view(image, size), vision.Resize(size)(image), rtol=0, atol=1.01)  # it rounds on its way


def test_flips_reverse_columns_and_rows(images):
    for image, across, down in zip(images, itertools.cycle((0, 1)), itertools.cycle((0, 0, 1, 1))):
        fractions = {"horizontal_flip": 0.4 if across else 0.6, "vertical_flip": 0.4 if down else 0.6}
        expected = image[:, ::-1] if across else image
        np.testing.assert_array_equal(one_view(image, None, fractions, flip_prob=0.5, vertical_flip_prob=0.5),
                                      expected[::-1] if down else expected)


@pytest.mark.parametrize("fraction", [0.1, 0.45, 0.9])
def test_a_view_is_turned_as_mindspore_turns_it(photo, fraction):
    degrees = -40 + 80 * fraction
    expected = vision.Rotate(degrees, vision.Inter.BILINEAR)(photo)
    turned = one_view(photo, None, {"rotation": fraction}, rotation=40.0)
    bare = np.pad(((expected == 0) | (turned == 0)).any(-1), 2, constant_values=True)  # MindSpore blends the edge with black
    inner = ~np.lib.stride_tricks.sliding_window_view(bare, (5, 5)).any((2, 3))
    assert inner.mean() > 0.4
    assert abs(turned[inner] - expected[inner]).max() < 3
    assert abs(turned - photo)[inner].max() > 20


def test_turning_comes_before_flips(photo):
    """A view that is turned to the left and then mirrored is turned to the right."""
    left = one_view(photo, None, {"rotation": 0.9}, rotation=40.0)
    mirrored = one_view(photo, None, {"rotation": 0.9, "horizontal_flip": 0.1}, rotation=40.0, flip_prob=0.5)
    np.testing.assert_allclose(mirrored, left[:, ::-1], atol=0.01)


@pytest.mark.parametrize(("position", "enhance"),
                         [(0, ImageEnhance.Brightness), (1, ImageEnhance.Contrast), (2, ImageEnhance.Color)])
@pytest.mark.parametrize("fraction", [0.1, 0.8])
def test_light_is_changed_as_pillow_changes_it(photo, position, enhance, fraction):
    factor = 0.6 + 0.8 * fraction
    numbers = [0.5, 0.5, 0.5]
    numbers[position] = fraction
    expected = np.asarray(enhance(Image.fromarray(photo)).enhance(factor), np.float32)
    assert abs(expected - photo).max() > 10
    np.testing.assert_allclose(one_view(photo, None, {"light": numbers}, color_adjust=0.4), expected, rtol=0, atol=1.5)


def test_a_third_of_the_colour_wheel_exchanges_the_channels(photo):
    """As in HSV: red becomes green, green blue, blue red; or the other way."""
    turned = one_view(photo, None, {"light": [0, 0, 0, (1 / 3 + 0.5)]}, hue_adjust=0.5)
    forth, back = (np.roll(photo, shift, -1) for shift in (1, -1))
    assert min(abs(turned - forth).max(), abs(turned - back).max()) < 0.01


def test_the_hue_turns_by_its_fraction_and_lightness_stays():
    colour = np.full((4, 4, 3), (120, 90, 100), np.uint8)
    for fraction in (0.0, 0.3, 0.5, 0.8):
        turned = one_view(colour, None, {"light": [0, 0, 0, fraction]}, hue_adjust=0.1)[0, 0].astype(float)
        wheel = np.exp(2j * np.pi * np.arange(3) / 3)  # red, green and blue on the colour wheel
        angle = np.angle((turned @ wheel) / (np.array([120, 90, 100]) @ wheel)) / (2 * np.pi)
        assert angle == pytest.approx(-0.1 + 0.2 * fraction, abs=1e-4)
        assert turned.mean() == pytest.approx(310 / 3, abs=0.01)


def test_grey_is_luma(photo):
    grey = one_view(photo, None, {"grey": 0.1}, grey_prob=0.25)
    np.testing.assert_allclose(grey, np.repeat(photo @ [[0.299], [0.587], [0.114]], 3, -1), rtol=0, atol=0.01)
    np.testing.assert_array_equal(one_view(photo, None, {"grey": 0.3}, grey_prob=0.25), photo)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (20, 30), (47, 63), (3, 62)])
@pytest.mark.parametrize("side", [1, 8, 9])
def test_a_square_of_the_mean_colour_has_its_centre_where_drawn(photo, row, column, side):
    views = RandomViews(given([photo]), WHOLE, (48, 64), MEAN, STD, **STILL, cutout=side)
    image = views(np.array([0]), words_for(views, cutout=((row + 0.5) / 48, (column + 0.5) / 64)))[0]
    y, x = np.indices((48, 64))
    inside = (row - side // 2 <= y) & (y < row - side // 2 + side) & (column - side // 2 <= x) & (x < column - side // 2 + side)
    assert (image[:, inside] == 0).all()
    np.testing.assert_allclose(image[:, ~inside], ((photo - MEAN) / np.array(STD)).transpose(2, 0, 1)[:, ~inside], atol=1e-5)


@pytest.mark.parametrize(("area", "ratio", "row", "column", "box"), [
    (0.5, 0.5, 0.5, 0.5, (20, 28, 8, 8)),      # 2 % of 3072 pixels as a square, in one of 41 x 57 positions
    (0.5, 1.0, 0.0, 0.999, (0, 50, 4, 14)),    # 13.6 x 4.5 pixels
    (0.5, 0.0, 0.999, 0.0, (34, 0, 14, 4))])
def test_a_box_is_erased_where_drawn(photo, area, ratio, row, column, box):
    views = RandomViews(given([photo]), WHOLE, (48, 64), MEAN, STD, **STILL, erasing_prob=0.5, erasing_scale=(0.01, 0.03),
                        erasing_ratio=(0.3, 1 / 0.3))
    plain = ((photo - MEAN) / np.array(STD)).transpose(2, 0, 1)
    for drawn in (0.49, 0.51):
        words = words_for(views, erasing=drawn, erased_box=(area, ratio - 1e-12 if ratio == 1 else ratio, row, column))
        image = views(np.array([0]), words)[0]
        inside = np.zeros((48, 64), bool)
        if drawn < 0.5:
            inside[box[0]:box[0] + box[2], box[1]:box[1] + box[3]] = True
        assert (image[:, inside] == 0).all()
        np.testing.assert_allclose(image[:, ~inside], plain[:, ~inside], atol=1e-5)


def test_boxes_are_erased_with_their_probability_area_shape_and_place():
    """Of 4000 white images, read off their pixels: a quarter is erased, and nothing tells anything of another."""
    white = np.full((64, 96, 3), 255, np.uint8)
    views = RandomViews(lambda index: contextlib.nullcontext(white), WHOLE, (64, 96), (0, 0, 0), (1, 1, 1), flip_prob=0.5,
                        color_adjust=0.0, erasing_prob=0.25, erasing_scale=(0.05, 0.15), erasing_ratio=(0.5, 2.0))
    words = Draws(1, 1, 1).words(views.names, range(4000))
    boxes = []
    for start in range(0, 4000, 500):
        erased = views(np.arange(500), words[start:start + 500])[:, 0] == 0
        for image in erased[erased.any((1, 2))]:
            rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
            assert image.sum() == len(rows) * len(columns)
            boxes.append((rows[0], columns[0], len(rows), len(columns)))
    top, left, height, width = np.array(boxes).T
    assert stats.binomtest(len(boxes), 4000, 0.25).pvalue > 1e-4
    jitter = np.random.default_rng(0).uniform(-0.5, 0.5, (4, len(boxes)))  # sides are whole pixels
    found = {"area": ((height + jitter[0]) * (width + jitter[1]) / (64 * 96) - 0.05) / 0.1,
             "shape": np.log((width + jitter[1]) / (height + jitter[0])) / np.log(4) + 0.5,
             "row": (top + jitter[2] + 0.5) / (64 - height + 1), "column": (left + jitter[3] + 0.5) / (96 - width + 1)}
    for values in found.values():
        assert stats.kstest(values, "uniform").pvalue > 1e-4
    for one, other in itertools.combinations(found, 2):
        assert stats.spearmanr(found[one], found[other]).pvalue > 1e-4


def test_nothing_is_erased_where_no_box_fits(photo):
    """All of the image in a shape that it has not."""
    fields = dict(erasing_prob=1.0, erasing_scale=(0.9, 1.0), erasing_ratio=(9.0, 10.0))
    assert (views_of([photo] * 20, (48, 64), **fields) == views_of([photo] * 20, (48, 64))).all()


def test_a_box_outside_is_black(photo):
    part = cropped(photo, (-3, 60, 10, 9))
    assert part.shape == (10, 9, 3)
    np.testing.assert_array_equal(part[3:, :4], photo[:7, 60:])
    assert not part[:3].any() and not part[:, 4:].any()
    np.testing.assert_array_equal(part, cropped(Image.fromarray(photo), (-3, 60, 10, 9)))


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
def test_a_box_of_a_file_is_a_part_of_the_file_in_rgb(tmp_path, photo, mode):
    Image.fromarray(photo).convert(mode).save(tmp_path / "a.jpg", quality=95)
    whole = np.asarray(Image.open(tmp_path / "a.jpg").convert("RGB"))
    np.testing.assert_array_equal(cropped(Image.open(tmp_path / "a.jpg"), (5, 7, 20, 30)), whole[5:25, 7:37])


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (30, 31), (3, 200)])
def test_a_random_box_lies_in_the_image(size):
    crop = RandomCropDecodeResize((0.08, 1.0), (0.75, 1.333))
    for drawn in crop.drawn(Draws(1, 1, 1).words(["crop"], range(300))[:, 0]):
        top, left, height, width = crop.box(*size, drawn)
        assert height >= 1 and width >= 1 and top >= 0 and left >= 0
        assert top + height <= size[0] and left + width <= size[1]


def test_a_random_box_has_its_area_from_scale_and_its_shape_from_ratio():
    """Where every box fits, and pixels are so small that rounding does not matter. All boxes are wider than high."""
    crop, height, width = RandomCropDecodeResize((0.1, 0.3), (1.5, 3.0)), 40_000, 60_000
    drawn = crop.drawn(Draws(1, 1, 1).words(["crop"], range(3000))[:, 0])
    top, left, rows, columns = np.array([crop.box(height, width, numbers) for numbers in drawn]).T
    for values, low, high in ((rows * columns / (height * width), 0.1, 0.3), (np.log(columns / rows), np.log(1.5), np.log(3)),
                              (top / (height - rows), 0, 1), (left / (width - columns), 0, 1)):
        assert low - 1e-3 < values.min() and values.max() < high + 1e-3
        assert stats.kstest(values, "uniform", (low, high - low)).pvalue > 1e-3


def test_a_box_that_never_fits_is_the_largest_allowed_in_the_centre():
    """Of 10 x 400 pixels, 1.333 times as wide as high at most."""
    crop = RandomCropDecodeResize((1.0, 1.0), (0.75, 1.333))
    [drawn] = crop.drawn(Draws(1, 1, 1).words(["crop"], [0])[:, 0])
    assert crop.box(10, 400, drawn) == (0, 193, 10, 13)
    assert crop.box(400, 10, drawn) == (193, 0, 13, 10)


def erased(views, words):
    """Where random erasing makes ones zeros."""
    ones = np.ones((1, 3, 32, 32), np.float32)
    views._erase(ones, words)
    return np.flatnonzero(ones[0, 0] == 0).tolist()


def test_no_choice_reads_the_words_of_another(images):
    """What is rendered of crop, grid and light changes with the words of its own choices alone."""
    crop, told = RandomCropDecodeResize((0.3, 0.6), (0.75, 1.333)), {}
    views = RandomViews(given(images), crop, (32, 32), MEAN, STD, **ALL, policy=TrivialAugment(wide_space(32)), erasing_prob=0.8)
    parts = {"crop": lambda w: views.crop.box(64, 64, next(iter(views.crop.drawn(w["crop"])))),
             "turns": lambda w: views._turns(w, 1).tolist(),
             "colours": lambda w: [part.tolist() for part in views._colours(w, 1)], "policy": views.policy.drawn,
             "erased": lambda w: erased(views, w)}
    depends = {"crop": {"crop"}, "turns": {"rotation", "horizontal flip", "vertical flip"}, "colours": {"light", "grey"},
               "policy": {"policy"}, "erased": {"erasing", "erased box"}}
    for part, name in itertools.product(parts, views.names):
        told[part, name] = set()
        for epoch in range(1, 20):
            words = dict(zip(views.names, Draws(1, 1, 1).words(views.names, [0]).transpose(1, 0, 2)))
            words[name] = Draws(1, 1, epoch).words([name], [0])[0]
            told[part, name].add(str(parts[part](words)))
    for (part, name), values in told.items():
        assert (len(values) > 1) == (name in depends[part]), (part, name)


def test_c_reads_and_writes_no_more_than_it_should():
    """The sanitizers look at it in tests/kernels/check_kernels.c; here what is beside the views stays."""
    views = np.zeros(2, VIEW)
    views["rows"] = views["columns"] = 5
    views["height"], views["width"], views["colour"], views["scale"] = 6, 7, np.eye(3), 1
    views["grid"] = (0.7, 0, 0, 0, 0.7, 0), (0.7, 0.1, 0, -0.1, 0.7, 0)
    memory = np.full(2 * 3 * 6 * 7 + 64, 77, np.float32)
    pixels = [np.full((5, 5, 3), 9, np.uint8)] * 2
    render(views, pixels, memory[32:-32].reshape(2, 3, 6, 7))
    assert (memory[:32] == 77).all() and (memory[-32:] == 77).all()
    assert set(np.unique(memory[32:-32])) == {0, 9}


@pytest.mark.parametrize("in_c", [True, False], ids=["C", "NumPy"])
@pytest.mark.parametrize("side", ["rows", "columns", "height", "width"])
def test_an_image_or_view_without_pixels_is_refused(side, in_c, monkeypatch):
    if not in_c:
        monkeypatch.setattr(kernels, "render_views", lambda: None)
    sizes = {"rows": 4, "columns": 5, "height": 3, "width": 2, side: 0}
    views = np.zeros(1, VIEW)
    for name, size in sizes.items():
        views[name] = size
    images = np.full((1, 3, sizes["height"], sizes["width"]), 77, np.float32)
    with pytest.raises(ValueError, match="has no pixels"):
        render(views, [np.zeros((sizes["rows"], sizes["columns"], 3), np.uint8)], images)
    assert (images == 77).all()
