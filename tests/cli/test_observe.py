# SPDX-License-Identifier: MIT
"""top, metrics, faults and trace, with tenants that have no GPU but say what the test wants (observe_client.c)."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import time

from prometheus_client.openmetrics.parser import text_string_to_metric_families

BUILD, SRC, CLIENT = (os.path.abspath(a) for a in sys.argv[1:4])
sys.path.insert(0, f"{SRC}/tests/image")
from processes import wait_until  # pylint: disable=wrong-import-position
import processes as suite  # pylint: disable=wrong-import-position
import tap  # pylint: disable=wrong-import-position

DIR = tempfile.mkdtemp(prefix="hsavisor-observe-")
SOCKET = f"{DIR}/s.sock"
ENV = suite.environment(DIR, HSAVISOR_SOCKET=SOCKET, TERM="xterm", LC_ALL="C.UTF-8", TZ="UTC")
HSAVISOR, HSAVISORD = f"{BUILD}/hsavisor", f"{BUILD}/arbiter/hsavisord"
processes = []


def call(*args, code=0, says=""):
    r = subprocess.run([HSAVISOR, *args], env=ENV, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
    assert r.returncode == code, f"{args}: exit code {r.returncode}, not {code}: {r.stdout}{r.stderr}"
    assert says in r.stdout + r.stderr, f"{args}: '{says}' is not in: {r.stdout}{r.stderr}"
    return r.stdout


def start(*args, **kwargs):
    p = subprocess.Popen(args, env=ENV, text=True, **kwargs)  # pylint: disable=consider-using-with
    processes.append(p)
    return p


def start_daemon(*options):
    p = start(HSAVISORD, "--socket", SOCKET, "--vram", "4G", *options, stderr=subprocess.DEVNULL)
    wait_until(lambda: subprocess.run([HSAVISOR, "status"], env=ENV, capture_output=True, check=False).returncode == 0)
    return p


class Tenant:
    def __init__(self, name):
        self.p = start(CLIENT, name, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.p.stdout.readline() == "ok\n"

    def do(self, *words):
        self.p.stdin.write(" ".join(str(w) for w in words) + "\n")
        self.p.stdin.flush()
        assert self.p.stdout.readline() == "ok\n", f"{words}: {self.p.poll()}"

    def end(self):
        self.p.stdin.close()
        assert self.p.wait(60) == 0


def families(text):
    return {f.name: f for f in text_string_to_metric_families(text)}


def value(found, name, **labels):
    """The one sample of that name with these labels."""
    for f in found.values():
        for s in f.samples:
            if s.name == name and all(s.labels.get(k) == v for k, v in labels.items()):
                return s.value
    raise AssertionError(f"no {name} {labels}")


# ---------------------------------------------------------------- no daemon


def test_help_and_bad_usage():
    for command in ("top", "metrics", "faults", "trace"):
        call(command, "--help", says="Usage: hsavisor " + command)
        call(command, "--bogus", code=2)
    for args in (
        ["top", "x"], ["top", "-d", "0"], ["top", "-d", "x"], ["top", "-d", "nan"], ["top", "-n", "0"], ["top", "-n", "-1"], ["top", "--sort", "colour"],
        ["metrics", "x"], ["metrics", "--allow-remote"], ["metrics", "--listen", "9090"], ["metrics", "--listen", "localhost:9090"],
        ["metrics", "--listen", "127.0.0.1:65536"], ["metrics", "--listen", "127.0.0.1:"], ["metrics", "--listen", "[::1:1"], ["metrics", "--listen", "127.0.0.1:+5"],
        ["faults", "a/b"], ["faults", "a", "b"], ["trace", "--seconds", "0"], ["trace", "--seconds", "x"], ["trace", "a/b"],
    ):  # fmt: skip
        call(*args, code=2)
    for where in ("0.0.0.0:0", "[::]:0", "192.0.2.1:9090"):
        call("metrics", "--listen", where, code=2, says="loopback")


def test_no_daemon():
    for args in (["top"], ["top", "--json"], ["metrics"], ["faults"], ["faults", "--follow"], ["trace", "-o", f"{DIR}/none.json"]):
        call(*args, code=3, says="hsavisord is not running")
    assert not os.path.exists(f"{DIR}/none.json")


# ---------------------------------------------------------------- metrics


def test_the_parser_finds_mistakes():
    """The tests below mean something only if it does."""
    good = "# TYPE a counter\n# UNIT a seconds\n"
    for text in ("# TYPE a counter\na_total 1\n", "# TYPE a counter\na 1\n# EOF\n", good + "a_total 1\n# EOF\n", '# TYPE a gauge\na{b="c} 1\n# EOF\n'):
        try:
            families(text)
        except ValueError:
            continue
        raise AssertionError(f"accepted: {text}")


def test_metrics_without_tenants():
    start_daemon()
    f = families(call("metrics"))
    assert value(f, "hsavisor_up") == 1
    assert value(f, "hsavisor_tenants") == 0
    assert value(f, "hsavisor_gpu_vram_bytes", gpu="0") == 4 << 30
    assert not [n for n in f if n.startswith("hsavisor_tenant_")]


def test_metrics_are_what_list_says():
    a, b = Tenant("a"), Tenant("b.c-d_e")
    a.do("count", "dispatches", 12345678901234)
    a.do("count", "gpu_ns", 1500000000)
    a.do("count", "jit_ns", 250000000)
    a.do("count", "vm_exits", 7)
    a.do("count", "queues", 3)
    b.do("count", "backlog", 77)
    b.do("count", "page_requests", 4711)
    b.do("count", "page_waits", 123)
    b.do("count", "paged", 5 << 20)
    b.do("program", 'x"y\\z')
    f = families(call("metrics"))
    assert value(f, "hsavisor_tenant_dispatches_total", tenant="a", kind="vm") == 12345678901234
    assert value(f, "hsavisor_tenant_gpu_run_seconds_total", tenant="a") == 1.5
    assert value(f, "hsavisor_tenant_jit_seconds_total", tenant="a") == 0.25
    assert value(f, "hsavisor_tenant_vm_exits_total", tenant="a") == 7
    assert value(f, "hsavisor_tenant_queues", tenant="a") == 3
    assert value(f, "hsavisor_tenant_backlog_packets", tenant="b.c-d_e") == 77
    assert value(f, "hsavisor_tenant_page_requests_total", tenant="b.c-d_e") == 4711
    assert value(f, "hsavisor_tenant_page_waits_total", tenant="b.c-d_e") == 123
    assert value(f, "hsavisor_tenant_paged_bytes", tenant="b.c-d_e") == 5 << 20
    assert value(f, "hsavisor_tenant_page_requests_total", tenant="a") == 0
    assert value(f, "hsavisor_tenant_info", tenant="b.c-d_e", program='x"y\\z') == 1
    for family in f.values():
        assert family.documentation, family.name
        if family.name.endswith(("_bytes", "_seconds")):
            assert family.unit in family.name, family.name
    # Each number of list is there, for each tenant, by whatever name.
    rows = json.loads(call("list", "--json"))
    values = {}
    for family in f.values():
        for s in family.samples:
            if "tenant" in s.labels and isinstance(s.value, (int, float)):
                values.setdefault(s.labels["tenant"], []).append(s.value)
    def numbers(o):
        for k, v in o.items():
            if isinstance(v, dict):
                yield from numbers(v)
            elif isinstance(v, (int, float)) and not isinstance(v, bool) and k not in ("id", "pid"):
                yield k, v
    # Times go on while two questions are asked.
    for row in rows:
        for key, number in numbers(row):
            assert any(abs(v - number) < 1e-6 or abs(v * 1e9 - number) < 60e9 and key.endswith("_ns") for v in values[row["name"]]), (key, number)
    a.end()
    b.end()


def http(where, text, family=socket.AF_INET):
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(60)
        s.connect(where)
        s.sendall(text)
        answer = b""
        while True:
            more = s.recv(65536)
            if not more:
                return answer.decode()
            answer += more


GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def check_http(where, family):
    a = http(where, GET, family)
    head, body = a.split("\r\n\r\n", 1)
    assert head.startswith("HTTP/1.1 200 "), head
    assert "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8" in head.lower(), head
    assert value(families(body), "hsavisor_up") == 1
    assert http(where, GET.replace(b"/metrics", b"/"), family).startswith("HTTP/1.1 404 ")
    assert http(where, GET.replace(b"/metrics", b"/metrics/../x"), family).startswith("HTTP/1.1 404 ")
    assert http(where, GET.replace(b"GET", b"DELETE"), family).startswith("HTTP/1.1 405 ")
    a = http(where, b"POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", family)
    assert a.startswith("HTTP/1.1 405 "), a
    a = http(where, GET.replace(b"GET", b"HEAD"), family)
    assert a.startswith("HTTP/1.1 200 ") and not a.split("\r\n\r\n", 1)[1], a
    # The server may wait for more of a request, or close: others are served meanwhile.
    junk = []
    for text in (b"\r\n\r\n", b"\x00\xff" * 100 + b"\r\n\r\n", b"GET " + b"/a" * 20000 + b" HTTP/1.1\r\n\r\n"):
        junk.append(socket.socket(family, socket.SOCK_STREAM))
        junk[-1].connect(where)
        with contextlib.suppress(OSError):
            junk[-1].sendall(text)
        assert http(where, GET, family).startswith("HTTP/1.1 200 ")
    for s in junk:
        s.close()
    assert http(where, GET, family).startswith("HTTP/1.1 200 ")


def serve(where):
    p = start(HSAVISOR, "metrics", "--listen", where, stdout=subprocess.PIPE)
    line = p.stdout.readline()
    assert line.startswith("serving "), line
    return p, line


def test_http_on_loopback():
    p, line = serve("127.0.0.1:0")
    port = int(re.search(r"http://127\.0\.0\.1:(\d+)/metrics", line).group(1))
    check_http(("127.0.0.1", port), socket.AF_INET)
    # Clients that say nothing take no one's place.
    quiet = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
    assert http(("127.0.0.1", port), GET).startswith("HTTP/1.1 200 ")
    for s in quiet:
        s.close()
    p.send_signal(signal.SIGINT)
    assert p.wait(60) == 0


def test_http_on_loopback_v6():
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as s:
        try:
            s.bind(("::1", 0))
        except OSError as e:
            raise tap.Skip(f"no IPv6 here: {e}") from e
    p, line = serve("[::1]:0")
    check_http(("::1", int(re.search(r"\[::1\]:(\d+)/", line).group(1))), socket.AF_INET6)
    p.terminate()
    assert p.wait(60) == 0


def test_http_on_a_unix_socket():
    path = f"{DIR}/metrics.sock"
    p, _ = serve("unix:" + path)
    assert os.stat(path).st_mode & 0o777 == 0o600
    check_http(path, socket.AF_UNIX)
    call("metrics", "--listen", "unix:" + path, code=1, says="in use")
    p.kill()
    p.wait(60)
    assert os.path.exists(path)
    p, _ = serve("unix:" + path)  # what a killed one left is no hindrance
    p.send_signal(signal.SIGINT)
    assert p.wait(60) == 0
    assert not os.path.exists(path)
    with open(f"{DIR}/file", "w", encoding="utf-8"):
        pass
    call("metrics", "--listen", f"unix:{DIR}/file", code=1, says="in use")
    assert os.path.exists(f"{DIR}/file")


# ---------------------------------------------------------------- top


def top_json(*args):
    return [json.loads(line) for line in call("top", "--json", *args).splitlines()]


def test_top_without_tenants():
    assert "no tenants" in call("top", "-n", "1", "-d", "0.1")
    assert top_json("-n", "1", "-d", "0.1")[0]["tenants"] == []


def test_top_shows_rates():
    a = Tenant("busy")
    p = start(HSAVISOR, "top", "--json", "-n", "3", "-d", "0.5", stdout=subprocess.PIPE)
    a.do("count", "dispatches", 1000)
    p.stdout.readline()
    a.do("count", "dispatches", 2000)
    a.do("count", "gpu_ns", 250000000)
    a.do("count", "vm_exits", 50)
    a.do("count", "page_requests", 30)
    a.do("count", "paged", 4096)
    o = json.loads(p.stdout.readline())
    t, seconds = o["tenants"][0], o["interval_seconds"]
    assert 0.4 < seconds < 2, seconds
    assert abs(t["dispatches_per_second"] * seconds - 1000) < 2, t
    assert abs(t["vm_exits_per_second"] * seconds - 50) < 2, t
    assert abs(t["cores"] * seconds - 0.25) < 0.01, t
    assert abs(t["page_requests_per_second"] * seconds - 30) < 2, t
    assert (t["page_requests"], t["paged_bytes"]) == (30, 4096), t
    # Short kernels now and then are something, too.
    a.do("count", "gpu_ns", 250000000 + 100000)
    o = json.loads(p.stdout.readline())
    assert o["tenants"][0]["dispatches_per_second"] == 0
    assert 0 < o["tenants"][0]["cores"] < 0.001, o["tenants"]
    assert p.wait(60) == 0
    a.end()


def test_top_sorts():
    names = ("t1", "t2", "t3")
    tenants = [Tenant(n) for n in names]
    for i, (t, faults, queues) in enumerate(zip(tenants, (5, 9, 7), (3, 2, 1))):
        t.do("count", "faults", faults)
        t.do("count", "queues", queues)
        t.do("count", "backlog", (i + 1) % 3)
    def order(*args):
        return [t["name"] for t in top_json("-n", "1", "-d", "0.1", *args)[0]["tenants"]]
    assert order("--sort", "faults") == ["t2", "t3", "t1"]
    assert order("--sort", "faults", "--reverse") == ["t1", "t3", "t2"]
    assert order("--sort", "queues") == ["t1", "t2", "t3"]
    assert order("--sort", "packets") == ["t2", "t1", "t3"]
    assert order("--sort", "name", "--reverse") == ["t3", "t2", "t1"]
    lines = call("top", "-n", "1", "-d", "0.1", "--sort", "faults").splitlines()
    assert [line.split()[0] for line in lines[-3:]] == ["t2", "t3", "t1"], lines
    assert "\x1b" not in "".join(lines)
    for t in tenants:
        t.end()


class Screen:
    """hsavisor top on a terminal of its own."""

    def __init__(self, *args, lines=24, columns=120):
        self.text = self.all = ""
        self.master, self.slave = pty.openpty()
        self.resize(lines, columns)
        self.before = termios.tcgetattr(self.slave)
        self.p = start(HSAVISOR, "top", *args, stdin=self.slave, stdout=self.slave, stderr=self.slave, preexec_fn=self.child)

    def child(self):
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def resize(self, lines, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read(self, seconds=0.3):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([self.master], [], [], 0.05)[0]:
                try:
                    more = os.read(self.master, 65536).decode(errors="replace")
                    self.text += more
                    self.all += more
                except OSError:
                    break
        return self.text

    def wait_for(self, what, seconds=60):
        wait_until(lambda: what in self.read(0.1), seconds)

    def type(self, keys):
        os.write(self.master, keys.encode())

    def check_end(self, code=0):
        wait_until(lambda: self.p.poll() is not None or not self.read(0.05) and False)
        self.read()
        assert self.p.returncode == code, self.p.returncode
        assert termios.tcgetattr(self.slave) == self.before, "the terminal is not as before"
        assert self.all.rindex("\x1b[?1049l") > self.all.index("\x1b[?1049h"), "still on the other screen"
        assert self.all.rindex("\x1b[?25h") > self.all.rindex("\x1b[?25l"), "no cursor"
        os.close(self.master)
        os.close(self.slave)


def test_top_on_a_terminal():
    s = Screen("-d", "0.2")
    s.wait_for("No tenants")
    assert termios.tcgetattr(s.slave) != s.before
    a = Tenant("on-screen")
    s.wait_for("on-screen")
    s.type("h")
    s.wait_for("sort by faults")
    s.type("hf")
    s.wait_for("by faults")
    s.type("r")
    s.wait_for("smallest first")
    s.type("\x1b[B\x1b[A\x1b[6~\x1b[5~ ")
    s.type("q")
    s.check_end()
    a.end()


def test_top_resizes():
    tenants = [Tenant(f"tenant-{i}") for i in range(8)]
    s = Screen("-d", "0.2", "--sort", "name")
    s.wait_for("tenant-7")
    for lines, columns in ((8, 60), (3, 20), (1, 5), (2, 200), (50, 150)):
        s.resize(lines, columns)
        os.kill(s.p.pid, signal.SIGWINCH)
        s.read(0.4)
        assert s.p.poll() is None, s.text
    s.text = ""
    s.type("h h")
    s.wait_for("tenant-7")
    s.resize(8, 120)
    os.kill(s.p.pid, signal.SIGWINCH)
    s.read(0.4)
    s.text = ""
    s.type("\x1b[6~\x1b[6~\x1b[6~\x1b[6~")  # the rows below
    s.wait_for("tenant-7")
    s.type("q")
    s.check_end()
    for t in tenants:
        t.end()


def test_top_ends_by_signals():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        s = Screen()
        s.wait_for("No tenants")
        s.p.send_signal(number)
        s.check_end()
    s = Screen()
    s.wait_for("No tenants")
    s.type("\x03")
    s.check_end()
    s = Screen("-n", "2", "-d", "0.1")
    s.check_end()


def test_top_terminal_hung_up():
    s = Screen()
    s.wait_for("No tenants")
    os.close(s.slave)
    os.close(s.master)
    s.p.wait(60)


def test_top_without_a_known_terminal():
    old = ENV["TERM"]
    ENV["TERM"] = "no-such-terminal"
    s = Screen("-n", "1", "-d", "0.1")
    ENV["TERM"] = old
    s.wait_for("no tenants")
    assert s.p.wait(60) == 0
    assert "\x1b" not in s.text


def test_top_daemon_restarts():
    call("stop")
    daemon = start_daemon()
    lines = start(HSAVISOR, "top", "-d", "0.2", stdout=subprocess.PIPE)
    objects = start(HSAVISOR, "top", "-d", "0.2", "--json", stdout=subprocess.PIPE)
    s = Screen("-d", "0.2")
    s.wait_for("No tenants")
    def read_until(p, what):
        for _ in range(200):
            line = p.stdout.readline()
            if what in line:
                return line
        raise AssertionError(f"'{what}' did not come")
    read_until(lines, "no tenants")
    # In the middle of a request: then a lost connection is told first, and of the line that follows the terminal gets only what differs.
    daemon.send_signal(signal.SIGSTOP)
    time.sleep(0.5)
    daemon.kill()
    daemon.wait()
    s.wait_for("is not running (no answer")
    read_until(lines, "hsavisord is not running")
    assert json.loads(read_until(objects, "not running"))["ok"] is False
    start_daemon()
    a = Tenant("reborn")
    s.text = ""
    s.wait_for("reborn")
    read_until(lines, "reborn")
    assert json.loads(read_until(objects, "reborn"))["tenants"][0]["dispatches_per_second"] == 0
    s.type("q")
    s.check_end()
    for p in (lines, objects):
        p.terminate()
        assert p.wait(60) == 0
    a.end()


# ---------------------------------------------------------------- faults


def faults(*args):
    return json.loads(call("faults", "--json", *args))


def test_faults_are_told():
    assert faults() == []
    a = Tenant("crashes")
    a.do("report", 2)
    f = wait_until(lambda: len(faults()) == 2 and faults())
    assert f[0]["tenant"] == "crashes" and f[0]["kind"] == "vm" and f[0]["process"] == "program" and f[0]["pid"] == 4242
    assert f[0]["what"] == "memory fault" and f[0]["address"] == 0xDEAD0000 and f[0]["access"] == "read only"
    assert f[0]["kernel"] == "vector_add" and f[0]["kernel_descriptor"] == 0x7000
    assert f[1]["what"] == "illegal instruction" and f[1]["code"] == 4 and f[1]["queue"] == 1 and "address" not in f[1]
    assert abs(f[0]["time_ns"] / 1e9 - time.time()) < 60
    assert f[1]["number"] > f[0]["number"]
    assert re.search(r"crashes: program\[4242\] queue 0: memory fault at 0xdead0000 \(read only\) in kernel vector_add\n", call("faults"))
    assert len(faults("crashes")) == 2 and faults("other") == []
    a.end()
    assert len(faults()) == 2  # they outlive their tenant


def test_no_fault_is_overlooked():
    """The last report of a burst may come while the one before is being read."""
    for i in range(50):
        a = Tenant(f"burst{i}")
        a.do("report", 5)
        wait_until(lambda: len(faults(f"burst{i}")) == 5)  # pylint: disable=cell-var-from-loop
        a.end()


def test_faults_follow():
    p = start(HSAVISOR, "faults", "--follow", "--json", "follows", stdout=subprocess.PIPE)
    a = Tenant("follows")
    a.do("report", 1)
    assert json.loads(p.stdout.readline())["tenant"] == "follows"
    a.do("report", 1)
    assert json.loads(p.stdout.readline())["number"] > 2
    p.send_signal(signal.SIGINT)
    assert p.wait(60) == 0
    a.end()


def test_faults_of_a_liar():
    a = Tenant("liar")
    time.sleep(1.1)
    a.do("report-evil")
    f = wait_until(lambda: faults("liar"))[0]
    assert all(32 <= ord(c) < 127 for c in f["process"] + f["kernel"]), f
    assert f["kernel"] == '"' * 183
    assert abs(f["time_ns"] / 1e9 - time.time()) < 60
    a.do("jump", 1000000)  # a million that never were
    a.do("report", 1)
    last = wait_until(lambda: len(faults("liar")) > 1 and faults("liar"))[-1]
    assert sum(x.get("lost_before", 0) for x in faults("liar")) > 900000, last
    a.end()


def test_a_flood_of_faults():
    """The log keeps the newest 1000; a tenant is heard 20 times a second and drives out its own first."""
    quiet = Tenant("quiet")
    quiet.do("report", 3)
    wait_until(lambda: len(faults("quiet")) == 3)
    loud = [Tenant(f"loud{i}") for i in range(25)]
    for _ in range(3):
        for t in loud:
            t.do("report", 31)
        time.sleep(1.1)
    wait_until(lambda: len(faults()) == 1000, why="the log has room")
    f = faults()
    per = [len([x for x in f if x["tenant"] == f"loud{i}"]) for i in range(25)]
    assert len(f) == 1000, len(f)
    assert max(per) <= 60, per
    assert len(faults("quiet")) == 3
    assert [x["number"] for x in f] == sorted(x["number"] for x in f)
    for t in [quiet, *loud]:
        t.end()


# ---------------------------------------------------------------- trace


def check_trace(path):
    """That it obeys the Trace Event Format. Returns the events but metadata, and names of processes and threads."""
    with open(path, encoding="utf-8") as f:
        trace = json.load(f)
    assert trace["displayTimeUnit"] in ("ms", "ns")
    assert isinstance(trace["otherData"]["lost_events"], int)
    events, names = [], {}
    for e in trace["traceEvents"]:
        assert isinstance(e["name"], str) and e["name"]
        assert isinstance(e["pid"], int) and isinstance(e["tid"], int)
        assert e["ph"] in ("X", "i", "C", "M"), e
        if e["ph"] == "M":
            assert e["name"] in ("process_name", "thread_name", "process_sort_index", "thread_sort_index"), e
            if e["name"] == "process_name":
                names[e["pid"]] = e["args"]["name"]
            elif e["name"] == "thread_name":
                names[e["pid"], e["tid"]] = e["args"]["name"]
            continue
        assert e["ts"] >= 0
        if e["ph"] == "X":
            assert e["dur"] >= 0
        if e["ph"] == "i":
            assert e["s"] in ("g", "p", "t")
        if e["ph"] == "C":
            assert all(isinstance(v, (int, float)) for v in e["args"].values())
        else:
            assert (e["pid"], e["tid"]) in names, e
        assert e["pid"] in names, e
        events.append(e)
    # On a thread spans follow or enclose each other.
    spans = {}
    for e in events:
        if e["ph"] == "X":
            spans.setdefault((e["pid"], e["tid"]), []).append((round(e["ts"] * 1000), -round(e["dur"] * 1000)))
    return trace, events, names, spans


def check_nesting(spans):
    for track in spans.values():
        stack = []
        for begin, minus in sorted(track):
            while stack and stack[-1] <= begin:
                stack.pop()
            assert not stack or begin - minus <= stack[-1], track
            stack.append(begin - minus)


def test_the_check_of_traces_finds_mistakes():
    def bad(change):
        event = {"ph": "X", "name": "a", "pid": 1, "tid": 1, "ts": 1.5, "dur": 2}
        meta = [{"ph": "M", "name": "process_name", "pid": 1, "tid": 0, "args": {"name": "p"}}, {"ph": "M", "name": "thread_name", "pid": 1, "tid": 1, "args": {"name": "t"}}]
        trace = {"displayTimeUnit": "ms", "traceEvents": meta + [event, dict(event, ts=3)], "otherData": {"lost_events": 0}}
        change(trace, event)
        path = f"{DIR}/bad.json"
        with open(path, "w", encoding="utf-8") as f:
            json.dump(trace, f)
        try:
            check_nesting(check_trace(path)[3])
        except (AssertionError, KeyError):
            return
        raise AssertionError("accepted")
    bad(lambda t, e: None)  # overlapping
    bad(lambda t, e: e.update(dur=-1))
    bad(lambda t, e: e.update(ph="Z"))
    bad(lambda t, e: e.update(tid=2))
    bad(lambda t, e: e.pop("ts"))


def record(*args, code=0):
    path = f"{DIR}/trace.json"
    p = start(HSAVISOR, "trace", "-o", path, *args, stderr=subprocess.PIPE)
    assert "recording" in p.stderr.readline()
    def end(how=signal.SIGINT):
        if how:
            p.send_signal(how)
        assert p.wait(60) == code
        return path, p.stderr.read()
    return end


def test_trace_of_two_tenants():
    a = Tenant("one")
    end = record()
    a.do("wait", "on")
    a.do("trace", 70)
    b = Tenant("two")  # one that comes later
    b.do("wait", "on")
    b.do("trace", 10)
    b.end()  # and goes
    time.sleep(0.3)
    path, said = end()
    a.do("wait", "off")
    trace, events, names, spans = check_trace(path)
    check_nesting(spans)
    assert "0 lost" in said and trace["otherData"]["lost_events"] == 0
    pids = {name: pid for pid, name in names.items() if isinstance(pid, int)}
    one, two = pids["one (vm)"], pids["two (vm)"]
    mine = [e for e in events if e["pid"] == one]
    dispatches = [e for e in mine if e.get("cat") == "dispatch"]
    assert len(dispatches) == 70 and len([e for e in mine if e.get("cat") == "copy"]) == 70
    assert len([e for e in mine if e.get("cat") == "turn" and e["ph"] == "X"]) == 70
    assert len([e for e in mine if e["name"] == "preempted"]) == 35
    assert {e["name"] for e in dispatches} >= {"kernel_1000_of_4242", "0" * 182 + "7", "kernel_3000_of_4242", "kernel 0x1008"}, {e["name"] for e in dispatches}
    assert all(e["args"]["workgroups"] == 64 and e["args"]["run_us"] == 12.345 for e in dispatches)
    assert {names[one, e["tid"]] for e in dispatches} == {"process 4242 queue 0", "process 4242 queue 1"}
    assert [e["args"]["address"] for e in mine if e["name"] == "memory fault"] == ["0xdead0000"]
    assert [e["args"]["kernel"] for e in mine if e["name"] == "queue error: illegal instruction"] == ["kernel_1000_of_4242"]
    assert len([e for e in events if e["pid"] == two and e.get("cat") == "dispatch"]) == 10
    a.end()


def test_trace_of_one_tenant():
    a, b = Tenant("one"), Tenant("two")
    end = record("two")
    for t in (a, b):
        t.do("wait", "on")
        t.do("trace", 5)
    path, _ = end(signal.SIGTERM)
    _, events, names, _ = check_trace(path)
    assert [n for p, n in names.items() if isinstance(p, int)] == ["two (vm)"], (names, events)
    assert len([e for e in events if e.get("cat") == "dispatch"]) == 5
    a.end()
    b.end()


def test_trace_ends_by_itself():
    begun = time.monotonic()
    path, said = record("--seconds", "0.5")(None)
    assert 0.4 < time.monotonic() - begun < 60
    assert check_trace(path)[1] == [] and "0 events of 0 executors" in said
    out = call("trace", "-o", "-", "--seconds", "0.1")
    assert json.loads(out)["traceEvents"] == []
    call("trace", "-o", f"{DIR}/no/such", code=1, says="No such file")


def test_two_traces_at_once():
    a = Tenant("one")
    first = record()
    a.do("wait", "on")
    a.do("trace", 3)
    second = start(HSAVISOR, "trace", "-o", f"{DIR}/second.json", stderr=subprocess.PIPE)
    second.stderr.readline()
    time.sleep(0.3)
    a.do("trace", 4)
    time.sleep(0.3)
    second.kill()  # leaves nothing switched on
    second.wait()
    path, _ = first()
    dispatches = [e for e in check_trace(path)[1] if e.get("cat") == "dispatch"]
    assert len(dispatches) == 7 and not [e for e in dispatches if e["name"].startswith("kernel 0x") and e["name"] != "kernel 0x1008"], dispatches
    a.do("wait", "off")
    a.end()


def test_lost_events_are_counted():
    a = Tenant("one")
    end = record()
    a.do("wait", "on")
    time.sleep(0.5)  # these began some time ago
    a.do("trace", 200000)  # much faster than any GPU
    path, said = end()
    trace, events, _, _ = check_trace(path)
    lost = int(re.search(r"(\d+) lost\n", said).group(1))
    assert lost > 0 and trace["otherData"]["lost_events"] == lost
    told = [e for e in events if e["ph"] != "C" and e["name"] != "preempted"]
    # The rest is there, but for the records of names.
    assert 600002 <= len(told) + lost <= 600002 + 40, (len(told), lost)
    a.end()


def test_trace_of_a_liar():
    a = Tenant("liar")
    end = record()
    a.do("wait", "on")
    a.do("trace-evil")
    path, said = end()
    trace, events, names, _ = check_trace(path)
    assert "not plausible" in said
    assert len([n for n in names if isinstance(n, tuple)]) <= 4096
    assert trace["otherData"]["lost_events"] >= 1 << 39
    assert events
    a.end()


def test_trace_daemon_vanishes():
    end = record(code=1)
    a = Tenant("orphan")
    a.do("wait", "on")
    a.do("trace", 5)
    time.sleep(0.2)
    daemon = [p for p in processes if p.args[0] == HSAVISORD and p.poll() is None][0]
    daemon.kill()
    daemon.wait()
    path, said = end(None)
    assert "went away" in said
    assert len([e for e in check_trace(path)[1] if e.get("cat") == "dispatch"]) == 5


def weights():
    return [(row["gpu"], row["weight"]) for row in json.loads(call("list", "--json"))]


def test_a_tenant_with_two_gpus():
    start_daemon("--gpu", "gfx90a", "--gpu", "gfx900")
    a = Tenant("both")
    a.do("join", 1)
    call("set", "both", "--gpu", "1", "--weight", "300")
    assert weights() == [(0, 100), (1, 300)]
    assert json.loads(call("set", "both", "--gpu", "1", "--json"))["policy"]["weight"] == 300
    assert "weight 100" in call("set", "both", "--gpu", "0")
    call("set", "both", "--weight", "7")
    assert weights() == [(0, 7), (1, 7)]
    call("set", "both", "--gpu", "2", code=1, says="no number of a GPU")
    call("reset", "both", "--gpu", "1")
    a.end()


def test_trace_of_a_tenant_with_two_gpus():
    a = Tenant("both")
    end = record()
    a.do("wait", "on")
    a.do("trace", 3)
    a.do("join", 1)
    a.do("wait", "on")
    a.do("trace", 4)
    time.sleep(0.3)
    _, events, names, _ = check_trace(end()[0])
    pids = {name: pid for pid, name in names.items() if isinstance(pid, int)}
    for name, n in (("both:0 (vm)", 3), ("both:1 (vm)", 4)):
        assert len([e for e in events if e["pid"] == pids[name] and e.get("cat") == "dispatch"]) == n
        assert [e for e in events if e["pid"] == pids[name] and e["ph"] == "C" and e["name"] == "VRAM"]
    a.end()
    call("stop", "--force")


def test_metrics_daemon_vanishes():
    p, line = serve("127.0.0.1:0")
    where = ("127.0.0.1", int(re.search(r":(\d+)/metrics", line).group(1)))
    def up():
        return value(families(http(where, GET).split("\r\n\r\n", 1)[1]), "hsavisor_up")
    assert up() == 0
    start_daemon()
    assert up() == 1
    p.send_signal(signal.SIGINT)
    assert p.wait(60) == 0
    call("stop", "--force")


def alone(test):
    """Ends what a test leaves, also one that failed, but the daemon."""

    def run():
        try:
            test()
        finally:
            for p in processes:
                if p.poll() is None and p.args[0] != HSAVISORD:
                    p.kill()
                    p.wait()

    return run


for test_name in [n for n in globals() if n.startswith("test_")]:
    globals()[test_name] = alone(globals()[test_name])
suite.guard(DIR)
try:
    tap.run(sys.modules[__name__])
finally:
    suite.end(DIR)
