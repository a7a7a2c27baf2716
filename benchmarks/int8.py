"""The garbage sorter in 8-bit integers: accuracy and size before and after, also without the first convolutions in float32.

    python benchmarks/int8.py                  # a minute on two cores; writes results/tables/int8.json
"""

import tempfile
from pathlib import Path

from common import provenance, require_photos, write_result

from mindclf import quantize
from mindclf.checkpoint import GARBAGE_SORTER
from mindclf.config import merge
from mindclf.device import describe_device, use_device
from mindclf.export import export


def main():
    device = describe_device(use_device("CPU"))
    config, rows = merge({"dataset": "garbage26"}, {}), []
    with tempfile.TemporaryDirectory() as folder:
        model = export(GARBAGE_SORTER, "onnx", Path(folder) / "sorter.onnx")
        for in_float in (quantize.FLOAT_CONVOLUTIONS, 0):
            quantize.FLOAT_CONVOLUTIONS = in_float
            made = quantize.quantize(model, config, Path(folder) / f"int8_{in_float}.onnx", allowed_loss=1.0)
            require_photos(made.origin)
            rows.append({"float_convolutions": in_float, "top1": round(made.after.top1, 6), "loss": round(made.after.loss, 6),
                         "bytes": made.bytes_after})
            print(rows[-1], flush=True)
    write_result(__file__, {
        **provenance(device), "checkpoint": GARBAGE_SORTER.name, "data": made.origin, "test_images": made.before.images,
        "calibration_pictures": quantize.CALIBRATION_IMAGES,
        "float32": {"top1": round(made.before.top1, 6), "loss": round(made.before.loss, 6), "bytes": made.bytes_before},
        "int8": rows})


if __name__ == "__main__":
    main()
