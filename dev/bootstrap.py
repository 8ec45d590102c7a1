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
VERSION_PROGRAM = "import sys; print('%d.%d' % sys.version_info[:2])"


def main(requirement_set):
    python = find_python()
    if python is None:
        return refuse(
            "Encore needs Python {0}.{1} or newer, and found only Python {2}.{3} ({4}).\n"
            "Install a newer one, or name it: make PYTHON=/path/to/python3.11 ...".format(
                *(REQUIRED + tuple(sys.version_info[:2]) + (sys.executable,))
            )
        )
    with Lock(os.path.join(ROOT, ".venv.lock")):
        if not has_usable_venv():
            problem = make_venv(python)
            if problem:
                return refuse(problem)
        if stamped_hash(requirement_set) != requirements_hash(requirement_set):
            problem = install(requirement_set)
            if problem:
                return refuse(problem)
    return 0


def refuse(message):
    print(message, file=sys.stderr)
    return 1


def find_python():
    """Return the path of a new enough interpreter: this one if it is, else one on PATH."""
    if sys.version_info[:2] >= REQUIRED:
        return sys.executable
    for name in CANDIDATES:
        # A name on PATH may be a shim without a version behind it, so it is tried.
        version = python_version(name)
        if version is not None and version >= REQUIRED:
            return name
    return None


def python_version(python):
    try:
        process = subprocess.Popen(
            [python, "-c", VERSION_PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        output = process.communicate()[0].decode("ascii", "replace").strip()
        return tuple(int(part) for part in output.split("."))
    except (OSError, ValueError):
        return None


def has_usable_venv():
    """False after the folder was moved or its Python was removed: then it is made anew."""
    program = "import sys; print(sys.prefix); import pip"
    try:
        process = subprocess.Popen(
            [VENV_PYTHON, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except OSError:
        return False
    prefix = process.communicate()[0].decode("utf-8", "replace").strip()
    return (
        process.returncode == 0
        and os.path.realpath(prefix) == os.path.realpath(VENV)
        and (python_version(VENV_PYTHON) or (0,)) >= REQUIRED
    )


def make_venv(python):
    """Return a message if it does not work out."""
    say("Making .venv with " + python)
    if os.path.isdir(VENV):
        shutil.rmtree(VENV)
    process = subprocess.Popen(
        [python, "-m", "venv", VENV], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output = process.communicate()[0].decode("utf-8", "replace").strip()
    if process.returncode == 0:
        return None
    shutil.rmtree(VENV, ignore_errors=True)
    if "ensurepip" in output or "No module named venv" in output:
        return (
            "{0} cannot make virtual environments: its `venv` or `ensurepip` module is missing.\n"
            "On Debian or Ubuntu install the package python3-venv, elsewhere a complete "
            "Python.".format(python)
        )
    return "Could not make {0}:\n{1}".format(VENV, output)


def install(requirement_set):
    """Return a message if it does not work out."""
    requirements = requirements_path(requirement_set)
    expected = count_requirements(requirements)
    log_path = os.path.join(VENV, "install.log")
    command = [VENV_PYTHON, "-m", "pip", "install", "--require-hashes", "--no-input"]
    # Modules are compiled when first imported: most never are.
    command += ["--no-compile", "--disable-pip-version-check", "--progress-bar", "off"]
    command += ["-r", os.path.relpath(requirements, ROOT)]
    started = time.time()
    seen = 0
    progress = Progress()
    progress.show("Installing {0} packages".format(expected))
    with open(log_path, "wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert process.stdout is not None
        for line in process.stdout:
            log.write(line)
            words = line.decode("utf-8", "replace").split()
            if words[:1] in (["Collecting"], ["Processing"], ["Requirement"]):
                seen += 1
                name = words[3] if words[0] == "Requirement" else words[1]
                name = os.path.basename(name).split("==")[0].split("-")[0]
                progress.show("Fetching packages {0}/{1}  {2}".format(seen, expected, name))
            elif b"Retrying (Retry(" in line:
                progress.show("Waiting for the package index")
            elif words[:2] == ["Installing", "collected"]:
                progress.show("Unpacking {0} packages".format(seen))
        process.wait()
    progress.clear()
    if process.returncode != 0:
        with open(log_path, "rb") as log:
            output = log.read().decode("utf-8", "replace")
        if any(sign in output for sign in NO_INDEX):
            return (
                "No package index can be reached, and packages that Encore needs are not installed: "
                "go online, or name a mirror with PIP_INDEX_URL=https://... "
                "({0} has what pip says).".format(log_path)
            )
        tail = output.splitlines()[-15:]
        return "pip could not install {0}:\n  {1}\nAll of its output: {2}".format(
            os.path.relpath(requirements, ROOT), "\n  ".join(tail), log_path
        )
    say("Installed {0} packages in {1:.0f} s".format(seen, time.time() - started))
    for name in REQUIREMENT_SETS[: REQUIREMENT_SETS.index(requirement_set) + 1]:
        with open(stamp_path(name), "w") as stamp:
            stamp.write(requirements_hash(name))
    return None


def requirements_path(requirement_set):
    return os.path.join(ROOT, "requirements", requirement_set + ".txt")


def count_requirements(path):
    with open(path) as lines:
        return sum(1 for line in lines if "==" in line)


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


def say(message):
    print(message)
    sys.stdout.flush()


class Progress:
    """One line that is rewritten on a terminal; elsewhere only changes of its first word."""

    def __init__(self):
        self.on_terminal = sys.stdout.isatty()
        self.first_word = None

    def show(self, message):
        if self.on_terminal:
            sys.stdout.write("\r\033[K" + message)
            sys.stdout.flush()
        elif message.split()[0] != self.first_word:
            self.first_word = message.split()[0]
            say(message)

    def clear(self):
        if self.on_terminal:
            sys.stdout.write("\r\033[K")
            sys.stdout.flush()


class Lock:
    """`make run` and `make test` started together must not both fill `.venv`."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        import fcntl

        self.handle = open(self.path, "w")
        try:
            fcntl.flock(self.handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (IOError, OSError):
            say("Waiting for another command that is filling .venv ...")
            fcntl.flock(self.handle, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_):
        self.handle.close()


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in REQUIREMENT_SETS:
        sys.exit("usage: bootstrap.py " + "|".join(REQUIREMENT_SETS))
    try:
        sys.exit(main(sys.argv[1]))
    except KeyboardInterrupt:
        sys.exit(130)
