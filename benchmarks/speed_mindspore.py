"""Workers of benchmarks/speed.py that need MindSpore or mindclf's export, one process each:

    python benchmarks/speed_mindspore.py NET train|infer WARM_UPS mindspore    # a net of mindclf; the environment says how
    python benchmarks/speed_mindspore.py NET infer WARM_UPS onnx FILE          # ONNX Runtime on a file that `export` wrote
    python benchmarks/speed_mindspore.py NET export FILE [INT8]                # writes it, and in 8-bit integers, as mindclf does
    python benchmarks/speed_mindspore.py pipeline FOLDER                       # images a second of the training pipeline
"""

import json
import sys
import time
from pathlib import Path

from speed_case import answer_channel, case_of, cores, random_batch, serve

import mindclf  # before MindSpore, which it tunes

RATE = 0.01
STEPS = 100_000  # rates for so many steps: more than any run makes


def main(net, task, *rest):
    channel = answer_channel()
    if net == "pipeline":
        print(json.dumps(pipeline(Path(task))), file=channel)
    elif task == "export":
        export(case_of(net), *map(Path, rest))
    else:
        warm_ups, runtime, *file = rest
        make = onnx_inference if runtime == "onnx" else training if task == "train" else inference
        step, facts = make(case_of(net), *file)
        serve(step, facts, channel, int(warm_ups))


def training(case):
    """A step of the Model that mindclf trains with: forward, backward, update with momentum."""
    from mindspore import Tensor

    from mindclf.config import DEFAULTS
    from mindclf.train.model import create_model

    net = build(case)
    network = create_model(net, DEFAULTS, [RATE] * STEPS).train_network
    images, labels = map(Tensor, random_batch(case))

    def step():
        return network(images, labels).asnumpy()

    return step, facts()


def inference(case):
    from mindspore import Tensor

    from mindclf.nets import fold_batch_norm, fuse_separable

    net = fuse_separable(fold_batch_norm(build(case)))  # as mindclf.predict has it
    images = Tensor(random_batch(case)[0])

    def step():
        return net(images).asnumpy()

    return step, facts()


def onnx_inference(case, file):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores()
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    images = random_batch(case)[0]

    def step():
        return session.run(None, {"images": images})[0]

    return step, {"onnxruntime": onnxruntime.__version__}


def build(case):
    from mindclf.device import set_seeds, use_device
    from mindclf.nets import create_net

    use_device("CPU")
    set_seeds(0)
    return create_net(case.net, case.num_classes, **case.options)


def facts():
    """What ran, for the result. Call it when the device is set."""
    import mindspore

    from mindclf.kernels import status

    in_use, instruction_set, reason = status()
    return {"mindspore": mindspore.__version__, "onednn_isa": mindclf.tune_cpu(),
            "kernels": {"in_use": in_use, "instruction_set": instruction_set, "reason": reason}}


def export(case, file, int8=None):
    """Writes the net to an .onnx `file`, and to another one, `int8`, whose ranges of activations noise has shown."""
    import numpy as np

    from mindclf.checkpoint import save_checkpoint
    from mindclf.export import export as export_checkpoint

    card = {"net": case.net, "net_options": case.options, "classes": [str(i) for i in range(case.num_classes)],
            "image_height": case.size, "image_width": case.size, "mean": [0.0] * 3, "std": [1.0] * 3}
    export_checkpoint(save_checkpoint(build(case), file.with_suffix(".ckpt"), card), "onnx", file)
    if int8 is not None:
        from mindclf.dataset import ImageSet
        from mindclf.inference.runner import Runner
        from mindclf.quantize import write_quantized

        noise = np.random.default_rng(0).integers(0, 256, (case.batch_size, case.size, case.size, 3), np.uint8)
        images = ImageSet(tuple(noise), (0,) * len(noise), tuple(card["classes"]))
        write_quantized(file, int8, Runner(file, "onnxruntime"), images)


def pipeline(folder, epochs=3):
    """Images a second of each of `epochs` passes, after a first one, of the training pipeline at 224 pixels."""
    from mindclf.config import DEFAULTS
    from mindclf.dataset import read_folder, train_pipeline
    from mindclf.dataset.registry import DATA_SETS

    image_set = read_folder(folder / "train", DATA_SETS["garbage26"].class_index, "stop")
    batches = train_pipeline(image_set, DEFAULTS)
    rates = []
    for _ in range(epochs + 1):
        started, count = time.perf_counter(), 0
        for images, _labels in batches.create_tuple_iterator(num_epochs=1, output_numpy=True):
            count += len(images)
        rates.append(count / (time.perf_counter() - started))
    return {"images": len(image_set), "size": DEFAULTS.image_height, "images_per_second": rates[1:]}


if __name__ == "__main__":
    main(*sys.argv[1:])
