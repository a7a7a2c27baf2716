"""Calls kernels that are compiled for another kind of processor, through serve_kernels.c in an emulator. `make arm` does so."""

import functools
import os
import subprocess

import numpy as np

COMMAND = os.environ.get("KERNELS_IN_EMULATOR", "").split()  # as in "qemu-aarch64 build/arm/serve_kernels build/arm/neon.so"
VARIANT = "neon"
HEADER = np.dtype([("rank", "i8"), ("shape", "i8", 4), ("is_integer", "i8"), ("behind", "i8"), ("floats", "i8"), ("before", "i8"),
                   ("is_output", "i8")])


def run(name, inputs, memories, output_shapes, before, behind):
    """What the C function `name` returns. Outputs are in `memories`, `before` floats behind their beginning, which lies `behind`
    floats behind a multiple of 64 bytes; the memories get what it wrote."""
    server = _server()
    parameters = [(array.shape, array, 0, 0, False) for array in inputs]
    parameters += [(shape, memory, before, behind, True) for shape, memory in zip(output_shapes, memories)]
    server.stdin.write(np.array(name.encode(), "S64").tobytes() + np.int64(len(parameters)).tobytes())
    for shape, memory, first, offset, is_output in parameters:
        sizes = (*shape, *[1] * (4 - len(shape)))
        header = (len(shape), sizes, memory.dtype == np.int32, offset, memory.size, first, is_output)
        server.stdin.write(np.array(header, HEADER).tobytes() + memory.tobytes())
    server.stdin.flush()
    status = int(_receive(server, np.zeros(1, np.int32))[0])
    for memory in memories:
        _receive(server, memory)
    return status


@functools.cache
def _server():
    return subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _receive(server, array):
    content = server.stdout.read(array.nbytes)
    assert len(content) == array.nbytes, f"{COMMAND[0]} ended within a call"
    array[:] = np.frombuffer(content, array.dtype)
    return array
