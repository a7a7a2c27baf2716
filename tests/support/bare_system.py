"""Trains, predicts, sorts and exports as on a system that has nothing of POSIX: python bare_system.py FOLDER.

MindSpore and the libraries are those of this system, and are loaded before its names go. What is left of mindclf must do without
them. Prints a JSON object: what each command ended with.
"""

import contextlib
import importlib
import io
import json
import os
import platform
import signal
import sys
import warnings
from pathlib import Path
from types import ModuleType

# What Python's own documentation marks "Availability: Unix" of what programs like this use, and what Windows and macOS lack.
GONE = {
    os: ("pread", "fork", "forkpty", "getpgid", "getuid", "geteuid", "getgid", "getloadavg", "killpg", "link", "mkfifo", "nice",
         "register_at_fork", "sched_getaffinity", "sched_setaffinity", "setsid", "statvfs", "sysconf", "uname", "wait",
         "waitpid", "O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "WNOHANG"),
    signal: ("SIGALRM", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGSTOP", "SIGUSR1", "SIGUSR2",
             "SIG_BLOCK", "alarm", "pthread_kill", "pthread_sigmask", "sigwait"),
}
MODULES = ("fcntl", "grp", "pty", "pwd", "resource", "termios")
TINY_NET = {"last_channel": 32, "inverted_residual_setting": [[1, 8, 1, 2]]}


def windows_registry():
    """An empty one, in which Matplotlib looks for fonts."""
    registry = ModuleType("winreg")

    def absent(*key):
        raise FileNotFoundError(2, "no such key")

    registry.HKEY_LOCAL_MACHINE, registry.HKEY_CURRENT_USER, registry.OpenKey = 0, 1, absent
    return registry


def main(folder):
    for module in ("mindspore", "mindspore.dataset.vision", "mindspore.train", "matplotlib.pyplot", "PIL.Image",
                   "multiprocessing", "subprocess", "platformdirs", "download"):
        importlib.import_module(module)
    for module, names in GONE.items():
        for name in names:
            if hasattr(module, name):
                delattr(module, name)
    sys.modules.update(dict.fromkeys(MODULES))  # importing them fails
    sys.modules["winreg"], os.environ["WINDIR"] = windows_registry(), "C:\\Windows"
    sys.platform = "win32"
    platform.system = lambda: "Windows"
    warnings.filterwarnings("error", category=EncodingWarning, module=r"mindclf\b.*")

    from mindclf.cli import main as mindclf
    from mindclf.drawings.generate import draw_classes

    os.chdir(folder)
    draw_classes("drawn", ["Cans", "Paper"], {"": 6}, size=32)
    image = next(Path("drawn").rglob("*.jpg"))
    best = Path("outputs", "drawn", "best.ckpt")
    commands = {
        "doctor": ["doctor", "--json"],
        "split": ["split", "drawn", "divided"],
        "train": ["train", "drawn", "pretrained=", "trainable=all", "cached_views=0", "epochs=1", "batch_size=4",
                  "image_height=32", "image_width=32", f"net_options={TINY_NET}"],
        "predict": ["predict", str(best), str(image), "--json"],
        "sort": ["predict", str(best), "drawn/Cans", "drawn/Paper", "--sort-into", "sorted", "--link", "--csv", "all.csv"],
        "export": ["export", str(best)],
        "launch": ["launch", "--workers", "1", "train", "drawn"],
    }
    ended = {}
    for name, command in commands.items():
        with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(io.StringIO()) as errors:
            status = mindclf(command)
        ended[name] = {"status": status, "output": said.getvalue(), "errors": errors.getvalue()}
    print(json.dumps(ended))


if __name__ == "__main__":
    main(sys.argv[1])
