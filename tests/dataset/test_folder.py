"""Class folders: order, what counts as an image, what is wrong with the rest, and how a part is held out."""

import io
import logging

import numpy as np
import pytest
from easydict import EasyDict
from PIL import Image

from mindclf.dataset import ImageSet, read_folder, scan_folder
from mindclf.dataset.folder import check_class_index
from mindclf.dataset.layout import index_of_folders


def png():
    noise = np.random.default_rng(0).integers(0, 256, (12, 12, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


def grow(root, files):
    """Writes `files`, relative path -> bytes, below `root`; a path that ends in / is an empty folder."""
    for name, content in files.items():
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return root


def names(images, root):
    """(path below root, label) of each image."""
    return [(path.removeprefix(f"{root}/"), label) for path, label in zip(images.paths, images.labels)]


@pytest.fixture
def pets(tmp_path):
    return grow(tmp_path / "pets", {"dog/a.png": png(), "cat/b.png": png(), "cat/a.png": png()})


PETS = {"dog": 0, "cat": 1}


def test_labels_follow_class_index_and_not_the_alphabet(tmp_path):
    grow(tmp_path, {f"{name}/x.png": png() for name in ("1", "2", "10")})
    images = read_folder(tmp_path, {"2": 1, "10": 2, "1": 0})
    assert images.classes == ("1", "2", "10")
    assert names(images, tmp_path) == [("1/x.png", 0), ("2/x.png", 1), ("10/x.png", 2)]


def test_images_of_a_class_are_in_the_order_of_their_names(pets):
    assert names(read_folder(pets, PETS), pets) == [("dog/a.png", 0), ("cat/a.png", 1), ("cat/b.png", 1)]


@pytest.mark.parametrize("name", ["Old Mirror", "旧镜子", "🐈", "a'b\"c", "100%", "[x]*?"])
def test_any_name_of_a_folder_or_file_will_do(tmp_path, name):
    grow(tmp_path, {f"{name}/{name}.png": png()})
    assert names(read_folder(tmp_path, {name: 0}), tmp_path) == [(f"{name}/{name}.png", 0)]


def test_what_systems_leave_behind_is_no_image(pets):
    grow(pets, {"cat/.DS_Store": b"x", "cat/Thumbs.db": b"x", "dog/desktop.ini": b"x", "dog/._a.png": b"x", ".git/x": b"x",
                "README.txt": b"x"})
    scan = scan_folder(pets, PETS)
    assert (len(scan.images), scan.problems) == (3, ())


def test_the_name_of_a_file_does_not_matter(tmp_path):
    grow(tmp_path, {"a/x.JPG": png(), "a/y": png(), "a/z.txt": png()})
    assert len(read_folder(tmp_path, {"a": 0})) == 3


@pytest.fixture
def troubled(pets):
    return grow(pets, {"cat/cut.png": png()[:250], "cat/text.jpg": b"text", "cat/zero.jpg": b"", "cat/more/a.png": png(),
                       "bird/": b""})


TROUBLED = {"dog": 0, "cat": 1, "bird": 2, "fish": 3}


def test_each_problem_is_named(troubled):
    problems = scan_folder(troubled, TROUBLED).problems
    for beginning in ("class 'bird' is empty", "class 'fish' has no folder", f"{troubled}/cat/cut.png is damaged",
                      f"{troubled}/cat/more is a folder inside a class folder", f"{troubled}/cat/text.jpg is not an image",
                      f"{troubled}/cat/zero.jpg is not an image"):
        assert sum(problem.startswith(beginning) for problem in problems) == 1, beginning
    assert len(problems) == 6


def test_problems_stop(troubled):
    with pytest.raises(ValueError) as raised:
        read_folder(troubled, TROUBLED)
    message = str(raised.value)
    assert message.startswith(f"6 problems in {troubled}: ")
    assert all(name in message for name in ("'bird'", "'fish'", "cut.png", "more", "text.jpg", "zero.jpg", "on_bad_image=skip"))
    assert "\n" not in message


def test_problems_are_skipped_and_counted(troubled, caplog):
    with caplog.at_level(logging.WARNING):
        images = read_folder(troubled, TROUBLED, on_bad_image="skip")
    assert names(images, troubled) == [("dog/a.png", 0), ("cat/a.png", 1), ("cat/b.png", 1)]
    assert images.classes == ("dog", "cat", "bird", "fish")
    skipped, left = caplog.messages
    assert skipped.startswith(f"skipped 6 problems in {troubled}: ")
    assert "cut.png" in skipped and left == f"{troubled}: no image is left of class 'bird', 'fish'"


def test_without_problems_nothing_is_logged(pets, caplog):
    with caplog.at_level(logging.WARNING):
        read_folder(pets, PETS, on_bad_image="skip")
    assert caplog.messages == []


def test_a_long_list_of_problems_is_cut_but_counted(tmp_path):
    grow(tmp_path, {f"a/{index:02}.jpg": b"x" for index in range(12)})
    with pytest.raises(ValueError) as raised:
        read_folder(tmp_path, {"a": 0})
    message = str(raised.value)
    assert message.startswith("12 problems in ")
    assert [f"{index:02}.jpg" in message for index in range(12)] == [True] * 10 + [False] * 2
    assert "; ..." in message


def test_nothing_usable_is_an_error_even_when_skipping(tmp_path):
    grow(tmp_path, {"a/x.jpg": b"x"})
    with pytest.raises(ValueError, match="holds no image that can be used"):
        read_folder(tmp_path, {"a": 0}, on_bad_image="skip")


@pytest.mark.parametrize("on_bad_image", ["stop", "skip"])
def test_a_folder_of_another_class_stops_even_when_skipping(pets, on_bad_image):
    with pytest.raises(ValueError, match="has class folders that are not in class_index: cat"):
        read_folder(pets, {"dog": 0}, on_bad_image)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match="folder .*nowhere does not exist"):
        read_folder(tmp_path / "nowhere", PETS)


def test_a_folder_without_class_folders_says_what_is_expected(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    with pytest.raises(ValueError, match="has no class folders; expected 'dog' and so on"):
        read_folder(tmp_path, PETS)


def test_an_unknown_word_for_bad_images_is_refused(pets):
    with pytest.raises(ValueError, match="on_bad_image='ignore' is not known; expected one of 'stop', 'skip'"):
        read_folder(pets, PETS, "ignore")


@pytest.mark.parametrize("indices", [(0, 0), (0, 2), (1, 2), (-1, 0), (0, "1")])
def test_indices_are_0_to_n_minus_1_each_once(indices):
    with pytest.raises(ValueError, match="class_index must number its 2 classes 0 to 1, each number once"):
        check_class_index(dict(zip("ab", indices)))


@pytest.mark.parametrize("classes", [["cat", "not sure"], {"cat": 0, "not sure": 1}])
def test_no_class_is_called_as_answers_below_the_threshold_are(classes):
    with pytest.raises(ValueError, match="a class cannot be called 'not sure', which is what an answer below the threshold says"):
        check_class_index(classes)


def test_a_list_is_in_the_order_of_the_labels(pets):
    """Not sorted: of folders '1', '10', '2' each order is as good as another, and only the list says which is meant."""
    assert check_class_index(("1", "2", "10")) == ("1", "2", "10")
    assert check_class_index(["10", "1"]) == ("10", "1")
    assert read_folder(pets, list(PETS)[::-1]).classes == tuple(list(PETS)[::-1])
    with pytest.raises(ValueError, match="class_index names 'a' more than once"):
        check_class_index(["a", "b", "a"])


def test_a_class_may_be_called_as_a_method_of_dict_is():
    """A recipe's class_index is an EasyDict, whose entries hide its methods."""
    assert check_class_index(EasyDict({"keys": 2, "get": 1, "items": 0})) == ("items", "get", "keys")


def test_an_empty_class_index_is_refused(pets):
    with pytest.raises(ValueError, match="class_index is empty"):
        read_folder(pets, {})


LABELS = (0,) * 10 + (1,) * 20 + (2,) * 3


@pytest.fixture
def images():
    return ImageSet(tuple(f"{label}/{index}" for index, label in enumerate(LABELS)), LABELS, ("a", "b", "c"))


def test_hold_out_takes_the_same_share_of_each_class(images):
    _, held_out = images.hold_out(0.2, seed=1)
    assert np.bincount(held_out.labels).tolist() == [2, 4, 1]  # 10, 20 and 3 times 0.2, rounded


def test_hold_out_loses_and_doubles_nothing(images):
    kept, held_out = images.hold_out(0.2, seed=1)
    assert sorted(kept.paths + held_out.paths) == sorted(images.paths)
    for part in (kept, held_out):
        assert [f"{label}" for label in part.labels] == [path.split("/")[0] for path in part.paths]
        assert part.classes == images.classes


def test_hold_out_is_drawn_by_the_seed(images):
    assert images.hold_out(0.2, seed=1) == images.hold_out(0.2, seed=1)
    assert len({images.hold_out(0.2, seed)[1].paths for seed in range(5)}) == 5


def test_hold_out_takes_copies_of_a_file_together(tmp_path):
    files = {f"{label}/{index:02}.png": f"{label} {index % 10}".encode() for label in "ab" for index in range(20)}
    grow(tmp_path, files)
    images = ImageSet(tuple(str(tmp_path / name) for name in files), (0,) * 20 + (1,) * 20, ("a", "b"))
    kept, held_out = images.hold_out(0.3, seed=1)
    contents = [{(tmp_path / path).read_bytes() for path in part.paths} for part in (kept, held_out)]
    assert (len(kept), len(held_out)) == (28, 12) and not contents[0] & contents[1]


def test_a_class_that_skipping_leaves_empty_is_named(tmp_path, caplog):
    grow(tmp_path, {"a/x.png": png(), "b/x.png": b"x", "c/x.png": b"x"})
    with caplog.at_level(logging.WARNING):
        assert len(read_folder(tmp_path, {"a": 0, "b": 1, "c": 2}, on_bad_image="skip")) == 1
    assert caplog.messages[-1] == f"{tmp_path}: no image is left of class 'b', 'c'"


def test_a_file_in_place_of_the_folder_is_called_one(tmp_path):
    (tmp_path / "own.zip").write_bytes(b"PK")
    with pytest.raises(ValueError, match="own.zip is a file, not a folder of class folders: unpack it if it is an archive"):
        index_of_folders(tmp_path / "own.zip")


def test_images_outside_of_class_folders_are_named(tmp_path, caplog):
    grow(tmp_path, {"a/x.png": png(), "b/x.png": png(), "loose.PNG": png(), "README.txt": b"no image", ".hidden.png": png()})
    with caplog.at_level(logging.WARNING):
        assert list(index_of_folders(tmp_path)) == ["a", "b"]
    assert caplog.messages == [f"1 image in no class folder, passed over: {tmp_path / 'loose.PNG'}"]


def test_hold_out_of_nothing_keeps_everything(images):
    kept, held_out = images.hold_out(0, seed=1)
    assert kept == images
    assert len(held_out) == 0
