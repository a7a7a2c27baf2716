"""What may stand on the command line, before anything runs: help, fields, checkpoints, devices."""

import os
import re
import resource
import runpy
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from easydict import EasyDict

from mindclf.checkpoint import FORMATS
from mindclf.cli import main
from mindclf.cli.arguments import CHECKPOINT_SUFFIXES
from mindclf.cli.fields import ABOUT, help_text
from mindclf.cli.parser import COMMANDS, Recipe, make_parser, parse
from mindclf.cli.text import this_command, this_python
from mindclf.config import ALIASES, FIELDS, GROUPS, merge
from mindclf.dataset.registry import DATA_SETS
from mindclf.inference.runner import EXPORTED

ROOT = Path(__file__).resolve().parents[2]
WITH_CHECKPOINT = {"eval": [], "predict": ["photo.jpg"], "explain": ["photo.jpg"], "export": [], "demo": []}
RUNS_A_NET = {"train": [], **WITH_CHECKPOINT}


def parsed(*words, recipe=None):
    return parse(make_parser(recipe), list(map(str, words)), recipe is not None)


def refused(*words, capsys):
    """What the parser says of `words` that it does not take."""
    with pytest.raises(SystemExit) as stopped:
        parsed(*words)
    assert stopped.value.code == 2
    return capsys.readouterr().err.splitlines()[-1].partition("error: ")[2]


