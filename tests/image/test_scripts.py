# SPDX-License-Identifier: MIT
"""The parts of image/ that can be wrong on a machine other than ours: where the Debian archive is, the cache, the kernel."""

import contextlib
import glob
import gzip
import os
import re
import struct
import subprocess
import sys
import tempfile

import tap

SRC = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CODENAME = subprocess.run(". /etc/os-release && echo $VERSION_CODENAME", shell=True, check=True, text=True,
                          stdout=subprocess.PIPE).stdout.strip()


def shell(script, **env):
    """Run a script that has read image/lib.sh; (exit code, output, errors)."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HSAVISOR_")}
    done = subprocess.run(["bash", "-c", f". {SRC}/image/lib.sh\n{script}"], env=dict(clean, **env), text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def mirror(files, indextargets=""):
    """What debian_mirror answers on a machine with these files in /etc/apt and this answer of apt-get indextargets."""
    with tempfile.TemporaryDirectory() as etc:
        os.mkdir(f"{etc}/sources.list.d")
        for name, text in files.items():
            with open(f"{etc}/{name}", "w", encoding="utf-8") as f:
                f.write(text)
        return shell(f"apt-get() {{ printf '%s' '{indextargets}'; }}\ndebian_mirror", APT_ETC=etc)


def test_mirror_as_apt_tells_it():
    lists = f"{CODENAME}-security main http://x/security/\n{CODENAME} main http://x/debian/\n"
    assert mirror({}, lists) == (0, "http://x/debian", "")


def test_mirror_from_one_line_sources():
    text = f"# deb http://no/ {CODENAME} main\ndeb [arch=amd64 signed-by=/k] http://m/debian {CODENAME} contrib main\n"
    assert mirror({"sources.list": text}) == (0, "http://m/debian", "")


def test_mirror_from_deb822_sources():
    text = ("Types: deb\nURIs: http://s/debian-security\nSuites: X-security\nComponents: main\n\n"
            "Types: deb\n# a comment\nURIs: http://m/debian/\nSuites: X X-updates\nComponents: main\n").replace("X", CODENAME)
    assert mirror({"sources.list.d/debian.sources": text}) == (0, "http://m/debian", "")


def test_no_mirror_is_a_clear_error():
    code, out, err = mirror({"sources.list.d/other.list": "deb http://apt.example/x stable main\n"})
    assert code != 0 and out == "" and "no Debian archive" in err, (code, out, err)


def test_a_qemu_may_say_much():
    """A reader that leaves at the word it looks for would end QEMU by SIGPIPE."""
    with tempfile.TemporaryDirectory() as d:
        for name, words in (("with", '"vfio-user-pci"'), ("without", '"vfio-pci"')):
            with open(f"{d}/{name}", "w", encoding="ascii") as f:
                f.write(f"#!/bin/sh\necho 'name {words}, bus PCI'\nsleep 0.3\nexec seq 100000\n")
            os.chmod(f"{d}/{name}", 0o755)
        code, out, err = shell(f"has_vfio_user {d}/with && echo yes; has_vfio_user {d}/without || echo no")
        assert (code, out) == (0, "yes\nno"), (code, out, err)


def test_no_pipe_ends_in_a_reader_that_leaves_early():
    """Under pipefail that is a failure now and then: who writes gets SIGPIPE, or not. image/programs removed programs so."""
    early = re.compile(r"\|\s*(grep\s+(-\w*[qm]|--quiet)|head\b)")
    looked = 0
    for file in sorted(glob.glob(f"{SRC}/image/*") + glob.glob(f"{SRC}/packaging/*") + [f"{SRC}/Makefile"]):
        with contextlib.suppress(IsADirectoryError), open(file, encoding="utf-8") as f:
            text = f.read()
            if "/lib.sh" in text or "pipefail" in text:
                looked += 1
                assert not early.search(text), f"{file}: {early.search(text)[0]}"
    assert looked > 10, looked


def test_apt_settings_go_along():
    fake = """apt-config() { cat <<'END'
Acquire::http::Proxy "http://proxy:3142";
Acquire::http::Timeout "7";
Acquire::http "";
Acquire::GzipIndexes "true";
END
}
apt_options"""
    code, out, _ = shell(fake)
    lines = out.splitlines()
    assert code == 0
    assert '--aptopt=Acquire::http::Proxy "http://proxy:3142";' in lines, out
    assert '--aptopt=Acquire::http::Timeout "7";' in lines, out
    assert not any("GzipIndexes" in line or line.endswith('http "";') for line in lines), out


def test_the_kernel_is_from_backports_only_if_asked_for():
    """And then in a cache of its own: the ordinary trees have the packages, and so the stamps, that they had."""
    script = """debian_mirror() { echo http://m/debian; }; apt_options() { :; }; unshare() { false; }; nice() { shift 2; "$@"; }
mmdebstrap() { printf '%s\\n' "$@" >&3; }
debootstrap_tree /dev/null "--include=$(package_list guest)" trixie /t http://m/debian 3>&1
debootstrap_tree /dev/null "--include=$(package_list qemu)" trixie /t http://m/debian 3>&1"""
    source = "deb http://m/debian trixie-backports main"
    code, ordinary, err = shell(script)
    assert code == 0 and "linux-image-amd64," in ordinary and "backports" not in ordinary, (ordinary, err)
    code, newer, err = shell(script, HSAVISOR_KERNEL="backports", HSAVISOR_CACHE="/c")
    assert code == 0 and "linux-image-amd64/trixie-backports," in newer, (newer, err)
    assert newer.replace("/trixie-backports,", ",").replace(f"\n{source}", "") == ordinary and newer.count(source) == 1, newer
    for env in ({"HSAVISOR_KERNEL": "backports"}, {"HSAVISOR_KERNEL": "other", "HSAVISOR_CACHE": "/c"}):
        code, _, err = shell("true", **env)
        assert code != 0 and "HSAVISOR_KERNEL" in err, (env, code, err)


def test_cache_takes_the_whole_or_nothing():
    with tempfile.TemporaryDirectory() as cache:
        make = 'scratch; mkdir "$SCRATCH/x"; echo 1 >"$SCRATCH/x/f"; '
        code, _, _ = shell(make + "exit 5", HSAVISOR_CACHE=cache)
        assert code == 5 and os.listdir(cache) == ["lock"], os.listdir(cache)
        code, _, err = shell(make + 'publish "$SCRATCH/x" x h1', HSAVISOR_CACHE=cache)
        assert code == 0, err
        assert sorted(os.listdir(cache)) == ["lock", "x", "x.stamp"], os.listdir(cache)
        assert shell("fresh x h1", HSAVISOR_CACHE=cache)[0] == 0
        assert shell("fresh x h2", HSAVISOR_CACHE=cache)[0] != 0
        code, _, err = shell(make + 'echo 2 >"$SCRATCH/x/f"; publish "$SCRATCH/x" x h2; cat "$CACHE/x/f"',
                             HSAVISOR_CACHE=cache)
        assert code == 0, err
        with open(f"{cache}/x/f", encoding="utf-8") as f:
            assert f.read() == "2\n"


def test_mounts_of_a_killed_run_are_in_nobodys_way():
    """A run that was killed may leave /proc mounted in its half-made tree; the next one removes both, and nothing of /proc."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], check=False, stderr=subprocess.DEVNULL).returncode:
        raise tap.Skip("mounting needs root")
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            ["unshare", "--mount", "bash", "-ec",
             f"mkdir -p {cache}/tmp.abcdef/t {cache}/other; ln -s {cache} {cache}.link; trap 'rm {cache}.link' EXIT\n"
             f"mount -t tmpfs outer {cache}/tmp.abcdef/t; mkdir {cache}/tmp.abcdef/t/proc; mount -t proc inner {cache}/tmp.abcdef/t/proc\n"
             f"export HSAVISOR_CACHE={cache}.link; . {SRC}/image/lib.sh\n"
             'remove_tree "$CACHE"/tmp.??????; ! grep -F tmp.abcdef /proc/self/mounts; ls "$CACHE"'],
            check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert (done.returncode, done.stdout) == (0, "other\n"), done.stdout


def test_hash_sees_names_contents_and_words():
    with tempfile.TemporaryDirectory() as d:
        def of(words=""):
            return shell(f"hash_of {d} -- {words}")[1]
        seen = [of()]
        with open(f"{d}/a", "w", encoding="utf-8") as f:
            f.write("1")
        seen.append(of())
        os.rename(f"{d}/a", f"{d}/b")
        seen.append(of())
        with open(f"{d}/b", "w", encoding="utf-8") as f:
            f.write("2")
        seen += [of(), of("w")]
        assert len(set(seen)) == len(seen), seen
        assert of("w") == seen[-1]


def test_hash_is_the_same_in_another_checkout():
    seen = set()
    for _ in range(2):
        with tempfile.TemporaryDirectory() as d:
            os.mkdir(f"{d}/t")
            for name in ("script", "t/a"):
                with open(f"{d}/{name}", "w", encoding="utf-8") as f:
                    f.write(name)
            seen.add(shell(f"hash_of {d}/script {d}/t -- word")[1])
    assert len(seen) == 1, seen


def test_extra_packages():
    code, out, err = shell("package_list qemu", HSAVISOR_QEMU_EXTRA="strace, gdb")
    assert code == 0, err
    names = out.split(",")
    assert "qemu-system-x86" in names and names[-2:] == ["strace", "gdb"], out


def bzimage(payload):
    image = bytearray(1024)
    image[0x1F1] = 1
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", image, 0x248, 16, len(payload))
    return bytes(image) + bytes(16) + payload


def unpack(image):
    with tempfile.TemporaryDirectory() as d:
        with open(f"{d}/vmlinuz", "wb") as f:
            f.write(image)
        done = subprocess.run([f"{SRC}/image/kernel", f"{d}/vmlinuz", f"{d}/vmlinux"], check=False,
                              stderr=subprocess.PIPE, text=True)
        if done.returncode:
            return done.stderr
        with open(f"{d}/vmlinux", "rb") as f:
            return f.read()


def test_kernel_is_unpacked():
    elf = b"\x7fELF" + bytes(range(256)) * 20
    assert unpack(bzimage(gzip.compress(elf))) == elf


def test_kernel_of_an_unknown_packing_is_kept():
    image = bzimage(b"LZOP" + bytes(100))
    assert unpack(image) == image


def test_no_kernel_is_a_clear_error():
    answer = unpack(bytes(2000))
    assert isinstance(answer, str) and "not a bzImage" in answer, answer


def bench(name, *args):
    return subprocess.run([f"{SRC}/bench/{name}", *args], text=True, capture_output=True, timeout=60, check=False)


def test_benchmarks_tell_what_they_take():
    for name in ("dispatch", "sharing", "svm", "gpu/run"):
        done = bench(name, "--help")
        assert done.returncode == 0 and "--json" in done.stdout and "--check" in done.stdout, done
        done = bench(name, "--bogus")
        assert done.returncode == 2 and "--bogus" in done.stderr, done
    done = bench("sharing", "--only", "speed")
    assert done.returncode == 2 and "no line speed; there are fairness_jain" in done.stderr, done


def test_figures_beyond_their_bounds_are_named():
    script = ("import sys; sys.path.insert(0, sys.argv.pop(1)); import common\n"
              "args = common.command_line('x').parse_args()\n"
              "sys.exit(common.report({'low': 1.0, 'high': 3, 'free': 2.5, 'none': float('nan')}, args, "
              "{'low': (1.5, None), 'high': (None, 3), 'none': (1, None), 'absent': (1, None)}))")

    def report(*args):
        return subprocess.run([sys.executable, "-c", script, f"{SRC}/bench", *args], text=True, capture_output=True, timeout=60, check=False)

    done = report()
    assert done.returncode == 0 and done.stdout == "low 1\nhigh 3\nfree 2.5\nnone nan\n", done
    assert "low 1 is below 1.5" in done.stderr and "high" not in done.stderr, done
    done = report("--json", "--check")
    assert done.returncode == 1 and done.stdout.startswith("{"), done


def test_progress_that_nobody_reads_ends_nothing():
    script = "import sys; sys.path.insert(0, sys.argv[1]); import common; common.say('x'); common.say('y'); print('done')"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", script, f"{SRC}/bench"], text=True, stdout=subprocess.PIPE, stderr=write, timeout=60, check=False)
    os.close(write)
    assert done.stdout == "done\n", done


tap.run(sys.modules[__name__])
