# SPDX-License-Identifier: MIT
"""
swap_exact: bytes of VRAM that differ after they were swapped out and brought back.

Two host tenants of 96 MiB each on a GPU of 160 MiB, so that each one's work takes the other's VRAM away. Half of it is written by the CPU and half by the GPU,
then all is read by both, several times over. As a program: python3 bench/swap_exact.py BUILDDIR PROGRAMS
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile

POOL, QUOTA, FILL, ROUNDS = 160, 112, 96, 3


def measure(build, programs):
    """{"swap_exact": bytes, "swaps": how often VRAM went out}. build: where hsavisor is; programs: where swap-check is."""
    directory = tempfile.mkdtemp(prefix="hsavisor-swap-")
    env = dict(os.environ, HSAVISOR_SOCKET=f"{directory}/s.sock")
    daemon = subprocess.Popen([f"{build}/arbiter/hsavisord", "--vram", f"{POOL}M", "--vram-overcommit", "swap"], env=env, stderr=subprocess.PIPE, text=True)
    tenants, wrong = [], 0
    try:
        assert "ready" in daemon.stderr.readline(), "hsavisord does not start"
        for name in ("first", "second"):
            tenants.append(subprocess.Popen(
                [f"{build}/hsavisor", "run", "--name", name, "--vram", f"{QUOTA}M", "--debian13", "--", f"{programs}/swap-check", str(FILL), str(len(tenants) + 1)],
                env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            line = tenants[-1].stdout.readline()
            assert line == "filled\n", f"swap-check says '{line}'"
        for question in ["gpu", "cpu", "write"] * ROUNDS + ["cpu", "gpu"]:
            for tenant in tenants:
                tenant.stdin.write(question + "\n")
                tenant.stdin.flush()
                answer = tenant.stdout.readline().split()
                assert answer, "swap-check ended"
                if len(answer) == 2:
                    wrong += int(answer[1]) * (4 if answer[0] == "gpu_differ" else 1)
        listed = json.loads(subprocess.run([f"{build}/hsavisor", "list", "--json"], env=env, capture_output=True, text=True, check=True).stdout)
        swaps = sum(t["vram_swap_outs"] for t in listed)
        assert swaps > ROUNDS, f"VRAM was swapped out {swaps} times only"
        return {"swap_exact": wrong, "swaps": swaps}
    finally:
        for tenant in tenants:
            tenant.stdin.close()
            tenant.wait(30)
        daemon.terminate()
        daemon.wait(30)
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    for key, value in measure(sys.argv[1], sys.argv[2]).items():
        print(key, value)
