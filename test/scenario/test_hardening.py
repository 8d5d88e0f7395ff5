"""What the release programs were built with against exploits, read from the files themselves.

Proves: position-independent, relocations read-only before main, no executable stack, stack protector
and fortified library calls in, no path of the build machine to load from, and landing pads for indirect
branches in every object of ours where the machine has them (the C library's own start files have none,
so that the linked program is not marked as a whole); how little the systemd units leave open;
and that an installation leaves what is the operator's.
"""

import ctypes
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys

import pytest

from farm import BIN, ROOT

pytestmark = [
    pytest.mark.skipif(not BIN.name.startswith("release"), reason="about the release build"),
    pytest.mark.skipif(not shutil.which("readelf"), reason="needs readelf"),
]

PROGRAMS = ["footfall-agent", "footfall-central"]


def readelf(option, *paths):
    command = ["readelf", "-W", option, *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(params=PROGRAMS)
def program(request):
    return BIN / request.param


def test_it_is_loaded_anywhere(program):
    assert re.search(r"Type:\s+DYN", readelf("-h", program))
    assert re.search(r"FLAGS_1.*\bPIE\b", readelf("-d", program))


def test_relocations_are_read_only_before_main(program):
    assert "GNU_RELRO" in readelf("-l", program)
    dynamic = readelf("-d", program)
    assert "BIND_NOW" in dynamic and re.search(r"FLAGS_1.*\bNOW\b", dynamic)
    assert "TEXTREL" not in dynamic


def test_nothing_is_both_writable_and_executable(program):
    segments = readelf("-l", program)
    stack = re.search(r"GNU_STACK(?:\s+0x\w+){5}\s+(\w+)", segments)
    assert stack and stack[1] == "RW"
    assert not re.search(r"LOAD(?:\s+0x\w+){5}\s+RWE", segments)


def test_stack_and_library_calls_are_checked(program):
    symbols = readelf("--dyn-syms", program)
    assert "__stack_chk_fail" in symbols
    for call in ("memcpy", "snprintf"):
        assert f"__{call}_chk" in symbols, "not fortified"


def test_nothing_is_loaded_from_where_it_was_built(program):
    assert not re.search(r"\((RPATH|RUNPATH)\)", readelf("-d", program))


def test_indirect_branches_have_landing_pads():
    if platform.machine() != "x86_64":
        pytest.skip("made for x86-64; elsewhere the flag means something else")
    objects = sorted(pathlib.Path(BIN, "obj").glob("agent/**/*.o"))
    objects += sorted(pathlib.Path(BIN, "obj").glob("proto/*.o"))
    assert objects
    for path in objects:
        assert re.search(r"x86 feature: IBT, SHSTK", readelf("-n", path)), path


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_units_leave_little_to_a_program_that_was_taken_over(tmp_path, name):
    """systemd's own measure: 0 is nothing, 10 all; 2.0 at most."""
    text = (ROOT / "packaging" / "systemd" / f"{name}.service").read_text()
    unit = tmp_path / f"{name}.service"
    unit.write_text(text.replace("@bindir@", "/usr/bin"))
    done = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", "--offline=true", "--threshold=20", unit],
        capture_output=True, text=True, check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert re.search(r"Overall exposure level for .*: [01]\.\d|: 2\.0", done.stdout)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_units_give_no_program_what_root_reads(name):
    """ConfigurationDirectory= would: made by a first start it is the service's user's, and LoadCredential=
    follows links there as root."""
    text = (ROOT / "packaging" / "systemd" / f"{name}.service").read_text()
    assert "/etc/footfall/" in text
    given = re.findall(r"^(?:ConfigurationDirectory|ReadWritePaths|BindPaths)=.*", text, re.M)
    assert not given
    dirs = re.findall(r"^(?:State|Cache|Logs|Runtime)Directory=(.*)", text, re.M)
    assert dirs and all(re.fullmatch(r"footfall(-\w+)?", d) for d in " ".join(dirs).split())


@pytest.mark.parametrize("mode", [0o700, None])
def test_an_install_leaves_the_settings_directory_as_the_operator_has_it(tmp_path, mode):
    settings = tmp_path / "etc" / "footfall"
    if mode:
        settings.mkdir(parents=True)
        settings.chmod(mode)
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    subprocess.run(  # what was built is installed, whatever is newer
        ["make", "-s", "-o", "all", "install", f"B={BIN}", f"DESTDIR={tmp_path}", "PREFIX=/usr"],
        cwd=ROOT, env=env, capture_output=True, check=True,
    )
    assert settings.stat().st_mode & 0o777 == (mode or 0o755)
    assert (tmp_path / "usr/lib/systemd/system/footfall-agent.service").exists()


def test_the_sockets_need_no_address_to_be_there():
    """At boot sockets come before addresses, and systemd tries no bind again: the service would fail with it."""
    units = sorted((ROOT / "packaging" / "systemd").glob("*.socket"))
    assert len(units) == 3
    for unit in units:
        section = unit.read_text().split("[Socket]")[1].split("[Install]")[0]
        assert re.search(r"^Listen(Stream|Datagram)=", section, re.M)
        assert re.search(r"^FreeBind=true$", section, re.M), unit.name


# Becomes a user without rights, loads systemd's own filter and goes on as the program
CONFINED = """
import ctypes, os, sys
user, names, *command = sys.argv[1:]
seccomp = ctypes.CDLL("libseccomp.so.2")
seccomp.seccomp_init.restype = ctypes.c_void_p
allow, refuse = 0x7FFF0000, 0x00050001  # EPERM
filter_ = ctypes.c_void_p(seccomp.seccomp_init(allow))
for name in names.split():
    number = seccomp.seccomp_syscall_resolve_name(name.encode())
    if number >= 0:
        assert seccomp.seccomp_rule_add(filter_, refuse, number, 0) == 0, name
os.setgroups([])
os.setresgid(int(user), int(user), int(user))
os.setresuid(int(user), int(user), int(user))
assert seccomp.seccomp_load(filter_) == 0
os.execv(command[0], command)
"""


def calls_in(group):
    """The system calls of one of systemd's groups and of those within."""
    command = ["systemd-analyze", "--no-pager", "syscall-filter", group]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for name in re.findall(r"^    (@?\w[\w-]*)$", out, re.M):
        yield from calls_in(name) if name.startswith("@") else [name]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_both_programs_run_under_the_units_filter(open_farm):
    """What SystemCallFilter=~@privileged @resources of the units refuses is needed for nothing."""
    try:
        ctypes.CDLL("libseccomp.so.2")
    except OSError:
        pytest.skip("needs libseccomp")
    refused = sorted({*calls_in("@privileged"), *calls_in("@resources")})
    assert "capset" in refused and "setuid" in refused and len(refused) > 40
    nobody = 65534
    for program in (open_farm.central(), open_farm.agent("web-1")):
        shutil.chown(program.directory, nobody)
        plain = program.command
        program.command = lambda *words, plain=plain: [
            sys.executable, "-c", CONFINED, str(nobody), " ".join(refused), *plain(*words)
        ]
        program.start()
        status = pathlib.Path(f"/proc/{program.process.pid}/status").read_text()
        assert re.search(r"^Seccomp:\s+2$", status, re.M)
        program.stop()
        assert "level=error" not in program.log(), program.log()
