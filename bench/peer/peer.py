"""The PyTorch side of the benchmarks: one process that runs single repetitions on request.

Started as `python3 bench/peer/peer.py [CASES.json]`. It prints one JSON line that says what it runs on, then answers
each line {"case": NAME, "warmup": N} by N untimed repetitions and one timed one:
{"case", "ms", "peakRssMiB", "check"}, or {"case", "error"}. The caller interleaves these with its own repetitions.
Only the case asked for last is held in memory; peakRssMiB is the peak of the whole process so far, so a case whose
memory is compared needs a process of its own.
"""

import gc
import json
import os
import re
import resource
import sys
import time
from pathlib import Path

# OpenMP's waiting threads otherwise spin on the cores that OpenBLAS's own threads need: up to 1.8 times slower.
# PEER_WAIT=default leaves that as it is installed.
if os.environ.get("PEER_WAIT") != "default":
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def kernel_for_this_processor():
    """OpenBLAS takes a processor newer than itself for one of 2004, at a tenth of the speed, unless it is told."""
    flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    known = flags.group(1).split() if flags else []
    if {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= set(known):
        return "SkylakeX"
    return "Haswell" if "avx2" in known else None


kernel = kernel_for_this_processor()
if kernel:
    os.environ.setdefault("OPENBLAS_CORETYPE", kernel)

import torch

from conv import Conv
from decode import Decode
from gpt_step import GptStep
from moe import Moe
from nano_step import NanoStep

CASES = {"gpt_step": GptStep, "conv": Conv, "moe": Moe, "nano_step": NanoStep, "decode": Decode, "decode_small": Decode}


def blas_in_use():
    """How torch was built, and the BLAS library files that this process has mapped after a matrix product."""
    torch.ones(64, 64) @ torch.ones(64, 64)
    built = re.search(r"BLAS_INFO=(\w+)", torch.__config__.show())
    with open("/proc/self/maps") as maps:
        files = {line.split()[-1] for line in maps if re.search(r"/lib(\w*blas|mkl|blis)", line)}
    return {
        "built": built.group(1) if built else None,
        "libraries": sorted({os.path.realpath(file) for file in files}),
        "kernel": os.environ.get("OPENBLAS_CORETYPE"),
    }


def answer(request, sizes, state):
    name = request.get("case")
    if name not in CASES or name not in sizes:
        raise ValueError(f"unknown case {name!r}; expected one of {', '.join(CASES)}")
    if state.get("name") != name:
        state.clear()
        gc.collect()
        torch.manual_seed(0)
        state.update(name=name, case=CASES[name](sizes[name]))
    case = state["case"]
    for _ in range(request.get("warmup", 0)):
        case.run()
    start = time.perf_counter()
    check = case.run()
    ms = (time.perf_counter() - start) * 1000
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"case": name, "ms": round(ms, 3), "peakRssMiB": round(peak, 1), "check": check}


def reply(message):
    print(json.dumps(message), flush=True)


def main():
    default = Path(__file__).resolve().parent.parent / "cases.json"
    sizes = json.loads(Path(sys.argv[1] if len(sys.argv) > 1 else default).read_text())
    # Debian's build may start with one thread whatever the machine has
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    reply({"torch": torch.__version__, "blas": blas_in_use(), "threads": torch.get_num_threads()})
    state = {}
    for line in sys.stdin:
        request = {}
        try:
            request = json.loads(line)
            reply(answer(request, sizes, state))
        except Exception as error:
            reply({"case": request.get("case"), "error": f"{type(error).__name__}: {error}"})


if __name__ == "__main__":
    main()
