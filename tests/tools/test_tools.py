# SPDX-License-Identifier: MIT
"""hsavisor disasm and exec-kernel as a person types them: bad input first, then results that are known."""

import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

BUILD, SRC = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
GFX900, GFX90A, UNIFORM, LINKED = sys.argv[3:7]
sys.path.insert(0, f"{SRC}/tests/image")
from processes import cpu_seconds, wait_until  # pylint: disable=wrong-import-position
import tap  # pylint: disable=wrong-import-position

HSAVISOR = f"{BUILD}/hsavisor"
DIR = tempfile.mkdtemp(prefix="hsavisor-tools-")
ENV = dict(os.environ, HSAVISOR_JIT_STORE="", HSAVISOR_LOG="all=error")
ADD = ["--arg", "buffer:4096", "--arg", "buffer:4096=fill:f32:1.5", "--arg", "buffer:4096=fill:f32:2", "--arg", "u32:1024"]


def call(*args, code=0, says=()):
    r = subprocess.run([HSAVISOR, *args], env=ENV, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
    assert r.returncode == code, f"{args}: exit code {r.returncode}, not {code}: {r.stdout}{r.stderr}"
    for text in [says] if isinstance(says, str) else says:
        assert text in r.stdout + r.stderr, f"{args}: '{text}' is not in: {r.stdout}{r.stderr}"
    return r.stdout


def run(kernel, *args, file=GFX90A, **more):
    return call("exec-kernel", file, kernel, *args, **more)


def dump(kernel, *args, form="u32", file=GFX90A):
    """What the buffer of argument 0 holds after the kernel."""
    path = f"{DIR}/dump"
    run(kernel, *args, "--dump", f"0:{path}:{form}", file=file)
    with open(path, encoding="ascii") as f:
        return [float(v) if form[0] == "f" else int(v) for v in f.read().split()]


def written(name, data):
    path = f"{DIR}/{name}"
    with open(path, "wb") as f:
        f.write(data)
    return path


def contents(path):
    with open(path, "rb") as f:
        return f.read()


def test_help():
    call("disasm", "--help", says="Usage: hsavisor disasm")
    call("exec-kernel", "--help", says="Usage: hsavisor exec-kernel")


def test_linked_of_several_objects():
    """Each brings a note with its kernels."""

    def kernels(path):
        return {k["name"]: k for k in json.loads(call("disasm", "--json", "--headers", path))["code_objects"][0]["kernels"]}

    one, both = kernels(GFX90A), kernels(LINKED)
    assert set(both) == set(one) | {"more_add", "more_set"}, both.keys()
    for name, k in both.items():
        assert k["metadata"] and k["code_bytes"] > 0, k
        if name in one:
            assert k["arguments"] == one[name]["arguments"], (k, one[name])
    assert dump("more_add", "--grid", "64", "--arg", "buffer:256=fill:u32:5", "--arg", "u32:7", file=LINKED) == [12] * 64


def test_bad_usage():
    for args in ([], [GFX90A, "add", "more"], ["--target", "gfx803", GFX90A], ["--bogus", GFX90A]):
        call("disasm", *args, code=2)
    for args in (
        [],
        [GFX90A],
        [GFX90A, "add"],
        [GFX90A, "add", "--grid", "0"],
        [GFX90A, "add", "--grid", "x"],
        [GFX90A, "add", "--grid", "1,2,3,4"],
        [GFX90A, "add", "--grid", "-1"],
        [GFX90A, "add", "--grid", "4294967296"],
        [GFX90A, "add", "--grid", "64", "--group", "1025"],
        [GFX90A, "add", "--grid", "64", "--group", "32,33"],
        [GFX90A, "add", "--grid", "64", "--group", "65536,65536"],
        [GFX90A, "add", "--grid", "64", "--threads", "0"],
        [GFX90A, "add", "--grid", "64", "--repeat", "x"],
        [GFX90A, "add", "--grid", "64", "--jit", "fast"],
        [GFX90A, "add", "--grid", "64", "--lds", "65K"],
        [GFX90A, "add", "--grid", "64", "--trace-wave", "0"],
        [GFX90A, "add", "--grid", "64", "--trace-wave", "0,0,0:16"],
    ):
        call("exec-kernel", *args, code=2)


def test_bad_arguments():
    run("add", "--grid", "64", code=2, says=["takes 4 arguments, not 0", "global_buffer"])
    run("add", "--grid", "64", *ADD, "--arg", "u32:1", code=2, says="takes 4 arguments, not 5")
    for arg, says in (
        ("u32:", "is not a u32"),
        ("u32:-1", "is not a u32"),
        ("u32:4294967296", "is not a u32"),
        ("u32:5x", "is not a u32"),
        ("u8:256", "is not a u8"),
        ("i8:-129", "is not a i8"),
        ("f32:one", "is not a f32"),
        ("u64:1", "has 4 bytes of uint, not 8"),
        ("buffer:0", "bad size"),
        ("lds:x", "bad size"),
        ("bytes:123", "hexadecimal"),
        ("int:1", "write u32:5"),
        ("5", "write u32:5"),
    ):
        run("add", "--grid", "64", *ADD[:6], "--arg", arg, code=2, says=["argument 3", says])
    run("add", "--grid", "64", "--arg", "u32:1", *ADD[2:], code=2, says="argument 0 (out) is a buffer")
    run("add", "--grid", "64", "--arg", "buffer:64=fill:f32:x", *ADD[2:], code=2, says="bad value")
    run("add", "--grid", "64", "--arg", f"buffer:64={DIR}/none", *ADD[2:], code=1, says="No such file")
    run("local_sum", "--grid", "64", "--arg", "buffer:64", "--arg", "u32:1", "--arg", "lds:64", code=2, says="is in LDS")
    for text in ("3", "9", "x", "0:out:u7"):
        run("add", "--grid", "64", *ADD, "--dump", text, code=2, says="--dump")
    run("add", "--grid", "64", *ADD, "--lds", "64K", "--arg", "u32:1", code=2)
    run("local_sum", "--grid", "64", "--arg", "buffer:64", "--arg", "lds:64K", "--arg", "lds:64", code=1, says="64 KiB of LDS")


def test_bad_shape():
    run("add", "--grid", "100", "--group", "64", *ADD, file=UNIFORM, code=2, says="not a multiple")
    run("required", "--grid", "64", "--group", "64", "--arg", "buffer:4096", code=2, says="requires work-groups of 8,2,1")
    run("add", "--grid", "1024", "--group", "512", *ADD, code=2, says="at most 256")
    run("add", "--grid", "4294967295,4294967295", "--group", "1", *ADD, code=2, says="2^32")


def test_bad_files():
    good = contents(GFX90A)
    host = "/bin/true"
    wrong = bytearray(good)
    wrong[48] = 0x30  # e_flags: another GPU
    for path, says in (
        (f"{DIR}/none", "No such file"),
        (DIR, "not a regular file"),
        (written("empty", b""), "empty"),
        (written("text", b"hello, this is no code object at all"), "neither an ELF"),
        (written("short", good[:20]), "truncated"),
        (written("machine", bytes(wrong)), "not supported"),
        (host, "no AMDGPU code object"),
        (written("compressed", b"CCOB" + bytes(100)), "compressed"),
        (written("bundle", b"__CLANG_OFFLOAD_BUNDLE__" + struct.pack("<Q", 1)), "truncated"),
        (written("bundle2", b"__CLANG_OFFLOAD_BUNDLE__" + struct.pack("<QQQQ", 1, 10, 1 << 63, 4) + b"gfx9"), "beyond its end"),
    ):
        call("disasm", path, code=1, says=says)
        call("exec-kernel", path, "add", "--grid", "64", code=1, says=says)
    call("disasm", "--target", "gfx900", GFX90A, code=1, says="no code object for gfx900")
    call("exec-kernel", GFX90A, "add", "--grid", "64", "--target", "gfx900", code=1, says="is code for gfx90a")
    call("disasm", GFX90A, "nothing", code=4, says=["no kernel 'nothing'", "local_sum"])
    run("nothing", "--grid", "64", code=4, says=["no kernel 'nothing'", "local_sum"])


def test_truncated_and_corrupt_objects():
    """Whatever is cut off or flipped: an exit code, not a signal."""
    good = contents(GFX90A)
    for size in list(range(0, 1200, 60)) + list(range(1200, len(good), max(1, len(good) // 25))):
        r = subprocess.run([HSAVISOR, "disasm", "--headers", written("cut", good[:size])], env=ENV, capture_output=True, timeout=30, check=False)
        assert r.returncode in (0, 1) and (r.returncode == 0 or r.stderr), f"cut at {size}: {r.returncode}"
    note = good.find(b"amdhsa.kernels")
    assert note > 0
    for i in range(120):
        bad = bytearray(good)
        bad[note + i * 7 if i < 60 else (i - 60) * 13] ^= 0xFF
        r = subprocess.run([HSAVISOR, "disasm", "--headers", written("flip", bytes(bad))], env=ENV, capture_output=True, timeout=30, check=False)
        assert r.returncode in (0, 1), f"flip {i}: {r.returncode} {r.stderr}"


def test_headers():
    kernels = {k["name"]: k for k in json.loads(call("disasm", "--headers", "--json", GFX90A))["code_objects"][0]["kernels"]}
    assert len(kernels) == 11, kernels.keys()
    assert kernels["scratch"]["scratch"] >= 256 and kernels["add"]["scratch"] == 0
    assert kernels["required"]["required_work_group"] == [8, 2, 1]
    assert [(a["kind"], a["offset"], a["size"]) for a in kernels["mixed"]["arguments"][:6]] == [
        ("global_buffer", 0, 8), ("by_value", 8, 1), ("by_value", 16, 8), ("by_value", 24, 2), ("by_value", 28, 4), ("by_value", 32, 8)]
    theirs = subprocess.run(["llvm-readelf-19", "--notes", GFX90A], capture_output=True, text=True, check=True).stdout
    for name, key in ((".vgpr_count", "vgprs"), (".sgpr_count", "sgprs"), (".group_segment_fixed_size", "lds"), (".kernarg_segment_size", "kernarg")):
        want = [int(n) for n in re.findall(rf"^ +(?:- )?\{name}: +(\d+)", theirs, re.M)]
        names = [n for n in re.findall(r"^ {4}\.name: +(\w+)", theirs, re.M)]
        assert dict(zip(names, want)) == {n: kernels[n][key] for n in names} and len(names) == len(want) == 11, (name, want, names)


LINE = re.compile(r"^\t(.*?)\s*// ([0-9A-F]{12}): ([0-9A-F ]+?)(?: <(.*)>)?$", re.M)


def code(text):
    return {int(m[2], 16): (" ".join(m[1].split()), m[3], m[4]) for m in LINE.finditer(text)}


def test_disassembly_is_llvms():
    for path in (GFX900, GFX90A):
        theirs = code(subprocess.run(["llvm-objdump-19", "-d", path], capture_output=True, text=True, check=True).stdout)
        ours = code(call("disasm", path))
        assert len(ours) > 300
        for at, inst in ours.items():
            if inst[0].startswith(".long"):
                assert inst[0] == ".long 0xbfff0000"
            else:
                assert theirs[at] == inst, f"{at:x}: {theirs[at]} {inst}"
        # Else there is only padding between functions.
        assert {theirs[at][0] for at in set(theirs) - set(ours)} <= {"s_nop 0", "s_code_end"}
    assert code(call("disasm", GFX90A, "add")).items() <= ours.items()


def test_bundles():
    """A clang offload bundle, as it is and in a host program."""
    objects = [("host-x86_64-unknown-linux--", b""), ("hipv4-amdgcn-amd-amdhsa--gfx90a:xnack-", contents(GFX90A)),
               ("hipv4-amdgcn-amd-amdhsa--gfx900", contents(GFX900)), ("hipv4-amdgcn-amd-amdhsa--gfx1030", b"\x7fELF")]
    table, at, data = b"", 4096, b""
    for name, blob in objects:
        table += struct.pack("<QQQ", at + len(data), len(blob), len(name)) + name.encode()
        data += blob + bytes(-len(blob) % 4096)
    bundle = written("two.hipfb", (b"__CLANG_OFFLOAD_BUNDLE__" + struct.pack("<Q", len(objects)) + table).ljust(4096, b"\0") + data)
    source = f"{DIR}/host.s"
    with open(source, "w", encoding="ascii") as f:
        f.write(f'.section .hip_fatbin,"a",@progbits\n.p2align 12\n.incbin "{bundle}"\n')
    program = f"{DIR}/host.o"
    subprocess.run(["clang-19", "-c", source, "-o", program], check=True)
    for path in (bundle, program):
        found = json.loads(call("disasm", "--json", "--headers", path))["code_objects"]
        assert [o["target"] for o in found] == ["gfx90a", "gfx900"]
        assert len(json.loads(call("disasm", "--json", "--target", "gfx900", path, "add"))["code_objects"]) == 1
        for target in ("gfx90a", "gfx900"):
            assert dump("add", "--target", target, "--grid", "1024", *ADD, form="f32", file=path) == [3.5] * 1024
        call("disasm", path, "nothing", code=4, says="no kernel")


def test_results():
    for file in (GFX90A, GFX900):
        for jit in ("off", "sync"):
            assert dump("add", "--grid", "1024", "--jit", jit, *ADD, form="f32", file=file) == [3.5] * 1024
            values = dump("mixed", "--grid", "1", "--jit", jit, "--arg", "buffer:40", "--arg", "i8:-5", "--arg", "u64:0x123456789abc", "--arg", "i16:-300",
                          "--arg", "f32:-2.5", "--arg", "f64:1.125", form="i64", file=file)
            assert values == [-5, 0x123456789ABC, -300, -10, 9], values
            values = dump("scratch", "--grid", "256", "--jit", jit, "--arg", "buffer:1K", "--arg", "u32:64", file=file)
            assert values == [(g & 63) + g for g in range(256)], values


def test_local_arrays_do_not_overlap():
    values = dump("local_sum", "--grid", "128", "--group", "64", "--arg", "buffer:512", "--arg", "lds:256", "--arg", "lds:256")
    assert values == [1000 + 63 - i for i in range(64)] * 2, values


def test_partial_work_groups_and_hidden_arguments():
    values = dump("where_am_i", "--grid", "10,3,2", "--group", "4,2,1", "--arg", "buffer:240")
    row = [3 << 24 | 3 << 16 | (4 if x < 8 else 2) << 8 | x // 4 for x in range(10)]
    assert values == row * 6, [hex(v) for v in values]


def test_work_groups_that_wait_for_each_other():
    for threads in ("1", "2"):
        assert dump("meet", "--grid", "640", "--group", "64", "--threads", threads, "--arg", "buffer:4")[0] == 10


def test_buffers_from_files_and_raw_dumps():
    source = written("in", struct.pack("<1024f", *range(1024)))
    path = f"{DIR}/raw"
    run("add", "--grid", "1024", "--arg", "buffer:4K", "--arg", f"buffer:4K={source}", "--arg", "buffer:4K=fill:f32:0.5", "--arg", "u32:1024", "--dump", f"0:{path}")
    assert struct.unpack("<1024f", contents(path)) == tuple(i + 0.5 for i in range(1024))
    out = run("add", "--grid", "8", "--arg", "buffer:32", *ADD[2:6], "--arg", "u32:8", "--dump", "0:-:f32")
    assert "3.5 3.5 3.5 3.5 3.5 3.5 3.5 3.5\n" in out


def test_faults():
    for jit in ("off", "sync"):
        out = f"--jit={jit}"
        run("store_at", "--grid", "256", "--group", "128", out, "--arg", "u64:0x7000", "--arg", "u32:200", code=1,
            says=["memory fault: write to 0x7000", "not mapped", "work-group 1,0,0 wave 1 at store_at+0x", "store_dword"])
        run("store_at", "--grid", "64", out, "--arg", "u64:0x200001000", "--arg", "u32:0", code=1, says="behind the end of the kernel arguments")
        run("add", "--grid", "1024", out, "--arg", "buffer:4096", "--arg", "buffer:64", *ADD[4:], code=0)
        run("add", "--grid", "1024", out, "--arg", "buffer:64", *ADD[2:], code=0, says="buffer 0 was written to 0 bytes behind its end")
        run("not_an_instruction", "--grid", "64", out, "--arg", "buffer:64", code=1, says=["illegal instruction", "work-group 0,0,0 wave 0 at not_an_instruction+0x", ".long 0xbfff0000"])
        run("trap", "--grid", "64", out, "--arg", "buffer:64", code=1, says=["trap 2", "s_trap 2"])
    fault = json.loads(run("store_at", "--json", "--grid", "256", "--arg", "u64:0x7000", "--arg", "u32:200", code=1))
    assert fault["result"] == "memory fault" and fault["fault"]["address"] == 0x7000 and fault["fault"]["work_group"] == [3, 0, 0]
    # What was written before is there.
    path = f"{DIR}/before"
    run("not_an_instruction", "--grid", "64", "--arg", "buffer:4", "--dump", f"0:{path}:u32", code=1)
    assert contents(path) == b"7\n"


def test_endless_kernel():
    for jit in ("off", "sync"):
        with subprocess.Popen([HSAVISOR, "exec-kernel", GFX90A, "endless", "--grid", "256", "--jit", jit, "--arg", "buffer:4"], env=ENV, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as p:
            # It is at work: loading and compiling take less.
            wait_until(lambda p=p: p.poll() is not None or cpu_seconds(p.pid) > 1)
            assert p.poll() is None
            p.send_signal(signal.SIGINT)
            _, err = p.communicate(timeout=60)
            assert p.returncode == 130 and "wave 0: next endless+0x" in err and "stopped" in err, (p.returncode, err)
    run("endless", "--grid", "64", "--timeout", "1", "--arg", "buffer:4", code=1, says="stopped after 1 s")


def test_trace():
    path = f"{DIR}/trace"
    run("add", "--grid", "128", "--group", "64", *ADD, "--isa-trace", path, "--trace-wave", "1:0")
    with open(path, encoding="ascii") as f:
        text = f.read()
    steps = re.findall(r"^(\S+) add\+0x([0-9a-f]+)  (\S+)", text, re.M)
    assert {s[0] for s in steps} == {"1,0,0:0"} and steps[-1][2] == "s_endpgm" and steps[0][1] == "0"
    # It is what was executed: in order, and what the disassembly has.
    start = min(code(call("disasm", GFX90A, "add")))
    ours = code(call("disasm", GFX90A, "add"))
    assert all(ours[start + int(s[1], 16)][0].split()[0] == s[2] for s in steps)
    assert re.search(r"v_add_f32.*\n\tv\d+ = 40600000 in all active lanes", text), text
    run("add", "--grid", "128", "--group", "64", *ADD, "--isa-trace", path, "--trace-wave", "all")
    with open(path, encoding="ascii") as f:
        assert f.read().count("s_endpgm") == 2
    run("store_at", "--grid", "64", "--arg", "u64:0", "--arg", "u32:3", "--isa-trace", path, code=1)
    with open(path, encoding="ascii") as f:
        assert f.read().endswith("\tfails\n")
    run("add", "--grid", "64", *ADD, "--isa-trace", f"{DIR}/no/such", code=1, says="No such file")


def test_profile():
    p = json.loads(run("add", "--grid", "1024", "--group", "64", *ADD, "--profile", "--json", "--repeat", "3"))
    profile = p["profile"]
    # 16 waves execute each instruction of the kernel once, but the padding.
    count = len([1 for inst in code(call("disasm", GFX90A, "add")).values()])
    assert p["dispatches"] == 3 and p["instructions"] == 3 * profile["instructions"] and p["ns"] >= p["ns_least"] > 0
    assert profile["instructions"] == 16 * count and profile["mix"]["load"] == 32 and profile["mix"]["store"] == 16
    assert sum(profile["mix"].values()) == profile["instructions"] and profile["active_lanes"] == 64
    assert sum(b["instructions"] for b in profile["hot_blocks"]) == profile["instructions"]
    text = run("scratch", "--grid", "64", "--arg", "buffer:256", "--arg", "u32:1000", "--profile", "--jit", "off", says=["hot block 1", "0.0 % by compiled code"])
    assert float(re.search(r"hot block 1: ([\d.]+) %", text)[1]) > 90
    # The counted run begins with what the buffers held.
    assert dump("meet", "--grid", "128", "--group", "64", "--arg", "buffer:4", "--profile", "--repeat", "1")[0] == 2
    p = json.loads(run("scratch", "--grid", "6400", "--arg", "buffer:25600", "--arg", "u32:1000", "--jit", "sync", "--repeat", "4", "--json"))
    assert p["interpreted"] < p["instructions"] / 2 or not os.path.exists(f"{BUILD}/gpu/soft/jit/libhsavisor-jit.so")


if __name__ == "__main__":
    try:
        tap.run(sys.modules[__name__])
    finally:
        shutil.rmtree(DIR)
