"""Make `.venv` and fill it with one of the pinned requirements files.

    python dev/bootstrap.py embedded|development

Only the standard library, and only syntax that an old Python reads too: this is what
tells its owner that it is too old. The installed set is stamped with the hash of its
requirements file, so that the next start does nothing.
"""

# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False
# ruff: noqa: UP010, UP024, UP030, UP032
from __future__ import print_function

import hashlib
import os
import shutil
import subprocess
import sys
import time

REQUIRED = (3, 11)
CANDIDATES = ("python3.11", "python3.12", "python3.13", "python3.14", "python3")
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
VENV_PYTHON = os.path.join(VENV, "bin", "python")
# Each set contains the ones before it.
REQUIREMENT_SETS = ("production", "embedded", "development")
# What pip says when the index says nothing at first, or later on.
NO_INDEX = ("(from versions: none)", "ConnectionPool(host=", "ReadTimeoutError")
# Prints the version and the environment of an interpreter.
PROBE = "import sys; print('%d.%d' % sys.version_info[:2]); print(sys.prefix)"


class Refused(Exception):
    """The environment cannot be made. The message is for people."""


def main(requirement_set):
    try:
        python = find_python()
        with open(os.path.join(ROOT, ".venv.lock"), "w") as lock:
            wait_for(lock)
            if not has_usable_venv():
                make_venv(python)
            if stamped_hash(requirement_set) != requirements_hash(requirement_set):
                install(requirement_set)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 1
    return 0


def wait_for(lock):
    """Let `make run` and `make test` that are started together not both fill `.venv`."""
    import fcntl

    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (IOError, OSError):
        show("Waiting for another command that is filling .venv ...\n")
        fcntl.flock(lock, fcntl.LOCK_EX)


def find_python():
    """Return a new enough interpreter: this one if it is, else one on PATH."""
    if sys.version_info[:2] >= REQUIRED:
        return sys.executable
    for name in CANDIDATES:
        # A name on PATH may be a shim without a version behind it, so it is tried.
        if probe(name, PROBE)[0] >= REQUIRED:
            return name
    raise Refused(
        "Encore needs Python {0}.{1} or newer, and found only Python {2}.{3} ({4}).\n"
        "Install a newer one, or name it: make PYTHON=/path/to/python3.11 ...".format(
            *(REQUIRED + tuple(sys.version_info[:2]) + (sys.executable,))
        )
    )


def probe(python, program):
    """Return an interpreter's version and its environment; nothing new if it does not run."""
    try:
        status, output = run([python, "-c", program], errors=subprocess.PIPE)
        version, prefix = output.split("\n", 1)
        if status == 0:
            return tuple(int(part) for part in version.split(".")), prefix.strip()
    except (OSError, ValueError):
        pass
    return (0,), ""


def run(command, errors=subprocess.STDOUT):
    """Return the exit status of a command and what it printed."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)
    output = process.communicate()[0].decode("utf-8", "replace")
    return process.returncode, output


def has_usable_venv():
    """False after the folder was moved or its Python was removed: then it is made anew."""
    version, prefix = probe(VENV_PYTHON, PROBE + "; import pip")
    return version >= REQUIRED and os.path.realpath(prefix) == os.path.realpath(VENV)


def make_venv(python):
    """:raises Refused: it does not work out."""
    show("Making .venv with {0}\n".format(python))
    shutil.rmtree(VENV, ignore_errors=True)
    status, output = run([python, "-m", "venv", VENV])
    if status == 0:
        return
    shutil.rmtree(VENV, ignore_errors=True)
    if "ensurepip" in output or "No module named venv" in output:
        raise Refused(
            "{0} cannot make virtual environments: its `venv` or `ensurepip` module is missing.\n"
            "On Debian or Ubuntu install the package python3-venv, elsewhere a complete "
            "Python.".format(python)
        )
    raise Refused("Could not make {0}:\n{1}".format(VENV, output))


def install(requirement_set):
    """:raises Refused: it does not work out."""
    requirements = requirements_path(requirement_set)
    with open(requirements) as lines:
        expected = sum(1 for line in lines if "==" in line)
    command = [VENV_PYTHON, "-m", "pip", "install", "--require-hashes", "--no-input"]
    # Modules are compiled when first imported: most never are.
    command += ["--no-compile", "--disable-pip-version-check", "--progress-bar", "off"]
    command += ["-r", os.path.relpath(requirements, ROOT)]
    started, seen, output = time.time(), 0, []
    show("Installing {0} packages".format(expected))
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    for raw in process.stdout:
        line = raw.decode("utf-8", "replace").rstrip()
        output.append(line)
        words = line.split()
        if words[:1] in (["Collecting"], ["Processing"], ["Requirement"]):
            seen += 1
            show("Fetching packages {0}/{1}".format(seen, expected), is_first=seen == 1)
        elif "Retrying (Retry(" in line:
            show("Waiting for the package index")
        elif words[:2] == ["Installing", "collected"]:
            show("Unpacking {0} packages".format(seen))
    if process.wait() != 0:
        raise Refused(explain(output, requirements))
    show("Installed {0} packages in {1:.0f} s\n".format(seen, time.time() - started))
    for name in REQUIREMENT_SETS[: REQUIREMENT_SETS.index(requirement_set) + 1]:
        with open(stamp_path(name), "w") as stamp:
            stamp.write(requirements_hash(name))


def explain(output, requirements):
    """Keep what pip says, and return what its owner should know of it."""
    log_path = os.path.join(VENV, "install.log")
    with open(log_path, "w") as log:
        log.write("\n".join(output))
    if any(sign in line for sign in NO_INDEX for line in output):
        return (
            "No package index can be reached, and packages that Encore needs are not installed: "
            "go online, or name a mirror with PIP_INDEX_URL=https://... "
            "({0} has what pip says).".format(log_path)
        )
    return "pip could not install {0}:\n  {1}\nAll of its output: {2}".format(
        os.path.relpath(requirements, ROOT), "\n  ".join(output[-15:]), log_path
    )


def requirements_path(requirement_set):
    return os.path.join(ROOT, "requirements", requirement_set + ".txt")


def requirements_hash(requirement_set):
    with open(requirements_path(requirement_set), "rb") as requirements:
        return hashlib.sha256(requirements.read()).hexdigest()


def stamp_path(requirement_set):
    return os.path.join(VENV, "installed-" + requirement_set)


def stamped_hash(requirement_set):
    try:
        with open(stamp_path(requirement_set)) as stamp:
            return stamp.read()
    except (IOError, OSError):
        return None


def show(message, is_first=True):
    """Rewrite the line of a terminal; elsewhere write a line, but none that only goes on counting."""
    if sys.stdout.isatty():
        sys.stdout.write("\r\033[K" + message)
    elif is_first:
        sys.stdout.write(message.rstrip("\n") + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in REQUIREMENT_SETS:
        sys.exit("usage: bootstrap.py " + "|".join(REQUIREMENT_SETS))
    try:
        sys.exit(main(sys.argv[1]))
    except KeyboardInterrupt:
        sys.exit(130)