def processor_time(*arguments):
    """Seconds of processor time of a Python with these arguments, median of five."""
    used = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(used)


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["predict", "--help"]])
def test_help_answers_at_once_without_mindspore_and_numpy(arguments):
    """In less than ten times what a Python takes that does nothing: 0.2 seconds and 0.03 on two slow cores."""
    assert processor_time("-m", "mindclf", *arguments) < 10 * processor_time("-c", "pass")
    probe = (f"import sys; sys.argv = ['mindclf', *{arguments}]; from mindclf.cli import main\n"
             "try: main()\nexcept SystemExit: print(sorted({'mindspore', 'numpy', 'PIL'} & set(sys.modules)))")
    said = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert said.endswith("\n[]\n")


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "compare"])
def test_every_command_has_help(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    shown = capsys.readouterr().out
    assert stopped.value.code == 0 and shown.startswith(f"usage: mindclf {name} ")
    assert " ".join(COMMANDS[name].HELP.split()) in " ".join(shown.split())


@pytest.mark.parametrize("name", FIELDS)
def test_help_on_training_has_a_line_for_every_field(name):
    field = FIELDS[name]
    shown = " ".join(help_text("", {}).split())
    default = field.default if isinstance(field.default, str) else repr(field.default)
    start = shown.index(f" {name}={default} {' '.join(field.help.split())}")
    line = shown[start:shown.find(")", start + len(name) + len(default) + len(field.help)) + 1]
    for remark in (*field.allowed, field.alias, field.unit if field.range else "", "per phase" if field.per_phase else ""):
        assert remark in line


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "compare"])
def test_help_fits_80_columns(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([name, "--help"])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_help_on_training_says_what_each_group_of_fields_is_for():
    lines = help_text("", {}).splitlines()
    for group, fields in GROUPS.items():
        start = next(index for index, line in enumerate(lines) if line.startswith(f"{group}: {ABOUT[group][:30]}"))
        first = next(line for line in lines[start:] if line.startswith("  "))
        assert first.startswith(f"  {next(iter(fields))}=")
    assert set(ABOUT) == set(GROUPS)


@pytest.mark.parametrize(("found", "typed"), [
    ("{bin}/mindclf", "mindclf"), ("/elsewhere/bin/mindclf", "{python} -m mindclf"), (None, "{python} -m mindclf")])
def test_the_next_step_is_a_command_that_works(found, typed, monkeypatch):
    folder = os.path.dirname(sys.executable)
    monkeypatch.setattr("shutil.which", lambda name: found and found.format(bin=folder))
    assert this_command() == typed.format(python=this_python())


def test_help_on_training_by_a_recipe_says_which_fields_it_sets(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"], config={"epochs": 3, "net": "resnet18"})
    shown = capsys.readouterr().out
    assert "Fields, with their defaults; this recipe sets epochs, net:" in shown and "FOLDER has" not in shown


def test_the_page_of_fields_is_that_of_the_declarations():
    text = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
    page = runpy.run_path(str(ROOT / "docs" / "write_config.py"))["page"]
    assert text == page(), "run python docs/write_config.py"
    for name in (*FIELDS, *DATA_SETS):
        assert f"| `{name}` |" in text


def test_the_suffixes_of_checkpoints_are_those_that_are_read():
    assert set(CHECKPOINT_SUFFIXES) == {*FORMATS, *EXPORTED}


@pytest.mark.parametrize("recipe", [None, Recipe({"epochs": 3}, {})], ids=["mindclf", "recipe"])
@pytest.mark.parametrize("name", WITH_CHECKPOINT)
def test_a_checkpoint_is_a_word_or_an_option_in_every_command(name, recipe):
    others = WITH_CHECKPOINT[name]
    for words in (["net.ckpt", *others], [*others, "--checkpoint", "net.ckpt"], ["--checkpoint", "net.ckpt", *others],
                  ["--device", "CPU", "net.ckpt", *others]):
        arguments = parsed(name, *words, recipe=recipe)
        assert arguments.checkpoint == "net.ckpt"
        assert getattr(arguments, "images", getattr(arguments, "image", [])) in (others, *others)
    assert parsed(name, *others, recipe=recipe).checkpoint is None


@pytest.mark.parametrize("name", ["eval", "export", "demo"])
@pytest.mark.parametrize("words", [["a.ckpt", "b.ckpt"], ["a.ckpt", "--checkpoint", "b.ckpt"]])
def test_a_command_takes_one_checkpoint(name, words, capsys):
    assert refused(name, *words, capsys=capsys) == f"{name} takes one checkpoint, not a.ckpt, b.ckpt"


@pytest.fixture
def some_files(tmp_path, monkeypatch):
    """A working folder with a file net.onnx, a folder odd.ckpt and a folder called like a checkpoint that comes with mindclf."""
    monkeypatch.chdir(tmp_path)
    Path("net.onnx").touch()
    Path("odd.ckpt").mkdir()
    Path("garbage26_mobilenet_v2").mkdir()


@pytest.mark.parametrize(("words", "checkpoint", "images"), [
    (["a.jpg", "b.jpg"], None, ["a.jpg", "b.jpg"]),
    (["net.ckpt", "a.jpg", "-"], "net.ckpt", ["a.jpg", "-"]),
    (["net.safetensors", "a.jpg"], "net.safetensors", ["a.jpg"]),
    (["folder/net.mindir", "a.jpg"], "folder/net.mindir", ["a.jpg"]),
    (["net.onnx", "a.jpg"], "net.onnx", ["a.jpg"]),
    (["cifar10_mobilenet_v1", "a.jpg"], "cifar10_mobilenet_v1", ["a.jpg"]),
    (["a.jpg", "net.ckpt"], None, ["a.jpg", "net.ckpt"]),                                 # not the first word
    (["net.ckpt", "a.jpg", "--checkpoint", "other.ckpt"], "other.ckpt", ["net.ckpt", "a.jpg"]),  # named by the option
    (["odd.ckpt", "a.jpg"], None, ["odd.ckpt", "a.jpg"]),                                 # a folder
    (["garbage26_mobilenet_v2", "a.jpg"], None, ["garbage26_mobilenet_v2", "a.jpg"]),     # there is such a folder here
    (["https://example.com/net.ckpt", "a.jpg"], None, ["https://example.com/net.ckpt", "a.jpg"]),
    (["-", "net.ckpt"], None, ["-", "net.ckpt"]),
    (["unheard_of", "a.jpg"], None, ["unheard_of", "a.jpg"]),
    (["a.jpg", "--top-k", "2", "b.jpg", "--json", "c.jpg"], None, ["a.jpg", "b.jpg", "c.jpg"]),
])
def test_the_first_word_is_the_checkpoint_where_it_can_be_nothing_else(some_files, words, checkpoint, images):
    arguments = parsed("predict", *words)
    assert (arguments.checkpoint, arguments.images) == (checkpoint, images)


DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMANDS_OF_DOCUMENTS = sorted({
    command.strip() for file in DOCUMENTS
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", file.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    for command in re.findall(r"^(mindclf [a-z]+ [^\[{\n#]*|python recipes/[a-z][^#\n]*)(?:#.*)?$", block, re.MULTILINE)
    if not language})


def test_the_documents_show_commands():
    assert len(COMMANDS_OF_DOCUMENTS) > 40 and sum("recipes/" in command for command in COMMANDS_OF_DOCUMENTS) > 8


@pytest.mark.parametrize("command", COMMANDS_OF_DOCUMENTS)
def test_the_commands_of_the_documents_are_understood(command, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "recipes"))  # recipes import their neighbours
    program, *words = shlex.split(command.partition(" < ")[0])
    recipe = None
    if program == "python":
        names = runpy.run_path(str(ROOT / words.pop(0)))
        recipe = Recipe(names["config"], names.get("variants", {}))
    arguments = parsed(*words, recipe=recipe)
    merge(recipe.config if recipe else {}, [*arguments.fields, *arguments.options])


def test_the_page_of_commands_is_that_of_the_parsers():
    page = runpy.run_path(str(ROOT / "docs" / "write_cli.py"))["page"]
    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == page(), "run python docs/write_cli.py"


@pytest.mark.parametrize(("words", "before"), [
    (["predict", "--checkpoint", "", "a.jpg"], "--checkpoint"), (["predict", "a.jpg", "--csv", ""], "--csv"),
    (["eval", "--report", ""], "--report"), (["predict", ""], "predict"), ([""], "mindclf")])
def test_an_empty_word_is_no_default(words, before, capsys):
    """As of "$UNSET" in a script, which asked for something."""
    assert refused(*words, capsys=capsys).startswith(f"the word after {before} is empty, as that of a variable which is not set")


@pytest.mark.parametrize("word", ["a" * 300, "a=" + "b" * 5000, "a\0b"])
def test_a_word_that_no_file_can_be_called_is_a_word(word):
    assert parsed("predict", "b.jpg", word).images == ["b.jpg", word]
    assert parsed("eval", word).fields == ([word] if "=" in word else [])


def test_a_checkpoint_alone_is_no_image(capsys):
    for name in ("predict", "explain"):
        said = refused(name, "net.ckpt", capsys=capsys)
        assert said == f"{name} takes an image: name one after the checkpoint net.ckpt"
    assert refused("explain", "net.ckpt", "a.jpg", "b.jpg", capsys=capsys) == "explain takes one image, not a.jpg, b.jpg"


@pytest.mark.parametrize("name", [*RUNS_A_NET, "compare"])
def test_a_device_is_an_option_wherever_a_net_runs(name):
    recipe = Recipe({}, {"a": {}}) if name == "compare" else None
    assert parsed(name, *RUNS_A_NET.get(name, []), "--device", "GPU", recipe=recipe).options[-1] == "device_target=GPU"


def test_the_device_is_the_field_of_the_config(capsys):
    assert main(["eval", "--device", "gpu"]) == 2
    assert capsys.readouterr().err == ("mindclf: device_target='gpu' is not known; expected one of 'auto', 'CPU', 'GPU', "
                                       "'Ascend'\n")
    assert main(["eval", "--device", "CPU", "device_target=CPU"]) == 2
    assert capsys.readouterr().err == "mindclf: device_target is given as a field and as an option: give one\n"


def test_a_net_is_exported_by_the_cpu_unless_another_device_is_named():
    assert parsed("export").options == ["device_target=CPU"]
    assert parsed("export", "--device", "Ascend").options == ["device_target=CPU", "device_target=Ascend"]
    assert parsed("export").options == ["device_target=CPU"]


def test_words_may_stand_after_options():
    arguments = parsed("train", "my_photos", "--device", "CPU", "epochs=2")
    assert (arguments.own_folder, arguments.fields) == ("my_photos", ["epochs=2"])
    arguments = parsed("train", "epochs=2", recipe=Recipe({}, {}))
    assert (arguments.own_folder, arguments.fields) == (None, ["epochs=2"])


def test_a_folder_may_be_called_like_a_field(tmp_path, monkeypatch):
    """But one that is called like a field with a value is none."""
    monkeypatch.chdir(tmp_path)
    for name in ("x=y", "epochs=2", "trainable=head"):
        Path(name).mkdir()
    assert parsed("train", "x=y", "epochs=2", "trainable=head").own_folder == "x=y"
    assert parsed("train", "x=z").own_folder is None


@pytest.mark.parametrize("given", [
    {"config": {"grid_rows": 0}}, {"config": EasyDict(grid_rows=0)}, {"grid_rows": 0}, {"config": {"epochs": 2}, "grid_rows": 0}])
def test_a_recipe_is_a_dict_an_easydict_or_keyword_arguments(given, capsys):
    assert main(["train"], **given) == 2
    assert capsys.readouterr().err == "mindclf: grid_rows=0 must lie between 1 and 40\n"


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_an_alias_is_known_on_the_command_line(alias, name, capsys):
    for recipe in (None, {}):
        assert main(["train", f"{alias}=-1", *([] if recipe is None else ["epochs=2"])], config=recipe) == 2
        assert capsys.readouterr().err.splitlines()[-1].startswith(f"mindclf: {name}=")
