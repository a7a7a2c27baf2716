"""How fast mindclf trains and infers on this machine's processor, beside stock MindSpore, PyTorch and ONNX Runtime.

    python benchmarks/speed.py --torch-python PYTHON --bfloat16 --int8   # half an hour on two cores; writes
                                                                         # results/tables/speed_amd.json, or speed_intel.json
    python benchmarks/speed.py --quick --only resnet18   # fewer rounds, one net; writes outputs/speed.json

Each configuration of a net is a process of its own that has warmed up. Rounds go round robin: in a round each process runs for
about a second and a half while the others wait, and the next round begins with another one. A configuration's figure is the
median over rounds of the round's median step; a ratio is the median of the rounds' own ratios, so that a slow minute of the
machine, which hits both, counts in neither. A process whose round others disturbed, by more than a twentieth of a core, tries
again; it keeps the quietest of its tries, and the result says how much of a core others took at the median and at most. That
matters: threads that wait for each other by spinning, as PyTorch's do, slow down several times when they lack one core of two.
Stock MindSpore takes part in the first round only: it is twenty times slower.

PYTHON has torch, torchvision and pytorchcv. Without it PyTorch is left out, and without the extra `onnx` ONNX Runtime.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from common import ROOT, TABLES, provenance, write_result
from speed_case import CASES, TASKS, cores

from mindclf.device import describe_device

HERE = Path(__file__).resolve().parent
# Variables that decide which code a framework runs. Workers get only what their configuration says.
TUNING = ("ONEDNN_MAX_CPU_ISA", "MINDCLF_KERNELS", "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "KMP_BLOCKTIME", "GOMP_SPINCOUNT")
MINDSPORE = {  # configuration: its environment
    "stock": {"ONEDNN_MAX_CPU_ISA": "DEFAULT", "MINDCLF_KERNELS": "0"},  # what MindSpore does if nobody tunes it
    "capped": {"MINDCLF_KERNELS": "0"},
    "mindclf": {},
}
BFLOAT16 = {"mindclf bfloat16": {"MINDCLF_KERNELS": "bf16"}}
TORCH = {"torch": "plain", "torch channels-last": "channels_last"}  # configuration: memory format
DISTURBED = 0.05  # cores that other processes may take in a round
TRIES, PAUSE = 4, 2  # of a disturbed round; seconds before the next try
WARM_UPS = 3   # steps
ROUNDS, QUICK_ROUNDS = 7, 2
IMPORTS = {    # what is started: its arguments
    "python": ["-c", "pass"],
    "import mindclf": ["-c", "import mindclf"],
    "import mindclf.cli": ["-c", "import mindclf.cli"],
    "mindclf --help": ["-m", "mindclf", "--help"],
}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch-python", metavar="PYTHON", help="a Python that has torch, torchvision and pytorchcv")
    parser.add_argument("--only", choices=CASES, metavar="NET", help=f"one of {', '.join(CASES)}")
    parser.add_argument("--task", choices=TASKS, help="train or infer; default: both")
    parser.add_argument("--rounds", type=int, help=f"default: {ROUNDS}, with --quick {QUICK_ROUNDS}")
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--no-stock", action="store_true", help="leave out stock MindSpore, which takes minutes")
    parser.add_argument("--bfloat16", action="store_true", help="measure the kernels in bfloat16 too, where the processor has it")
    parser.add_argument("--int8", action="store_true", help="measure ONNX Runtime on the net in 8-bit integers too")
    parser.add_argument("--batch-size", type=int, metavar="N", help="images at a time; default: each net's own")
    parser.add_argument("--to", type=Path, metavar="FILE", help="where to write; default: see above")
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the workers end too
    rounds = arguments.rounds or (QUICK_ROUNDS if arguments.quick else ROUNDS)
    is_part = any((arguments.quick, arguments.only, arguments.task, arguments.no_stock, arguments.batch_size))
    destination = arguments.to or (ROOT / "outputs" / "speed.json" if is_part else TABLES / f"speed_{maker()}.json")
    if not arguments.torch_python:
        print("PyTorch is left out: name a Python that has it with --torch-python")
    result = {"rounds": rounds, "steps": [], "torch_python": bool(arguments.torch_python)}
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES.values():
            case = replace(case, batch_size=arguments.batch_size or case.batch_size)
            for task in TASKS:
                if arguments.only in (None, case.net) and arguments.task in (None, task):
                    commands = configurations(case, task, arguments, Path(folder))
                    result["steps"].append(time_case(case, task, commands, rounds, Path(folder)))
        if not arguments.only:
            result["start_seconds"] = start_times()
            result["pipeline"] = pipeline(Path(folder))
    write_result(destination, {**origin(argv or sys.argv[1:]), **result})


def maker():
    """Of the processor, as in "amd"."""
    return re.match("[A-Za-z]+", describe_device("CPU")["processor"]).group().lower()


def configurations(case, task, arguments, folder):
    """{configuration: (command, environment)} of the workers of a case."""
    named = f"{case.net}:{case.batch_size}"
    mindspore = [sys.executable, HERE / "speed_mindspore.py", named]
    commands = {}
    for name, environment in {**MINDSPORE, **(BFLOAT16 if arguments.bfloat16 else {})}.items():
        if name != "stock" or not arguments.no_stock:
            commands[name] = ([*mindspore, task, 1 if name == "stock" else WARM_UPS, "mindspore"], environment)
    if arguments.torch_python:
        for name, memory_format in TORCH.items():
            commands[name] = ([arguments.torch_python, HERE / "speed_torch.py", named, task, WARM_UPS, memory_format], {})
    if task == "infer" and importlib.util.find_spec("onnxruntime"):
        files = {"onnxruntime": folder / f"{case.net}.onnx"}
        if arguments.int8:
            files["onnxruntime int8"] = folder / f"{case.net}_int8.onnx"
        subprocess.run(list(map(str, [*mindspore, "export", *files.values()])), env=environment_with({}), check=True)
        for name, file in files.items():
            commands[name] = ([*mindspore, task, WARM_UPS, "onnx", file], {})
    return commands


def time_case(case, task, commands, rounds, folder):
    """Times one task of one net; returns what `summary` makes of it, with facts about each configuration."""
    workers = {}
    try:
        for name, (command, environment) in commands.items():
            workers[name] = Worker(name, command, environment, folder)
        measured = [{name: workers[name].round() for name in order} for order in orders(list(workers), rounds)]
        facts = {name: worker.facts for name, worker in workers.items()}
    finally:
        for worker in workers.values():
            worker.end()
    row = {"net": case.net, "title": case.title, "task": task, "size": case.size, "batch_size": case.batch_size,
           **summary(measured), "facts": facts}
    times = [f"{name} {figures['median'] * 1000:.1f} ms" for name, figures in row["seconds"].items()]
    ratios = [f"{name} {figures['median']:.2f}" for name, figures in row["ratios"].items()]
    print(f"{case.title} {task}: {', '.join(times)}\n    mindclf over {', '.join(ratios)}; cores taken by others: "
          f"{row['others']['median']:.2f}, at most {row['others']['most']:.2f}", flush=True)
    return row


class Worker:
    """A process that has warmed up and waits, stopped, so that it takes no time from the one that runs."""

    def __init__(self, name, command, environment, folder):
        self.name = name
        self.log = (folder / "worker.log").open("w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log,
                                        env=environment_with(environment), encoding="utf-8", cwd=HERE)
        try:
            self.facts = self._answer()
        except BaseException:
            self.end()
            raise
        self.process.send_signal(signal.SIGSTOP)

    def round(self):
        """The answer of one round: see speed_case. Of several tries, if other processes disturb it, the quietest."""
        answers = []
        while not answers or (answers[-1]["others"] > DISTURBED and len(answers) < TRIES and self.name != "stock"):
            if answers:
                time.sleep(PAUSE)
            self.process.send_signal(signal.SIGCONT)
            self.process.stdin.write("run\n")
            self.process.stdin.flush()
            answers.append(self._answer())
            self.process.send_signal(signal.SIGSTOP)
        self.facts["peak_mib"] = answers[-1]["peak_mib"]
        return min(answers, key=lambda answer: answer["others"])

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            raise RuntimeError(f"the worker {self.name} ended:\n{self.log.read()[-3000:]}")
        return json.loads(line)

    def end(self):
        self.process.kill()  # also of a stopped process
        self.process.wait()
        self.log.close()


def orders(names, rounds):
    """The order of the configurations in each round: each begins with the next one, and "stock" is in the first alone."""
    rows = []
    for number in range(rounds):
        present = [name for name in names if name != "stock" or number == 0]
        start = number % len(present)
        rows.append(present[start:] + present[:start])
    return rows


def summary(rounds):
    """Medians and quartiles of `rounds`, a list of {configuration: answer}, and the ratios of mindclf to the others.

    "better torch" is the configuration of PyTorch with the smaller median; the quartiles of a single round are its value.
    """
    names = list(dict.fromkeys(name for row in rounds for name in row))
    times = [{name: answer["seconds"] for name, answer in row.items()} for row in rounds]
    seconds = {name: spread([row[name] for row in times if name in row]) for name in names}
    compared = {name: name for name in names if name != "mindclf"}
    torch = [name for name in names if name in TORCH]
    if torch:
        compared["better torch"] = min(torch, key=lambda name: seconds[name]["median"])
    ratios = {title: spread([row["mindclf"] / row[name] for row in times if name in row]) for title, name in compared.items()}
    others = [answer["others"] for row in rounds for answer in row.values()]
    return {"seconds": seconds, "ratios": ratios, "others": {"median": statistics.median(others), "most": max(others)}}


def spread(values):
    """{"quartiles": [lower, upper], "median", "count"} of numbers."""
    lower, middle, upper = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return {"median": middle, "quartiles": [lower, upper], "count": len(values)}


def start_times(runs=5):
    """Seconds from the start of a new process to its end, for each of IMPORTS."""
    seconds = {name: [] for name in IMPORTS}
    for _ in range(runs):
        for name, command in IMPORTS.items():
            before = time.perf_counter()
            subprocess.run([sys.executable, *command], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
            seconds[name].append(time.perf_counter() - before)
    return {name: spread(values) for name, values in seconds.items()}


def pipeline(folder, train_per_class=20):
    """What the training pipeline reads and augments a second, from drawn images."""
    from mindclf.drawings.generate import draw_garbage26

    drawn = draw_garbage26(folder / "drawn", train_per_class, test_per_class=1)
    output = subprocess.run(list(map(str, [sys.executable, HERE / "speed_mindspore.py", "pipeline", drawn])), check=True,
                            stdout=subprocess.PIPE, env=environment_with({}), encoding="utf-8").stdout
    answer = json.loads(output)
    return {**answer, "images_per_second": spread(answer["images_per_second"])}


def environment_with(variables):
    """The environment of a worker: this process's without TUNING, and `variables`."""
    kept = {name: value for name, value in os.environ.items() if name not in TUNING}
    path = os.pathsep.join(filter(None, (str(ROOT), kept.get("PYTHONPATH"))))
    return {**kept, "PYTHONPATH": path, **variables}


def origin(argv):
    """Command, commit, machine and versions. Paths of this machine do not leave it."""
    shown = ["PYTHON" if before == "--torch-python" else argument for before, argument in zip(["", *argv], argv)]
    versions = {"python": platform.python_version(), "mindspore": importlib.metadata.version("mindspore")}
    return {**provenance(describe_device("CPU")), "command": " ".join(["python benchmarks/speed.py", *shown]),
            "usable_cores": cores(), "system": f"{platform.system()} {platform.machine()}", "versions": versions}


if __name__ == "__main__":
    main()
