#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
check.py TEST_RANDOM [--seconds S] [--seed N] [--kernels FILE] [--clang CLANG] [--device-libs DIR] - random kernels (generate.py), set after set, as long as there is time.

Each set is compiled for both GPUs, and runs interpreted, or compiled for the host's vectors or AVX2's; those of a file at every level of the compiler, interpreted and compiled.
Prints lines of the Test Anything Protocol; of what fails, how to see it again.
"""
import argparse
import itertools
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
COUNT = 20
GPUS = ("gfx900", "gfx90a")
FLAGS = ["-w", "-fwrapv", "-fno-strict-aliasing", "-ffp-contract=off", "-I", str(HERE)]
OPENCL = ["-x", "cl", "-cl-std=CL2.0", "-target", "amdgcn-amd-amdhsa", "-cl-fp32-correctly-rounded-divide-sqrt"]
INTERPRETED, COMPILED = {"HSAVISOR_JIT": "0"}, {"HSAVISOR_JIT": "sync"}
HOW = [COMPILED | {"HSAVISOR_JIT_HOST": "intel"}, COMPILED | {"HSAVISOR_JIT_WIDTH": "8", "HSAVISOR_JIT_HOST": "amd"}, {"HSAVISOR_JIT": "exact", "HSAVISOR_JIT_CACHE": "0"}, INTERPRETED, COMPILED]


def sets(args, where):
    """What to compile: name, file, level; and how to run it: (GPU, environment). With how to see it again."""
    if args.kernels:
        for level in ("-O1", "-O2", "-O3"):
            yield args.kernels.name, args.kernels, level, list(itertools.product(GPUS, (INTERPRETED, COMPILED))), ["--kernels", str(args.kernels)]
        return
    seed = args.seed if args.seed is not None else int(time.time()) % 100000 * COUNT
    end = time.monotonic() + args.seconds
    how = itertools.cycle(HOW)
    while True:
        kernels = where / "kernels.inc"
        with open(kernels, "w") as f:
            subprocess.run([sys.executable, HERE / "generate.py", str(seed), str(COUNT)], stdout=f, check=True)
        name, level = "kernels %d to %d" % (seed, seed + COUNT - 1), ("-O3", "-O3", "-O1", "-O2")[seed // COUNT % 4]
        yield name, kernels, level, [(gpu, next(how)) for gpu in GPUS], ["--seconds", "0", "--seed", str(seed)]
        seed += COUNT
        if time.monotonic() >= end:
            return


def make(args, kernels, level, where):
    """The reference and a code object for each GPU."""
    flags = FLAGS + ['-DKERNELS="%s"' % kernels.resolve()]
    reference = where / "reference.so"
    subprocess.run([args.clang, "-O1", "-mf16c", "-fexcess-precision=16", "-shared", "-fPIC", *flags, HERE / "reference.c", "-o", reference, "-lm"], check=True)
    objects = {}
    for gpu in GPUS:
        objects[gpu] = where / (gpu + ".co")
        subprocess.run([args.clang, *OPENCL, "-mcpu=" + gpu, level, "--rocm-device-lib-path=" + args.device_libs, *flags, HERE / "kernels.cl", "-o", objects[gpu]], check=True)
    return reference, objects


def main():
    args = argparse.ArgumentParser(description="Random kernels, on the GPU and as C.")
    args.add_argument("program", metavar="TEST_RANDOM", help="the program that runs them")
    args.add_argument("--seconds", type=float, default=600, help="as long as this (default 600), one set at least")
    args.add_argument("--seed", type=int, help="number of the first kernel (default: of the clock)")
    args.add_argument("--kernels", type=pathlib.Path, metavar="FILE", help="these and no others")
    args.add_argument("--clang", default="clang-19")
    args.add_argument("--device-libs", default="/usr/lib/x86_64-linux-gnu/amdgcn/bitcode", metavar="DIR", help="where ROCm's device library is")
    args = args.parse_args()
    test = failed = 0
    with tempfile.TemporaryDirectory(prefix="hsavisor-random.") as where:
        where = pathlib.Path(where)
        for name, kernels, level, runs, again in sets(args, where):
            reference, objects = make(args, kernels, level, where)
            for gpu, how in runs:
                test += 1
                done = subprocess.run([args.program, reference, objects[gpu]], env=os.environ | {"HSAVISOR_JIT_STORE": ""} | how, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                print("%s %d - %s, %s %s, %s" % ("not ok" if done.returncode else "ok", test, name, gpu, level, " ".join("%s=%s" % v for v in how.items())), flush=True)
                if done.returncode:
                    failed += 1
                    for line in done.stdout.splitlines():
                        if "RUN" not in line and " OK " not in line:
                            print("# " + line)
                    print("# again: " + shlex.join([__file__, args.program, *again]), flush=True)
    print("1..%d" % test)
    sys.exit(failed > 0)


main()
