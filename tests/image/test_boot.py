# SPDX-License-Identifier: MIT
"""The guest image boots in the QEMU that image/make found, answers by its guest agent, has what it should, and powers off.
Without a GPU: this is about the image. Emulated CPU, so that it says the same everywhere."""

import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

import tap

SRC = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BOOT_SECONDS = 90


class Guest:
    """One VM from the image; its changes to the disk are thrown away."""

    def __init__(self, directory):
        paths = subprocess.run([f"{SRC}/image/paths"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        if paths.returncode:
            raise tap.Skip(paths.stderr.strip())
        self.conf = dict(line.split("=", 1) for line in paths.stdout.splitlines())
        self.console = f"{directory}/console"
        self.port = f"{directory}/agent"
        self.socket = None
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [self.conf["QEMU"], "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1G",
             "-kernel", self.conf["KERNEL"], "-initrd", self.conf["INITRD"], "-append", self.conf["APPEND"],
             "-drive", f"file={self.conf['IMAGE']},format=raw,if=none,id=disk,snapshot=on",
             "-device", "virtio-blk-pci,drive=disk", "-device", "virtio-serial-pci",
             "-chardev", f"socket,id=agent,path={self.port},server=on,wait=off",
             "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
             "-nodefaults", "-display", "none", "-serial", f"file:{self.console}", "-no-reboot"],
            stdin=subprocess.DEVNULL)

    def console_text(self):
        try:
            with open(self.console, encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def wait_ready(self):
        """Until the agent answers. (The line on the console that says so may be lost: init discards what a terminal has not yet sent.)"""
        while not os.path.exists(self.port):
            assert self.process.poll() is None, "QEMU ended: " + self.console_text()[-2000:]
            assert time.monotonic() - self.started < BOOT_SECONDS, "QEMU made no port for the agent"
            time.sleep(0.05)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(BOOT_SECONDS)
        self.socket.connect(self.port)
        try:
            # QEMU keeps it until the agent has opened its port: one request, one answer.
            self.request("guest-ping")
        except TimeoutError as late:
            raise AssertionError("not ready: " + self.console_text()[-2000:]) from late
        self.socket.settimeout(30)

    def request(self, command, **arguments):
        message = {"execute": command}
        if arguments:
            message["arguments"] = arguments
        self.socket.sendall(json.dumps(message).encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            part = self.socket.recv(65536)
            assert part, "the agent's port closed"
            answer += part
        answer = json.loads(answer)
        assert "return" in answer, answer
        return answer["return"]

    def run(self, command):
        """A shell command in the guest; (exit code, output)."""
        pid = self.request("guest-exec", path="/bin/sh", arg=["-c", command + " 2>&1"], **{"capture-output": True})["pid"]
        until = time.monotonic() + 60
        while time.monotonic() < until:
            status = self.request("guest-exec-status", pid=pid)
            if status["exited"]:
                return status.get("exitcode"), base64.b64decode(status.get("out-data", "")).decode(errors="replace")
            time.sleep(0.05)
        raise AssertionError(f"{command}: no end within 60 s")

    def end(self):
        if self.socket:
            self.socket.close()
        self.process.kill()
        self.process.wait()


GUEST = None


def test_boots_and_answers():
    GUEST.wait_ready()
    print(f"# ready after {time.monotonic() - GUEST.started:.1f} s")


def test_runs_the_stock_kernel():
    code, out = GUEST.run("uname -r")
    assert (code, out.strip()) == (0, GUEST.conf["KERNEL_VERSION"]), out


def test_has_unmodified_packages():
    code, out = GUEST.run("dpkg --audit && dpkg --verify rocminfo clinfo libhsakmt1 libhsa-runtime64-1 libamdhip64-5 rocm-opencl-icd")
    # Manuals are left out of the image; nothing else may differ.
    differing = [line for line in out.splitlines() if "/usr/share/" not in line]
    assert code == 0 and not differing, out


def test_has_opencl_and_hsa():
    code, out = GUEST.run("clinfo | head -1; ldconfig -p | grep -c -E 'libhsa-runtime64.so.1|libamdhip64.so.5|libOpenCL.so.1'")
    assert code == 0 and "Number of platforms" in out and out.split()[-1] == "3", out


def test_knows_the_driver():
    if not os.path.isdir(f"{os.path.dirname(os.path.dirname(GUEST.conf['IMAGE']))}/module"):
        raise tap.Skip("the image was made without the guest driver")
    code, out = GUEST.run("modinfo -F vermagic hsavisor")
    assert code == 0 and out.startswith(GUEST.conf["KERNEL_VERSION"] + " "), out


def test_fails_no_service():
    code, out = GUEST.run("dmesg --level=emerg,alert,crit,err,warn | grep -E 'BUG|WARNING|Oops|Call Trace'")
    assert code == 1, out


def test_powers_off():
    GUEST.socket.sendall(b'{"execute": "guest-shutdown"}\n')
    assert GUEST.process.wait(30) == 0
    assert "Power down" in GUEST.console_text(), GUEST.console_text()[-500:]


def main():
    global GUEST  # pylint: disable=global-statement
    with tempfile.TemporaryDirectory() as directory:
        try:
            GUEST = Guest(directory)
        except tap.Skip as reason:
            print(f"1..0 # SKIP {reason}")
            return
        try:
            tap.run(sys.modules[__name__])
        finally:
            GUEST.end()


main()
