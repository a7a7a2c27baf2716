"""What stands at the top of mindclf, and the document on training with pieces of one's own."""

import inspect
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

import mindclf
from mindclf.train import fit
from tests.conftest import TINY_NET

pytestmark = pytest.mark.usefixtures("uncompiled")

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "training.md"


@pytest.mark.parametrize("name", sorted(mindclf.PUBLIC))
def test_a_name_at_the_top_is_that_of_its_module(name):
    value = getattr(mindclf, name)
    assert callable(value) and value.__doc__ and name in dir(mindclf)


@pytest.mark.parametrize("name", sorted(mindclf.PUBLIC))
def test_the_signature_of_a_name_at_the_top_has_type_hints(name):
    signature = inspect.signature(getattr(mindclf, name))
    assert all(parameter.annotation is not parameter.empty for parameter in signature.parameters.values())
    assert isinstance(getattr(mindclf, name), type) or signature.return_annotation is not signature.empty


def test_a_name_that_is_none_is_an_attribute_error():
    with pytest.raises(AttributeError, match="^module 'mindclf' has no attribute 'nothing'$"):
        _ = mindclf.nothing


def test_modules_that_are_imported_hide_no_name():
    """A module mindclf/evaluate.py would take the place of the function, once anybody imports it."""
    assert not [name for name in mindclf.PUBLIC if (Path(mindclf.__file__).parent / f"{name}.py").exists()]


def test_nets_take_keywords_as_in_timm():
    net = mindclf.create_net("resnet18", num_classes=10)
    assert net.num_classes == 10 and "resnet18" in mindclf.list_nets()
    with pytest.raises(ValueError, match="^nobody publishes ImageNet weights of asymmnet_small"):
        mindclf.create_net("asymmnet_small", pretrained=True)


def test_a_pretrained_net_has_its_head_where_the_classes_are_as_many():
    whole = mindclf.create_net("shufflenet_v1", 10, pretrained="cifar10_shufflenet_v1")
    other = mindclf.create_net("shufflenet_v1", 3, pretrained="cifar10_shufflenet_v1")
    weights, others = ({p.name: p.asnumpy() for p in net.get_parameters()} for net in (whole, other))
    backbone = [p.name for p in other.backbone.get_parameters()]
    assert backbone and all((weights[name] == others[name]).all() for name in backbone)
    trained, _ = mindclf.checkpoint.load_net("cifar10_shufflenet_v1")
    assert all((p.asnumpy() == weights[p.name]).all() for p in trained.get_parameters())
    with pytest.raises(ValueError, match="holds a shufflenet_v1, but net=resnet18"):
        mindclf.create_net("resnet18", 10, pretrained="cifar10_shufflenet_v1")


def test_evaluate_measures_what_fit_reported(tiny_config, colour_folder):
    fitted = fit({**tiny_config, "epochs": 1})
    again = mindclf.evaluate(fitted.checkpoint, colour_folder, class_index=tiny_config["class_index"])
    assert again.as_dict() == fitted.report.as_dict()


def test_a_folder_is_trained_as_on_the_command_line(colour_folder, tmp_path, monkeypatch):
    """In Python as `mindclf train FOLDER`: numbered by name, batches as large as the images allow."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(colour_folder, tmp_path / "my_photos")
    fitted = mindclf.train_folder("my_photos", epochs=1, pretrained="", trainable="all", cached_views=0, net_options=TINY_NET,
                                  image_height=32, image_width=32)
    assert fitted.checkpoint == Path("outputs/my_photos/best.ckpt") and list(fitted.classes) == ["blue", "green", "red"]
    with pytest.raises(ValueError, match="^folder nowhere does not exist$"):
        mindclf.train_folder("nowhere")


def test_the_document_runs(colour_folder, tmp_path, monkeypatch):
    """Its loop on images of three colours, and its call of fit."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(colour_folder, tmp_path / "my_photos")
    Image.new("RGB", (80, 80), "red").save(tmp_path / "photo.jpg")
    loop, call = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)[:2]
    names = {}
    exec(loop, names)
    assert sorted(file.name for file in Path("outputs/mine").iterdir()) == [
        "mine-1_5.ckpt", "mine-1_5.ckpt.json", "mine-2_5.ckpt", "mine-2_5.ckpt.json"]
    exec("import mindspore\n" + call.replace("epochs=5", f"epochs=1, net_options={TINY_NET}, image_height=32, image_width=32, "
                                             "batch_size=6"), names)
    card = mindclf.checkpoint.read_card("outputs/run/best.ckpt")
    assert card["metrics"]["test"]["accuracy"] == pytest.approx(card["metrics"]["test"]["top1"], abs=1e-6)
