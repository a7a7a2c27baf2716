"""Systems other than Linux, which cannot be had here: what of POSIX the package names, and a run where all of that is gone."""

import ast
import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest
import setuptools

import mindclf
from mindclf.cli import text
from mindclf.distributed import launch
from mindclf.kernels import variants
from mindclf.train import checkpointing
from mindclf.utils import files
from mindclf.utils.files import link_or_copy, move_folder, persistently, portable

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(mindclf.__file__).parent
SOURCES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "recipes").glob("*.py"), *(ROOT / "notebooks").glob("*.py")])
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # names that Windows keeps for devices
# What Windows lacks and the package names all the same: each where it is known to be there.
GUARDED = {
    "distributed/launch.py": {"os.killpg", "signal.SIGKILL"},  # after `_check`, which refuses all systems but Linux
    "distributed/worker.py": {"os.sched_getaffinity", "os.sched_setaffinity"},  # after hasattr
    "utils/cores.py": {"os.sched_getaffinity"},  # after hasattr
    "utils/claim.py": {"fcntl.flock", "fcntl.LOCK_EX", "fcntl.LOCK_NB", "signal.pthread_sigmask", "signal.SIG_BLOCK"},
    "utils/signals.py": {"signal.pthread_sigmask", "signal.SIG_BLOCK", "signal.pthread_kill", "signal.SIG_SETMASK",
                         "signal.sigwait"},  # after hasattr(signal, "pthread_sigmask")
}
NOT_ON_WINDOWS = ("fcntl", "grp", "pty", "pwd", "resource", "termios", "tty", "syslog", "readline", "posix")


def stub(module):
    """The typeshed stub of a module of the standard library, which mypy brings: it says what each system has."""
    mypy = pytest.importorskip("mypy", reason="needs mypy, which has typeshed")
    place = Path(mypy.__file__).parent / "typeshed" / "stdlib" / module
    return (place / "__init__.pyi" if place.is_dir() else place.with_suffix(".pyi")).read_text(encoding="utf-8")


def names_on(platform, module):
    """The names that `module` has on a platform such as "win32", by its stub."""
    names = set()

    def holds(test):
        if isinstance(test, ast.BoolOp):
            each = [holds(value) for value in test.values]
            return all(each) if isinstance(test.op, ast.And) else any(each)
        words = ast.unparse(test)
        if "sys.platform" in words:
            return eval(words, {"sys": type("sys", (), {"platform": platform})})
        return eval(words, {"sys": sys})

    def walk(body):
        for node in body:
            if isinstance(node, ast.If):
                walk(node.body if holds(node.test) else node.orelse)
            elif isinstance(node, ast.AnnAssign):
                names.add(node.target.id)
            elif isinstance(node, ast.Assign):
                names.update(target.id for target in node.targets)
            elif isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)):
                names.add(node.name)
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                names.update(alias.asname or alias.name for alias in node.names)

    walk(ast.parse(stub(module)).body)
    return names


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_what_a_system_lacks_is_named_only_where_it_is_guarded(platform):
    lacking = {module: names_on("linux", module) - names_on(platform, module) for module in ("os", "signal")}
    if platform == "win32":
        assert {"killpg", "fork", "sched_getaffinity"} <= lacking["os"] and {"SIGHUP", "SIGKILL"} <= lacking["signal"]
        assert "link" not in lacking["os"] and "SIGTERM" not in lacking["signal"]
    for file in SOURCES:
        used = {f"{node.value.id}.{node.attr}" for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
                and (node.attr in lacking.get(node.value.id, ()) or (platform == "win32" and node.value.id in NOT_ON_WINDOWS))}
        name = file.relative_to(PACKAGE).as_posix() if file.is_relative_to(PACKAGE) else file.name
        expected = GUARDED.get(name, set())
        assert used == expected if platform == "win32" else used <= expected, name


def test_every_text_file_is_opened_with_its_encoding():
    """Windows takes another one by itself: in China GBK, in which a card in UTF-8 cannot be read."""
    for file in SOURCES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or "encoding" in {keyword.arg for keyword in node.keywords}:
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            assert name not in ("read_text", "write_text") or ast.unparse(node).startswith("write_text("), ast.unparse(node)
            if isinstance(node.func, ast.Name) and name == "open":
                modes = [part.value for part in ast.walk(node.args[1]) if isinstance(part, ast.Constant)]
                assert modes and all("b" in mode for mode in modes), f"{file.name}: {ast.unparse(node)}"


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """What commands do where the names of POSIX are gone (see tests/support/bare_system.py), and the folder that they ran in."""
    folder = tmp_path_factory.mktemp("bare")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GLOG_v": "3", "PYTHONWARNDEFAULTENCODING": "1"}
    done = subprocess.run([sys.executable, str(ROOT / "tests" / "support" / "bare_system.py"), str(folder)], env=environment,
                          capture_output=True, encoding="utf-8", timeout=500)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), folder


