"""However p2pchat is installed, twistd lists its plugins, and when it is gone, Twisted's own are still there."""

import ast
import configparser
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import twisted
from twisted.trial.unittest import SkipTest, SynchronousTestCase

import p2pchat
from tests.layers import imports

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = Path(twisted.__file__).parent.parent
"""Where the environment that runs the tests keeps what it has installed."""

OURS = {"p2pchat-peer", "p2pchat-server"}
TWISTED = {"dns", "web", "socks"}
"""Some of the plugins that Twisted itself brings."""
TIME_LIMIT = 240
"""Seconds for one command; pipx fetches all that p2pchat needs."""
LIST_PLUGINS = "from twisted.scripts.twistd import run; run()"


def run(*command: str | Path, cwd: Path | None = None, **variables: str) -> str:
    """Run a command with nothing of ours in its environment; returns its output, raises with it if it fails."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COVERAGE"))}
    ended = subprocess.run(
        command,
        cwd=cwd,
        env=environment | variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIME_LIMIT,
    )
    if ended.returncode != 0:
        raise AssertionError(f"{command} exited with {ended.returncode}:\n{ended.stdout}")
    return ended.stdout


def copy_sources(to: Path) -> Path:
    """What a checkout gives to an installer, in a place where building leaves no trace in this one."""
    for name in ("p2pchat", "twisted", "share"):
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__", "dropin.cache"))
    for name in ("setup.cfg", "pyproject.toml", "README.md"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, to)
    return to


def listed_plugins(python: Path, directory: Path) -> set[str]:
    """The commands that `twistd --help` offers, run in an empty directory."""
    text = run(python, "-c", LIST_PLUGINS, "--help", cwd=directory)
    return set(re.findall(r"^ {4}(\w\S*)  ", text, re.MULTILINE))


def shared() -> set[str]:
    """Manual pages and completions, by where they lie here and in an installation."""
    return {path.relative_to(ROOT).as_posix() for path in (ROOT / "share").rglob("*") if path.is_file()}


class Environment:
    """
    A virtual environment of its own that has everything but p2pchat, without fetching anything.

    What we depend on is linked from the environment that runs the tests. Twisted is copied, because our plugin
    is installed into its directory and must not end up in that of the tests.
    """

    def __init__(self, directory: Path) -> None:
        venv.create(directory, symlinks=True)
        self.directory = directory
        self.python = directory / "bin" / "python"
        [self.libraries] = (directory / "lib").glob("python*/site-packages")
        for entry in LIBRARIES.iterdir():
            if entry.suffix != ".pth" and "p2pchat" not in entry.name and entry.name != "twisted":
                (self.libraries / entry.name).symlink_to(entry)
        tests_and_ours = shutil.ignore_patterns("test", "dropin.cache", "*p2pchat*")
        shutil.copytree(LIBRARIES / "twisted", self.libraries / "twisted", ignore=tests_and_ours)

    def pip(self, *arguments: str | Path) -> None:
        """Run the pip of the tests on this environment."""
        run(sys.executable, "-m", "pip", "--quiet", "--python", self.python, *arguments)

    def install(self, *what: str | Path) -> None:
        """Install without a registry, built with the setuptools that is here."""
        self.pip("install", "--no-index", "--no-deps", "--no-build-isolation", *what)


class InstallTests(SynchronousTestCase):
    """The ways in, each followed by the way out."""

    def setUp(self) -> None:
        base = Path(self.mktemp()).resolve()
        base.mkdir(parents=True)
        self.sources = copy_sources(base / "sources")
        self.empty = base / "empty"
        self.empty.mkdir()
        self.environment = Environment(base / "environment")

    def plugins(self) -> set[str]:
        return listed_plugins(self.environment.python, self.empty)

    def check_in_and_out(self, *what: str | Path) -> None:
        """Installed, everything is there; uninstalled, Twisted is as it was before."""
        before = self.plugins()
        self.assertEqual(before & OURS, set())
        self.environment.install(*what)
        self.assertEqual(self.plugins(), before | OURS)
        self.assertTrue((self.environment.directory / "bin" / "p2pchat").exists())
        if "--editable" not in what:
            self.assertEqual({name for name in shared() if not (self.environment.directory / name).exists()}, set())
        ask = "import importlib.metadata, p2pchat; print(p2pchat.__version__, importlib.metadata.version('p2pchat'))"
        versions = run(self.environment.python, "-c", ask, cwd=self.empty)
        self.assertEqual(versions.split(), [p2pchat.__version__] * 2)
        self.environment.pip("uninstall", "--yes", "p2pchat")
        self.assertEqual(self.plugins(), before)
        self.assertLessEqual(TWISTED, before)
        self.assertFalse((self.environment.libraries / "p2pchat").exists())
        self.assertEqual({name for name in shared() if (self.environment.directory / name).exists()}, set())

    def test_directory(self) -> None:
        """`pip install .`"""
        self.check_in_and_out(self.sources)

    def test_editable(self) -> None:
        """`pip install -e .`: also twisted.plugins, which import hooks do not reach, sees the checkout."""
        self.check_in_and_out("--editable", self.sources)

    def test_wheel(self) -> None:
        """The wheel, built from the source archive as for a release, holds all of p2pchat and nothing else."""
        dist = self.sources / "dist"
        build = "import setuptools.build_meta as backend; print(backend.build_sdist('dist'))"
        run(sys.executable, "-c", build, cwd=self.sources)
        [archive] = dist.glob("*.tar.gz")
        flags = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation")
        run(sys.executable, "-m", "pip", "wheel", *flags, "--wheel-dir", dist, archive)
        [wheel] = dist.glob("*.whl")
        with zipfile.ZipFile(wheel) as opened:
            names = {name for name in opened.namelist() if ".dist-info/" not in name}
        suffixes = {".py", ".sql", ".typed"}
        ours = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("p2pchat/**/*") if path.suffix in suffixes}
        share = {f"p2pchat-{p2pchat.__version__}.data/data/{name}" for name in shared()}
        self.assertEqual(names, ours | share | {"twisted/plugins/p2pchat_plugins.py"})
        with tarfile.open(archive) as sources:
            self.assertFalse([name for name in sources.getnames() if "/tests/" in name])
        self.check_in_and_out(wheel)


class PipxTests(SynchronousTestCase):
    """The way that the README shows to people."""

    def test_include_deps(self) -> None:
        """`pipx install --include-deps` gives both `p2pchat` and a `twistd` that knows the plugins."""
        if os.environ.get("P2PCHAT_SOAK") != "1":
            raise SkipTest("fetches everything from the registry: runs in make soak (P2PCHAT_SOAK=1)")
        base = Path(self.mktemp()).resolve()
        venv.create(base / "tools", with_pip=True)
        python = base / "tools" / "bin" / "python"
        try:
            run(python, "-m", "pip", "--quiet", "install", "pipx")
        except AssertionError as error:
            raise SkipTest("pipx cannot be installed here") from error
        sources = copy_sources(base / "sources")
        home, bin_directory = str(base / "pipx"), str(base / "bin")
        pipx = (python, "-m", "pipx", "install", "--include-deps", "--python", sys.executable, sources)
        run(*pipx, PIPX_HOME=home, PIPX_BIN_DIR=bin_directory, PIPX_MAN_DIR=str(base / "man"))
        self.assertTrue((base / "bin" / "p2pchat").exists())
        self.assertLessEqual(OURS | TWISTED, set(re.findall(r"\S+", run(base / "bin" / "twistd", "--help"))))


class MetadataTests(SynchronousTestCase):
    """setup.cfg says what is there."""

    def setUp(self) -> None:
        self.setup = configparser.ConfigParser()
        self.setup.read(ROOT / "setup.cfg")
        requirements = self.setup["options"]["install_requires"].split()
        self.required = {self.normal(re.split(r"[\[>]", line)[0]) for line in requirements}

    @staticmethod
    def normal(name: str) -> str:
        """A distribution's name as registries compare it."""
        return re.sub(r"[-_.]+", "-", name).lower()

    def test_packages(self) -> None:
        """Every package is listed: one that is not would be missing from an installation, and only there."""
        packages = {".".join(path.parent.relative_to(ROOT).parts) for path in ROOT.glob("p2pchat/**/__init__.py")}
        self.assertEqual(set(self.setup["options"]["packages"].split()), packages | {"twisted.plugins"})

    def test_shared_files(self) -> None:
        """Every manual page and completion is listed, under the directory that it lies in."""
        listed = self.setup["options.data_files"]
        found = {name for directory in listed for name in listed[directory].split()}
        self.assertEqual(found, shared())
        for directory in listed:
            self.assertEqual({name.rpartition("/")[0] for name in listed[directory].split()}, {directory})

    def test_requirements(self) -> None:
        """Whatever a module imports is required by name, and not by way of another that happens to bring it."""
        owners = importlib.metadata.packages_distributions()
        missing = set()
        for path in ROOT.glob("p2pchat/**/*.py"):
            for found in imports(path.relative_to(ROOT).as_posix(), ast.parse(path.read_text("utf-8"))):
                top = found.name.split(".")[0]
                if top in sys.stdlib_module_names or top == "p2pchat":
                    continue
                if not self.required & {self.normal(owner) for owner in owners.get(top, [])}:
                    missing.add(top)
        self.assertEqual(missing, set())
