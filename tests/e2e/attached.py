# SPDX-License-Identifier: MIT
"""A QEMU of one's own with a GPU, as people have it who do not use `hsavisor vm`: hsavisor attach, a command line, the guest's agent."""

import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import time

import system


class Agent:
    """The guest agent: JSON lines on its socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(240)
        system.wait_until(lambda: os.path.exists(path))
        self.socket.connect(path)
        self.stream = self.socket.makefile("rw", encoding="utf-8", errors="replace")

    def ask(self, what, **arguments):
        self.stream.write(json.dumps({"execute": what, "arguments": arguments}) + "\n")
        self.stream.flush()
        return json.loads(self.stream.readline())["return"]

    def run(self, *command, limit=200):
        """A command in the guest: exit code, output of both kinds."""
        pid = self.ask("guest-exec", path=command[0], arg=command[1:], **{"capture-output": "merged"})["pid"]
        end = time.monotonic() + limit
        while time.monotonic() < end:
            status = self.ask("guest-exec-status", pid=pid)
            if status["exited"]:
                return status["exitcode"], base64.b64decode(status.get("out-data", "")).decode(errors="replace")
            time.sleep(0.3)
        raise AssertionError(f"{command} does not end")


@contextlib.contextmanager
def guest(s, name, memory, vram, *arguments):
    """A guest that has memory and a GPU with vram; its agent, which answers when it is up. More arguments are QEMU's. Afterwards the broker is gone, too."""
    words = json.loads(s.call("attach", name, "--vram", vram, "--memory", memory, "--json"))
    agent = f"{s.dir}/{name}.sock"
    command = [s.conf["QEMU"], "-nodefaults", "-display", "none", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", memory, "-smp", "2",
               "-drive", f"file={s.conf['IMAGE']},if=virtio,format=raw,snapshot=on", "-kernel", s.conf["KERNEL"], "-initrd", s.conf["INITRD"], "-append", s.conf["APPEND"],
               "-chardev", f"socket,id=qga,path={agent},server=on,wait=off", "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=qga,name=org.qemu.guest_agent.0",
               "-serial", f"file:{s.dir}/{name}.log", *arguments, *words["qemu_arguments"]]
    with subprocess.Popen(command, env=s.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT) as qemu:
        try:
            yield Agent(agent)
        finally:
            qemu.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                qemu.wait(20)
            qemu.kill()
    assert system.alive(words["broker_pid"]), "the broker waits for the next QEMU"
    s.call("vm", "stop", name)
    assert not system.alive(words["broker_pid"])