def test_without_posix_every_step_from_images_to_an_exported_file_works(bare):
    ended, folder = bare
    assert {name: step["status"] for name, step in ended.items()} == {
        "doctor": 0, "split": 0, "train": 0, "predict": 0, "sort": 0, "export": 0, "launch": 2}, ended
    facts = json.loads(ended["doctor"]["output"])
    assert facts["system"].startswith("Windows") and not facts["kernels"]["in_use"]
    assert facts["kernels"]["reason"] == "MindSpore has operators of one's own on Linux only"
    assert re.search(r"images +copies", ended["split"]["output"])
    assert (folder / "outputs/drawn/best.mindir").is_file() and (folder / "outputs/drawn/report.html").is_file()
    assert "sorted: copied 12" in ended["sort"]["output"]
    assert {guess["name"] for guess in json.loads(ended["predict"]["output"])["predictions"]} == {"Cans", "Paper"}
    assert ended["launch"]["errors"].startswith("mindclf: launch needs MindSpore's msrun, which is for Linux")


def test_every_file_that_is_written_has_a_name_that_windows_takes(bare):
    _, folder = bare
    written = [path.relative_to(folder).as_posix() for path in folder.rglob("*")]
    assert "outputs/drawn/best.ckpt.json" in written
    for name in (PurePosixPath(path).name for path in written):
        assert not re.search(r'[<>:"|?*\\\x00-\x1f]|[. ]$', name) and not RESERVED.match(name), name
    assert len({path.casefold() for path in written}) == len(written)


def test_where_there_are_no_hard_links_images_are_copied(tmp_path, monkeypatch):
    (tmp_path / "a").write_text("a", encoding="utf-8")
    assert link_or_copy(tmp_path / "a", tmp_path / "linked") and (tmp_path / "linked").samefile(tmp_path / "a")
    monkeypatch.delattr(os, "link")
    assert not link_or_copy(tmp_path / "a", tmp_path / "copied") and (tmp_path / "copied").read_bytes() == b"a"


@pytest.mark.parametrize("system", ["win32", "linux"])
def test_what_windows_refuses_while_a_file_is_open_is_tried_again(monkeypatch, system):
    monkeypatch.setattr(files.sys, "platform", system)
    monkeypatch.setattr(files, "ASK", 0)
    tries = []

    def rename(target):
        tries.append(target)
        if len(tries) < 3:
            raise PermissionError(13, "The process cannot access the file because it is being used by another process")
        return "done"

    if system == "win32":
        assert persistently(rename, "target") == "done" and len(tries) == 3
        monkeypatch.setattr(files, "PATIENCE", -1)
        tries.clear()
    with pytest.raises(PermissionError):
        persistently(rename, "target")
    assert len(tries) == 1


def test_a_folder_takes_the_place_of_an_empty_one_on_windows_too(tmp_path, monkeypatch):
    """There a rename fails where anything has the name, as here."""
    rename = Path.rename

    def refuse(self, target):
        if Path(target).exists():
            raise FileExistsError(17, "Cannot create a file when that file already exists")
        return rename(self, target)

    monkeypatch.setattr(files.sys, "platform", "win32")
    monkeypatch.setattr(Path, "rename", refuse)
    for name in ("new", "empty", "full"):
        (tmp_path / name).mkdir()
    (tmp_path / "new" / "file").touch()
    (tmp_path / "full" / "kept").touch()
    with pytest.raises(OSError):
        move_folder(tmp_path / "new", tmp_path / "full")
    move_folder(tmp_path / "new", tmp_path / "empty")
    assert (tmp_path / "empty" / "file").exists() and (tmp_path / "full" / "kept").exists()


def test_cards_have_slashes_in_paths(monkeypatch):
    monkeypatch.setattr(files.os, "sep", "\\")
    assert portable(r"C:\photos\my cats") == "C:/photos/my cats"
    assert {"dataset_path", "output", "pretrained"} <= set(checkpointing.PLACES)


@pytest.mark.parametrize(("word", "shown"), [(r"outputs\cats\best.ckpt", r"outputs\cats\best.ckpt"),
                                             (r"C:\my photos", r'"C:\my photos"')])
def test_commands_are_shown_as_the_shells_of_windows_take_them(monkeypatch, word, shown):
    """cmd.exe knows no single quotes."""
    monkeypatch.setattr(text.sys, "platform", "win32")
    assert text.quoted(word) == shown


OF_X86 = {"amx", "avx512_bf16", "avx512", "avx2", "portable"}


@pytest.mark.parametrize(("system", "machine", "kernels"), [
    ("win32", "AMD64", set()), ("darwin", "x86_64", set()), ("darwin", "arm64", set()), ("linux", "x86_64", OF_X86),
    ("linux", "aarch64", {"neon"}), ("linux", "riscv64", {"portable"})])
def test_the_installation_compiles_nothing_where_mindspore_takes_no_kernels(monkeypatch, system, machine, kernels):
    """And fails nowhere: what cannot be compiled is left out (optional)."""
    given = {}
    monkeypatch.setattr(setuptools, "setup", lambda **arguments: given.update(arguments))
    monkeypatch.setattr(variants.platform, "machine", lambda: machine)
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "platform", system)
    runpy.run_path("setup.py")
    assert {extension.name for extension in given["ext_modules"]} == {f"mindclf.kernels._{variant}" for variant in kernels}
    assert all(extension.optional for extension in given["ext_modules"])
    assert not [package for package in given["install_requires"] if re.match("pytest|ruff|mypy|hypothesis|nbclient", package)]


@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_launch_is_refused_where_there_is_no_msrun(monkeypatch, system):
    monkeypatch.setattr(launch.sys, "platform", system)
    with pytest.raises(ValueError, match="^launch needs MindSpore's msrun, which is for Linux"):
        launch.launch(1, ["train", "photos"])
