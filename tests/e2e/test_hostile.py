# SPDX-License-Identifier: MIT
"""
Programs that do all they can to harm others, in a guest and on the host, while well-behaved programs of the same guest, of another VM and of the host work and
compare each result. Only the hostile program may come to harm, and by the error that the ABI has for it.

tests/guest and tests/cp look at single requests and packets; here it is about who is hit.
"""

import contextlib
import os
import random
import signal
import socket
import sys

import system
from system import wait_until

S = system.System()
A, B = "attacked", "other"
ABORTED = 128 + 6


def test_two_vms_boot():
    S.boot(A, B)


def hostile(*program):
    """In the guest and on the host at once; (exit code, output) of each."""
    jobs = [S.guest_job(A, "timeout", "-s", "KILL", "150", "e2e-gpu", *program), S.host_job("e2e-gpu", *program)]
    return [(job.wait(), job.output) for job in jobs]


def test_wild_addresses():
    with S.witnesses(A, B):
        # Dispatches may be there before the program has written its file.
        wait_until(lambda: os.path.exists(f"{S.dir}/addresses") and os.path.getsize(f"{S.dir}/addresses"), 60)
        wait_until(lambda: S.guest(A, "test", "-s", "/tmp/addresses")[0] == 0, 60)
        with open(f"{S.dir}/addresses", encoding="ascii") as f:
            theirs = f.read().split()
        code, out = S.guest(A, "cat", "/tmp/addresses")
        assert code == 0, out
        for address in ("0", "7ffffffff000", "800000000000", "ffffffff80000000"):
            for code, out in hostile("store", address):
                assert code == ABORTED and "emory access fault" in out, (address, code, out[-1500:])
        # Addresses at which another program has its buffers; by chance a hostile program may have something of its own there.
        for address in (*theirs, *out.split()[:3]):
            for code, out in hostile("store", address):
                assert (code == ABORTED and "emory access fault" in out) or (code == 0 and "stored" in out), (address, code, out[-1500:])


def ended_by_an_error_of_its_own(results, what):
    for code, out in results:
        good = code == 0 or code in (3, 4) or (code == ABORTED and ("emory access fault" in out or "HSA_STATUS_ERROR" in out or "HW Exception" in out)) or code in (128 + 11, 128 + 7)
        assert good, (what, code, out[-1500:])


def test_random_code():
    with S.witnesses(A, B):
        for seed in range(1, 5):
            ended_by_an_error_of_its_own(hostile("code", str(seed)), f"code {seed}")


def test_random_packets():
    with S.witnesses(A, B):
        for what in ("packets", "doorbells", "header"):
            for seed in (1, 2):
                ended_by_an_error_of_its_own(hostile(what, str(seed)), f"{what} {seed}")


def test_kernels_without_end():
    """They take turns with the others until they are killed, and leave nothing."""
    with S.witnesses(A, B):
        jobs = [S.guest_job(A, "timeout", "-s", "KILL", "6", "e2e-gpu", "spin") for _ in range(2)]
        jobs.append(S.host_job("e2e-gpu", "spin", name="spinner"))
        S.guest_job(A, "e2e-gpu", "work", "2").succeeds()
        S.guest_job(B, "e2e-gpu", "work", "2").succeeds()
        os.kill(S.program_pid_of("spinner", "e2e-gpu"), signal.SIGKILL)
        for job in jobs:
            assert job.fails() == 128 + 9
    S.vram_is_free(A)


def test_random_ioctls():
    with S.witnesses(A, B):
        for seed in ("1", "2"):
            jobs = [S.guest_job(A, "e2e-ioctls", "6", seed), S.host_job("e2e-ioctls", "6", seed)]
            for job in jobs:
                job.succeeds("calls ")
    S.vram_is_free(A)


def test_nonsense_to_the_daemon():
    """Who may use the socket may be a program gone wild: the daemon and its tenants go on."""
    rng = random.Random(7)
    words = [b'{"op":"status"}', b'{"op":"hello","kind":"host","name":"x","vram":-1}', b'{"op":"hello"}', b"{", b"[]", b"null", b'{"op":7}', b'{"op":{"op":[]}}', b'{"op":"shutdown"}', b'{"op":"charge","bytes":18446744073709551615}', b"[" * 5000]
    with S.witnesses(A, B):
        held = []
        for i in range(300):
            s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            s.settimeout(2)
            with contextlib.suppress(OSError):
                s.connect(f"{S.dir}/s.sock")
                for _ in range(rng.randrange(1, 4)):
                    data = rng.choice(words) if rng.randrange(2) else rng.randbytes(rng.choice((1, 16, 300, 60000)))
                    if rng.randrange(4):
                        s.send(data)
                    else:
                        with open("/dev/null", encoding="ascii") as null:
                            socket.send_fds(s, [data], [null.fileno()] * rng.randrange(1, 20))
            held.append(s)
            if i % 7 == 0:
                held.pop(rng.randrange(len(held))).close()
        assert S.status()["tenants"] >= 3
        for s in held:
            s.close()
        S.host_job("e2e-gpu", "work", "1").succeeds()
    wait_until(lambda: set(S.tenants()) == {A, B})


def test_nothing_is_left():
    for vm in (A, B):
        S.works(vm)
        S.vram_is_free(vm)
        S.kernel_is_quiet(vm)
        S.call("vm", "stop", vm)
    wait_until(lambda: S.tenants() == {})


if __name__ == "__main__":
    system.run(sys.modules[__name__], S)
