"""Checks a wheel of mindclf: installs it into an environment of its own and uses what it brings, without the source tree.

    python tests/check_wheel.py [dist/mindclf-....whl]     # without a wheel it makes one, in a temporary folder

The environment sees the packages of the Python that runs this, but not its mindclf. Nothing is downloaded: the net that is
trained starts from a checkpoint in the wheel, on drawings. The exit status is 1, after a line that says why, if something fails.
"""

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SEPARATE = ["--no-deps", "--no-index", "--disable-pip-version-check", "--quiet"]
CLASSES = ("Cans", "Paper", "Hats")
DRAW = f"from mindclf.drawings.generate import draw_classes; draw_classes('my drawings', {CLASSES}, {{'': 10}}, size=64)"
TRAIN = ("train", "my drawings", "pretrained=garbage26_mobilenet_v2", "image_height=64", "image_width=64")
BEST = "outputs/my drawings/best"


class Failed(Exception):
    """A step did not do what it should; the message says which."""


def main(argv=None):
    """Exit status: 0, or 1 if the wheel is not what it should be."""
    parser = argparse.ArgumentParser(description="Installs a wheel of mindclf into a clean environment and uses it.")
    parser.add_argument("wheel", nargs="?", help="default: one that is made now")
    wheel = parser.parse_args(argv).wheel
    with tempfile.TemporaryDirectory(prefix="mindclf-wheel-") as folder:
        try:
            check(Path(wheel).resolve() if wheel else make_wheel(Path(folder)), Path(folder))
        except Failed as problem:
            print(f"check_wheel: {problem}", file=sys.stderr)
            return 1
    return 0


def make_wheel(folder):
    """The path of a new wheel in `folder`. What an earlier build left in the source tree gets into no wheel."""
    (folder / "setup.cfg").write_text(f"[build]\nbuild_base = {folder / 'build'}\n", encoding="utf-8")
    run("make a wheel", [sys.executable, "-m", "pip", "wheel", *SEPARATE, "--no-build-isolation", "--wheel-dir", folder, ROOT],
        folder, {**os.environ, "DIST_EXTRA_CONFIG": str(folder / "setup.cfg")})
    [wheel] = folder.glob("mindclf-*.whl")
    return wheel


def check(wheel, folder):
    """Raises Failed unless the `wheel`, installed in `folder`, does what mindclf does. Prints a line a step."""
    programs, site = make_environment(folder / "environment")
    place = folder / "elsewhere"
    place.mkdir()
    environment = {**{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
                   "MINDCLF_DATA": "", "MINDCLF_CACHE_DIR": str(folder / "cache"), "PYTHONIOENCODING": "utf-8"}

    def step(title, program, *words):
        return run(title, [programs / program, *words], place, environment)

    run("install it", [sys.executable, "-m", "pip", "--python", programs / "python", "install", *SEPARATE, "--ignore-installed",
                       wheel], place, environment)
    where = Path(step("import it", "python", "-c", "import mindclf; print(mindclf.__file__)").strip())
    expect(where.is_relative_to(site), f"mindclf is not that of the wheel: {where}")
    expect("predict" in step("help", "mindclf", "--help"), "the help has no command predict")
    step("draw images", "python", "-c", DRAW)
    image = sorted((place / "my drawings").rglob("*.jpg"))[0]
    answer = json.loads(step("predict", "mindclf", "predict", "--json", image))
    expect(len(answer["predictions"]) == 3, f"three classes are told, not {answer}")
    step("train", "mindclf", *TRAIN)
    step("export", "mindclf", "export", f"{BEST}.ckpt")
    [of_net, of_file] = (json.loads(step(f"predict with the {kind}", "mindclf", "predict", "--json", f"{BEST}.{kind}", image))
                         for kind in ("ckpt", "mindir"))
    expect([guess["name"] for guess in of_net["predictions"]] == [guess["name"] for guess in of_file["predictions"]],
           f"the exported file answers otherwise: {of_file} instead of {of_net}")
    step("sort", "mindclf", "predict", f"{BEST}.ckpt", *(f"my drawings/{name}" for name in CLASSES), "--sort-into", "sorted")
    expect(len(list((place / "sorted").rglob("*.jpg"))) == 30, "not all drawings were sorted")
    step("copy recipes and notebooks", "mindclf", "recipes", "--to", "lessons")
    for kind, pattern in (("recipes", "*.py"), ("notebooks", "*.ipynb")):
        copied, own = ({file.name: file.read_bytes() for file in (top / kind).glob(pattern)} for top in (place / "lessons", ROOT))
        expect(copied == own and own, f"{kind} are not those of the source: {sorted(copied)} instead of {sorted(own)}")
    step("run a recipe", "python", "lessons/recipes/garbage_mobilenet_v2.py", "predict", "--checkpoint", f"{BEST}.ckpt", image)


def make_environment(folder):
    """(folder of its programs, folder of its packages) of a new environment that also finds the packages of this Python."""
    venv.create(folder, with_pip=False)
    scheme = "nt" if os.name == "nt" else "posix_prefix"
    bases = dict.fromkeys(("base", "platbase", "installed_base", "installed_platbase"), str(folder))
    places = {name: Path(path) for name, path in sysconfig.get_paths(scheme, bases).items()}
    own = dict.fromkeys(sysconfig.get_paths()[kind] for kind in ("purelib", "platlib"))
    (places["purelib"] / "others.pth").write_text("\n".join(own) + "\n", encoding="utf-8")  # where no .pth is followed in turn
    return places["scripts"], places["purelib"]


def run(title, command, folder, environment):
    """Standard output of a command. Raises Failed if it does not end well."""
    started = time.perf_counter()
    done = subprocess.run(list(map(str, command)), cwd=folder, env=environment, capture_output=True, encoding="utf-8",
                          errors="replace", stdin=subprocess.DEVNULL)
    if done.returncode:
        raise Failed(f"{title}: status {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
    print(f"{title}: {time.perf_counter() - started:.0f} s", flush=True)
    return done.stdout


def expect(holds, otherwise):
    if not holds:
        raise Failed(otherwise)


if __name__ == "__main__":
    sys.exit(main())
