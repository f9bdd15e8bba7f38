# SPDX-License-Identifier: MIT
"""The hsavisor and hsavisord commands as a person types them: bad input first. No VM is booted here (tests/e2e does that)."""

import grp
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

BUILD, SRC = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
sys.path.insert(0, f"{SRC}/tests/image")
from processes import wait_until  # pylint: disable=wrong-import-position
import processes  # pylint: disable=wrong-import-position
import tap  # pylint: disable=wrong-import-position

DIR = tempfile.mkdtemp(prefix="hsavisor-cli-")
SOCKET = f"{DIR}/run/s.sock"
CACHE = f"{DIR}/cache"
ENV = processes.environment(DIR, HSAVISOR_SOCKET=SOCKET, HSAVISOR_CACHE=CACHE)
HSAVISOR, HSAVISORD = f"{BUILD}/hsavisor", f"{BUILD}/arbiter/hsavisord"


def call(*args, program=HSAVISOR, code=0, says=""):
    """Runs it; its exit code must be @code and its output contain @says. Returns standard output."""
    r = subprocess.run([program, *args], env=ENV, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
    assert r.returncode == code, f"{args}: exit code {r.returncode}, not {code}: {r.stdout}{r.stderr}"
    assert says in r.stdout + r.stderr, f"{args}: '{says}' is not in: {r.stdout}{r.stderr}"
    return r.stdout


def tenants():
    return {t["name"]: t for t in json.loads(call("list", "--json"))}


def test_help_everywhere():
    for args in ([], ["vm"], ["run"], ["attach"], ["status"], ["list"], ["set"], ["reset"], ["stop"], ["demo"], ["vm", "start"], ["vm", "exec"], ["vm", "console"], ["vm", "stop"], ["vm", "list"]):
        call(*args, "--help", says="Usage: hsavisor")
    call("--help", program=HSAVISORD, says="Usage: hsavisord")
    call("--version", says="hsavisor ")
    call("--version", program=HSAVISORD, says="hsavisord ")


def test_bad_usage():
    for args in (
        [],
        ["nonsense"],
        ["vm"],
        ["vm", "nonsense"],
        ["vm", "start"],
        ["vm", "start", "a", "b"],
        ["vm", "start", "a/b"],
        ["vm", "start", ".a"],
        ["vm", "start", "a", "--memory", "lots"],
        ["vm", "start", "a", "--memory", "1M"],
        ["vm", "start", "a", "--cpus", "0"],
        ["vm", "start", "a", "--cpus", "x"],
        ["vm", "start", "a", "--accel", "magic"],
        ["vm", "start", "a", "--vram", "-1"],
        ["vm", "start", "a", "--bogus"],
        ["vm", "start", "x" * 64],
        ["vm", "exec"],
        ["vm", "exec", "a"],
        ["vm", "exec", "a", "--timeout", "x", "--", "true"],
        ["vm", "console"],
        ["vm", "stop"],
        ["run"],
        ["run", "--"],
        ["run", "--vram", "x", "--", "true"],
        ["run", "--name", "a b", "--", "true"],
        ["attach"],
        ["attach", "a b"],
        ["attach", "a", "--sandbox", "none"],
        ["attach", "a", "--sandbox"],
        ["attach", "a", "--user", "no-such-user"],
        ["attach", "a", "--user", "root"],
        ["attach", "a", "--socket-group", "no-such-group"],
        ["attach", "a", "--socket-mode", "rw-"],
        ["attach", "a", "--socket-mode", "0"],
        ["attach", "a", "--socket-mode", "1777"],
        ["attach", "a", "--socket-mode", "-660"],
        ["vm", "start", "a", "--sandbox", "none"],
        ["vm", "start", "a", "--user", "no-such-user"],
        ["vm", "start", "a", "--socket-group", "no-such-group"],
        ["vm", "start", "a", "--socket-mode", "888"],
        ["set"],
        ["set", "a b"],
        ["set", "a", "b"],
        ["set", "a", "--save"],
        ["set", "a", "--weight", "0"],
        ["set", "a", "--weight", "10001"],
        ["set", "a", "--weight", "1x"],
        ["set", "a", "--weight", "7", "--priority", "8"],
        ["set", "a", "--priority", "-1"],
        ["set", "a", "--cap", "0"],
        ["set", "a", "--cap", "101%"],
        ["set", "a", "--cap", "%"],
        ["set", "a", "--reserve", "6ms"],
        ["set", "a", "--reserve", "6/16"],
        ["set", "a", "--reserve", "/16ms"],
        ["set", "a", "--kernel-timeout", "10"],
        ["set", "a", "--vram", "0"],
        ["set", "a", "--bogus"],
        ["reset"],
        ["set", "a", "--gpu", "8"],
        ["set", "a", "--weight", "1", "--gpu", "x"],
        ["reset", "a", "--gpu", "-1"],
        ["reset", "a", "--process", "0"],
        ["reset", "a", "--process", "x"],
        ["run", "--weight", "x", "--", "true"],
        ["vm", "start", "a", "--cap", "x"],
        ["status", "extra"],
        ["list", "--bogus"],
        ["demo", "--target", "gfx803"],
        ["demo", "extra"],
    ):
        call(*args, code=2)
    for args in (["--gpu", "gfx803"], ["--vram", "x"], ["--vram", "4097"], ["--threads", "0"], ["--group", "no-such-group"], ["extra"], ["--default-quota", "0"]):
        call(*args, program=HSAVISORD, code=2)


def test_no_daemon():
    for args in (["status"], ["list"], ["set", "a"], ["set", "a", "--weight", "1"], ["reset", "a"], ["stop"], ["run", "--", "true"], ["attach", "a"]):
        call(*args, code=3, says="hsavisord")
    call("vm", "stop", "a", code=4, says="no VM 'a'")
    call("vm", "exec", "a", "--", "true", code=4, says="no running VM 'a'")
    call("vm", "console", "a", code=4)
    assert json.loads(call("vm", "list", "--json")) == []


def test_daemon_ends_instead_of_answering():
    """One that was killed is none, also while its socket is there; one that hangs up is no dead one."""
    os.mkdir(os.path.dirname(SOCKET))

    def hang_up(seconds):
        end = time.time() + seconds
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.bind(SOCKET)
            s.listen()
            s.settimeout(0.05)
            while time.time() < end:
                try:
                    s.accept()[0].close()
                except TimeoutError:
                    pass
        os.unlink(SOCKET)

    for seconds, code, says in ((0.3, 3, "not running"), (2, 1, "hsavisord at")):
        t = threading.Thread(target=hang_up, args=[seconds])
        t.start()
        try:
            wait_until(lambda: os.path.exists(SOCKET), 10, "no socket")
            time.sleep(0.05)
            call("status", code=code, says=says)
        finally:
            t.join()
    os.rmdir(os.path.dirname(SOCKET))


def test_no_image():
    call("vm", "start", "a", code=1, says="make image")
    call("demo", code=1, says="make image")
    call("run", "--debian13", "--", "true", code=1, says="make image")


def test_daemon_starts_once():
    with open(f"{DIR}/conf", "w", encoding="utf-8") as f:
        f.write('{"tenants": {"policied": {"wait": 1}}}')
    call("--config", f"{DIR}/conf", program=HSAVISORD, code=1, says=f"{DIR}/conf:1:27: unknown key \"wait\"")
    call("--config", f"{DIR}/no-such-file", program=HSAVISORD, code=1, says="no-such-file")
    with open(f"{DIR}/conf", "w", encoding="utf-8") as f:
        f.write('{"tenants": {"policied": {"weight": 7, "vram": "64M"}}}')
    call("--daemonize", "--vram", "1G", "--default-quota", "256M", "--gpu", "gfx900", "--config", f"{DIR}/conf", program=HSAVISORD, says="ready")
    call("--daemonize", program=HSAVISORD, code=1, says="already running")
    call(program=HSAVISORD, code=3, says="already running")
    status = json.loads(call("status", "--json"))
    assert status["tenants"] == 0
    assert status["gpus"][0]["target"] == "gfx900"
    assert status["gpus"][0]["vram_bytes"] == 1 << 30
    call("status", says="gfx900")


def test_missing_image_leaves_nothing():
    os.makedirs(CACHE)
    with open(f"{CACHE}/image.conf", "w", encoding="utf-8") as f:
        f.write(f"QEMU=/bin/false\nKERNEL={DIR}/k\nINITRD={DIR}/i\nIMAGE={DIR}/no-such-image\n")
    call("vm", "start", "a", code=1, says="no-such-image")
    call("vm", "start", "a", "--image", f"{DIR}/other", code=1, says=f"{DIR}/other")
    assert json.loads(call("vm", "list", "--json")) == []


def test_qemu_that_fails_leaves_nothing():
    with open(f"{DIR}/no-such-image", "w", encoding="utf-8"):
        pass
    call("vm", "start", "a", code=1, says="QEMU did not start")
    # A policy is there, or refused, before the guest boots.
    call("vm", "start", "a", "--reserve", "95ms/100ms", code=1, says="reserv")
    assert json.loads(call("vm", "list", "--json")) == []
    wait_until(lambda: "a" not in tenants())


def test_attach_once_and_stop_twice():
    out = json.loads(call("attach", "vm1", "--vram", "64M", "--memory", "1G", "--json"))
    assert any("vfio-user-pci" in a for a in out["qemu_arguments"])
    assert os.path.exists(out["socket"])
    assert tenants()["vm1"]["vram_quota_bytes"] == 64 << 20
    call("attach", "vm1", code=5, says="vm1")
    call("vm", "start", "vm1", code=5, says="vm1")
    assert [v["state"] for v in json.loads(call("vm", "list", "--json"))] == ["attached"]
    call("stop", code=1, says="tenants")
    call("vm", "stop", "vm1")
    call("vm", "stop", "vm1", code=4)
    wait_until(lambda: "vm1" not in tenants())


def may_connect(path, group):
    """Whether a user of that group only (and nobody else's) gets to the socket."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            os.setgroups([])
            os.setgid(group)
            os.setuid(65534)
            socket.socket(socket.AF_UNIX).connect(path)
            code = 0
        finally:
            os._exit(code)  # pylint: disable=protected-access
    return os.waitpid(pid, 0)[1] == 0


def test_who_may_connect_to_a_broker():
    out = json.loads(call("attach", "alone", "--vram", "64M", "--socket-mode", "600", "--json"))
    assert os.stat(out["socket"]).st_mode & 0o777 == 0o600 and os.stat(os.path.dirname(out["socket"])).st_mode & 0o777 == 0o700
    call("vm", "stop", "alone")
    if os.geteuid():
        raise tap.Skip("only root can give a socket to any group")
    os.chmod(DIR, 0o711)
    group, other = grp.getgrnam("daemon").gr_gid, grp.getgrnam("games").gr_gid
    for options, mode, others in (([], 0o660, False), (["--socket-mode", "0666"], 0o666, True)):
        out = json.loads(call("attach", "shared", "--vram", "64M", "--socket-group", "daemon", *options, "--json"))
        path = out["socket"]
        assert (os.stat(path).st_gid, os.stat(path).st_mode & 0o777) == (group, mode)
        assert may_connect(path, group) and may_connect(path, other) == others
        # They pass through the directory, and see nothing in it.
        assert os.stat(os.path.dirname(path)).st_mode & 0o777 == (0o711 if others else 0o710)
        assert os.stat(f"{os.path.dirname(path)}/broker.log").st_mode & 0o077 == 0
        call("vm", "stop", "shared")


def test_a_brokers_user_and_sandbox():
    def uids(*options):
        out = json.loads(call("attach", "other", "--vram", "64M", *options, "--json"))
        with open(f"/proc/{out['broker_pid']}/status", encoding="ascii", errors="replace") as f:
            status = dict(line.rstrip("\n").split(":", 1) for line in f)
        call("vm", "stop", "other")
        return {int(i) for i in status["Uid"].split()}, int(status["Seccomp"])

    assert uids("--sandbox", "off") == ({os.geteuid()}, int(open("/proc/self/status", encoding="ascii").read().split("Seccomp:")[1].split()[0]))
    if os.geteuid():
        call("attach", "other", "--sandbox", "try", "--user", "nobody", code=1, says="only root can become 'nobody'")
        assert json.loads(call("vm", "list", "--json")) == []
    else:
        assert uids("--user", "nobody") == ({65534}, 2)


def test_quota_that_does_not_fit():
    call("attach", "big", "--vram", "2G", code=1, says="1024")
    call("run", "--vram", "2G", "--", "true", code=1, says="1024")
    assert json.loads(call("vm", "list", "--json")) == []


def test_run_passes_exit_codes():
    call("run", "--", "true")
    call("run", "--", "sh", "-c", "exit 7", code=7)
    call("run", "--", "sh", "-c", "kill -9 $$", code=128 + 9)
    call("run", "--", f"{DIR}/no-such-program", code=127, says="no-such-program")
    call("run", "--", DIR, code=126)
    out = subprocess.run([HSAVISOR, "run", "--name", "stats", "--vram", "32M", "--stats", "--", "true"], env=ENV, capture_output=True, text=True, timeout=30, check=True)
    assert json.loads(out.stderr)["vram_quota_bytes"] == 32 << 20


def test_run_profile_makes_the_file_and_hands_it_on():
    call("run", "--profile", f"{DIR}/none/profile", "--", "true", code=1, says="none/profile")
    with open(f"{DIR}/profile", "w", encoding="utf-8") as f:
        f.write("of an earlier run")
    call("run", "--profile", f"{DIR}/profile", "--bogus", "--", "true", code=2)
    with open(f"{DIR}/profile", encoding="utf-8") as f:
        assert f.read() == "of an earlier run"
    subprocess.run([HSAVISOR, "run", "--profile", "profile", "--", "sh", "-c", 'echo "$HSAVISOR_PROFILE" >>"$HSAVISOR_PROFILE"'], env=ENV, cwd=DIR, timeout=30, check=True)
    with open(f"{DIR}/profile", encoding="utf-8") as f:
        assert f.read() == os.path.realpath(f"{DIR}/profile") + "\n"


def test_run_from_where_it_is_installed():
    for source, place in ((HSAVISOR, "bin"), (f"{BUILD}/host/libhsavisor-host.so", "lib/x86_64-linux-gnu")):
        os.makedirs(f"{DIR}/usr/{place}")
        shutil.copy(source, f"{DIR}/usr/{place}")
    call("run", "--", "test", "-e", "/dev/kfd", program=f"{DIR}/usr/bin/hsavisor")


def test_run_is_a_tenant_while_it_runs():
    with subprocess.Popen([HSAVISOR, "run", "--name", "sleeper", "--", "sleep", "60"], env=ENV) as p:
        wait_until(lambda: "sleeper" in tenants())
        assert tenants()["sleeper"]["kind"] == "host"
        call("run", "--name", "sleeper", "--", "true", code=5, says="sleeper")
        p.send_signal(signal.SIGTERM)
        assert p.wait(60) == 128 + signal.SIGTERM
    wait_until(lambda: "sleeper" not in tenants())


def test_policies():
    call("set", "policied", code=4, says="policied")
    call("reset", "policied", code=4, says="policied")
    with subprocess.Popen([HSAVISOR, "run", "--name", "policied", "--priority", "5", "--vram-max", "96M", "--", "sleep", "60"], env=ENV) as p:
        wait_until(lambda: tenants().get("policied", {}).get("priority") == 5)
        call("set", "policied", says="weight 7, priority 5, reserve none, cap none, VRAM 64 MiB, kernel timeout none")
        out = json.loads(call("set", "policied", "--weight", "9", "--reserve", "6ms/16.6ms", "--cap", "50%", "--vram", "96M", "--kernel-timeout", "2s", "--save", "--json"))
        assert out["policy"] == {"weight": 9, "priority": 5, "cap": 50, "reserve": "6ms/16.6ms", "kernel_timeout": "2s", "vram": 96 << 20}
        row = tenants()["policied"]
        assert (row["weight"], row["reserve_budget_ns"], row["reserve_period_ns"], row["cap_percent"], row["kernel_timeout_ns"]) == (9, 6000000, 16600000, 50, 2000000000)
        line = next(line for line in call("list").splitlines() if line.startswith("policied "))
        assert line.endswith("      9    5  50% 6ms/16.6ms"), line
        call("set", "policied", "--weight", "11", "--cap", "10", code=1, says="cap is below")
        call("set", "policied", "--weight", "11", "--vram", "1G", code=1, says="96 MiB")
        call("run", "--reserve", "8ms/10ms", "--", "true", code=1, says="36.1 % are reserved")
        call("set", "policied", "--reserve", "none", "--cap", "none", "--kernel-timeout", "none", says="weight 9, priority 5, reserve none, cap none, VRAM 96 MiB, kernel timeout none")
        call("reset", "policied", "--process", "1")
        p.terminate()
    wait_until(lambda: "policied" not in tenants())
    with open(f"{DIR}/conf", encoding="utf-8") as f:
        saved = json.load(f)["tenants"]["policied"]
    assert saved == {"weight": 9, "vram": 96 << 20, "reserve": "6ms/16.6ms", "cap": 50, "kernel_timeout": "2s"}


def test_run_killed_takes_its_program_along():
    marker = f"{DIR}/pid"
    with subprocess.Popen([HSAVISOR, "run", "--", "sh", "-c", f"echo $$ > {marker}; exec sleep 60"], env=ENV) as p:
        wait_until(lambda: os.path.exists(marker) and os.path.getsize(marker))
        p.kill()
        p.wait(60)
    with open(marker, encoding="utf-8") as f:
        pid = int(f.read())
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"))


def test_killed_broker_and_daemon():
    out = json.loads(call("attach", "vm2", "--vram", "64M", "--json"))
    os.kill(out["broker_pid"], signal.SIGKILL)
    wait_until(lambda: "vm2" not in tenants())
    assert [v["state"] for v in json.loads(call("vm", "list", "--json"))] == ["dead"]
    call("attach", "vm2", "--vram", "64M")  # its name is free again
    os.kill(json.loads(call("status", "--json"))["pid"], signal.SIGKILL)
    wait_until(lambda: subprocess.run([HSAVISOR, "status"], env=ENV, capture_output=True, check=False).returncode == 3)
    call("vm", "stop", "vm2")  # the broker outlived the daemon, and ends
    call("--daemonize", program=HSAVISORD, says="ready")  # the dead one's socket is in nobody's way


def test_stop_and_stop_again():
    # Who stopped one daemon may start the next.
    for _ in range(20):
        call("stop")
        assert not os.path.exists(SOCKET) and not os.path.exists(SOCKET + ".lock")
        call("--daemonize", program=HSAVISORD, says="ready")
    call("stop")
    call("stop", code=3)


if __name__ == "__main__":
    processes.guard(DIR)
    try:
        tap.run(sys.modules[__name__])
    finally:
        processes.end(DIR)
