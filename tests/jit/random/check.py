#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
check.py TEST_RANDOM [--seconds S] [--seed N] [--clang CLANG] [--device-libs DIR] - random kernels (generate.py), set after set, as long as there is time.

Each set is compiled for both GPUs, and runs compiled for the host's vectors or AVX2's. Prints lines of the Test Anything Protocol; of what fails, how to see it again.
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
FLAGS = ["-w", "-fwrapv", "-fno-strict-aliasing", "-ffp-contract=off", "-I", str(HERE)]
OPENCL = ["-x", "cl", "-cl-std=CL2.0", "-target", "amdgcn-amd-amdhsa", "-cl-fp32-correctly-rounded-divide-sqrt"]
HOW = [{"HSAVISOR_JIT": "sync"}, {"HSAVISOR_JIT": "sync", "HSAVISOR_JIT_WIDTH": "8"}, {"HSAVISOR_JIT": "exact", "HSAVISOR_JIT_CACHE": "0"}]


def make(args, seed, level, where):
    """The reference and a code object for each GPU."""
    kernels = where / "kernels.inc"
    with open(kernels, "w") as f:
        subprocess.run([sys.executable, HERE / "generate.py", str(seed), str(COUNT)], stdout=f, check=True)
    flags = FLAGS + ['-DKERNELS="%s"' % kernels]
    reference = where / "reference.so"
    subprocess.run([args.clang, "-O1", "-shared", "-fPIC", *flags, HERE / "reference.c", "-o", reference, "-lm"], check=True)
    objects = {}
    for gpu in ("gfx900", "gfx90a"):
        objects[gpu] = where / (gpu + ".co")
        subprocess.run([args.clang, *OPENCL, "-mcpu=" + gpu, level, "--rocm-device-lib-path=" + args.device_libs, *flags, HERE / "kernels.cl", "-o", objects[gpu]], check=True)
    return reference, objects


def main():
    args = argparse.ArgumentParser(description="Random kernels, compiled and as C.")
    args.add_argument("program", metavar="TEST_RANDOM", help="the program that runs them")
    args.add_argument("--seconds", type=float, default=600, help="as long as this (default 600)")
    args.add_argument("--seed", type=int, help="number of the first kernel (default: of the clock)")
    args.add_argument("--clang", default="clang-19")
    args.add_argument("--device-libs", default="/usr/lib/x86_64-linux-gnu/amdgcn/bitcode", metavar="DIR", help="where ROCm's device library is")
    args = args.parse_args()
    seed = args.seed if args.seed is not None else int(time.time()) % 100000 * COUNT
    end, test, failed = time.monotonic() + args.seconds, 0, 0

    for number in itertools.count():
        if number and time.monotonic() > end:
            break
        level = ("-O3", "-O3", "-O1", "-O2")[seed // COUNT % 4]
        with tempfile.TemporaryDirectory(prefix="hsavisor-random.") as where:
            reference, objects = make(args, seed, level, pathlib.Path(where))
            for k, (gpu, co) in enumerate(objects.items()):
                how = HOW[(number + k) % len(HOW)]
                test += 1
                done = subprocess.run([args.program, reference, co], env=dict(os.environ, HSAVISOR_JIT_STORE="", **how), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                name = "kernels %d to %d, %s %s, %s" % (seed, seed + COUNT - 1, gpu, level, " ".join("%s=%s" % v for v in how.items()))
                print("%s %d - %s" % ("not ok" if done.returncode else "ok", test, name), flush=True)
                if done.returncode:
                    failed += 1
                    for line in done.stdout.splitlines():
                        if "RUN" not in line and " OK " not in line:
                            print("# " + line)
                    print("# again: " + shlex.join([__file__, args.program, "--seconds", "0", "--seed", str(seed)]), flush=True)
        seed += COUNT
    print("1..%d" % test)
    sys.exit(failed > 0)


main()
