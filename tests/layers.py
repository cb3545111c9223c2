"""
The rules of the house, as tables, and a reader of sources that finds what breaks them.

The picture is in docs/architecture.md. A source is read with `ast` and never imported, so a rule also holds
for imports inside functions and under `if TYPE_CHECKING:`.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

LINE_LIMIT = 400
"""Lines of one module; a longer one is split by what it knows."""

LONGER = {"p2pchat/core/messages.py": 500}
"""The one exception: that all of the wire stands in one module is worth more."""

EVERYTHING = {
    "api",
    "cli",
    "config",
    "core",
    "daemon_options",
    "message_options",
    "manual",
    "net",
    "oneshot",
    "option_parts",
    "options",
    "peer",
    "server",
    "storage",
    "tap",
    "ui",
    "units",
}

LAYERS: dict[str, set[str]] = {
    "core": {"core"},
    "config": {"core"},
    "api": {"api", "config", "core"},
    "net": {"net", "api.lines", "config", "core"},
    "storage": {"storage", "config", "core"},
    "peer": {"peer", "api", "config", "core", "net", "storage"},
    "server": {"server", "api", "config", "core", "net", "storage"},
    "ui": {"ui", "api", "config", "core.errors", "core.identity", "core.text"},
    "cli": {"cli", "oneshot", "options", "core"},
    "oneshot": {"oneshot", "units", "ui", "net.local_client", "api", "config", "core"},
    "options": {"config", "core", "daemon_options", "message_options", "option_parts"},
    "option_parts": {"config", "core"},
    "daemon_options": {"config"},
    "message_options": {"config", "core"},
    "manual": {"manual", "options", "ui.arguments", "ui.commands", "ui.help"},
    "units": set(),
    "tap": EVERYTHING,
    "__main__": {"cli"},
    "": set(),
}
"""Unit (module or package right under p2pchat) to what it may import: units, or modules of a unit."""

LATE: dict[str, set[str]] = {
    "oneshot": {
        *(
            "peer.backup",
            "peer.checkup",
            "peer.offline",
            "peer.probe",
            "peer.recovery",
            "server.checkup",
            "server.diagnosis",
            "server.offline",
        ),
        *("server.recovery", "storage.directory"),
        *("manual.completion", "tap.attach", "tap.once"),
    }
}
"""What a unit may import inside functions only: `p2pchat --version` must not pay for it."""

CONFINED: dict[str, tuple[str, ...]] = {
    "apsw": ("p2pchat/storage/",),
    "OpenSSL": ("p2pchat/net/tls.py",),
    "prompt_toolkit": ("p2pchat/ui/",),
    "sqlite3": (),
}
"""Foreign package to the only paths that may import it."""

FACES = {"p2pchat/api/__init__.py"}
"""Packages whose `__init__.py` also gathers their names for those who import them, and declares protocols."""

PURE = {
    *(
        "__future__",
        "abc",
        "base64",
        "binascii",
        "bisect",
        "collections",
        "contextlib",
        "copy",
        "dataclasses",
        "datetime",
    ),
    *("enum", "fractions", "functools", "hashlib", "heapq", "hmac", "ipaddress", "itertools", "json", "math"),
    *("operator", "re", "string", "struct", "textwrap", "types", "typing", "unicodedata", "urllib.parse"),
    *("cryptography", "msgspec"),
}
"""All that core may import from elsewhere: nothing here reads a clock, a file, a socket or a random source."""

IMPURE_CALLS = {"generate", "generate_key", "input", "now", "open", "print", "today", "urandom", "utcnow"}
"""Calls in core that reach outside, some of them through packages that are pure otherwise."""


@dataclass(frozen=True)
class Import:
    """One name that a module imports, in full: `from a.b import c` is `a.b.c`."""

    name: str
    line: int
    late: bool
    """Whether it happens when a function is called, or for mypy alone, and not when the module is loaded."""

    def within(self, module: str) -> bool:
        """Whether this is that module or something in it."""
        return self.name == module or self.name.startswith(f"{module}.")


def package_of(path: str) -> list[str]:
    """The package that relative imports in the module at `path` start from."""
    return list(PurePosixPath(path).parent.parts)


def imports(path: str, tree: ast.AST, late: bool = False) -> Iterator[Import]:
    """All imports of a module, wherever they stand."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, late)
        elif isinstance(node, ast.ImportFrom):
            package = package_of(path)
            origin = package[: len(package) - node.level + 1] if node.level else []
            module = [*origin, *([node.module] if node.module else [])]
            for alias in node.names:
                yield Import(".".join([*module, alias.name]), node.lineno, late)
        else:
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            typed = isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
            yield from imports(path, node, late or inside or typed)


def unit_of(path: str) -> str:
    """The unit that a module under p2pchat belongs to: `p2pchat/net/tls.py` to `net`, the top itself to ``."""
    unit = PurePosixPath(path).parts[1].removesuffix(".py")
    return "" if unit == "__init__" else unit


def layer_faults(path: str, found: Import) -> Iterator[str]:
    """Imports of our own modules that go upward or sideways."""
    if not found.within("p2pchat") or found.name in ("p2pchat", "p2pchat.__version__"):
        return
    unit = unit_of(path)
    allowed = LAYERS[unit] | (LATE.get(unit, set()) if found.late else set())
    if not any(found.within(f"p2pchat.{module}") for module in allowed):
        yield f"{unit or 'the top'} must not import {found.name}"


def confinement_faults(path: str, found: Import) -> Iterator[str]:
    """Imports of foreign packages that have one home, and of reactors."""
    for package, homes in CONFINED.items():
        if found.within(package) and not path.startswith(homes):
            yield f"{package} is imported in {' and '.join(homes) or 'no place'} alone"
    if re.match(r"twisted\.internet\.\w*reactor\b", found.name) and unit_of(path) != "tap":
        yield "a reactor is imported in tap alone and passed in everywhere else"
    if unit_of(path) == "core" and not found.within("p2pchat") and not any(map(found.within, PURE)):
        yield f"core is pure and must not import {found.name}"


def purity_faults(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Calls in core that would reach outside."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in IMPURE_CALLS:
                yield node.lineno, f"core is pure and must not call {name}()"


def shape_faults(path: str, source: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Modules that are too long, and packages whose `__init__.py` is more than an explanation."""
    length, limit = len(source.splitlines()), LONGER.get(path, LINE_LIMIT)
    if length > limit:
        yield length, f"longer than {limit} lines"
    if PurePosixPath(path).name != "__init__.py":
        return
    if ast.get_docstring(tree) is None:
        yield 1, "a package explains itself in a docstring"
    for node in tree.body[1:]:
        if not ((path == "p2pchat/__init__.py" and assigns(node, "__version__")) or (path in FACES and declares(node))):
            yield node.lineno, "a package's __init__.py holds a docstring and no code"


def assigns(node: ast.stmt, name: str) -> bool:
    """Whether a statement does nothing but give `name` its value."""
    return isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]


def declares(node: ast.stmt) -> bool:
    """Whether a statement only makes names known: imports, `__all__`, protocols."""
    match node:
        case ast.Import() | ast.ImportFrom():
            return True
        case ast.If(test=ast.Name("TYPE_CHECKING"), body=body, orelse=[]):
            return all(map(declares, body))
        case ast.ClassDef(bases=[ast.Name("Protocol")]):
            return True
    return assigns(node, "__all__")


def module_faults(path: str, source: str) -> Iterator[tuple[int, str]]:
    """What one module of p2pchat does against the rules, with the line."""
    if unit_of(path) not in LAYERS:
        yield 1, "belongs to no layer; tests/layers.py says what may import what"
        return
    try:
        tree = ast.parse(source, feature_version=(3, 11))
    except SyntaxError as error:
        yield error.lineno or 1, f"is not Python 3.11: {error.msg}"
        return
    yield from shape_faults(path, source, tree)
    for found in imports(path, tree):
        for fault in (*layer_faults(path, found), *confinement_faults(path, found)):
            yield found.line, fault
    if unit_of(path) == "core":
        yield from purity_faults(tree)


def plugin_faults(path: str, source: str) -> Iterator[tuple[int, str]]:
    """What is under twisted/ must leave Twisted's own plugins alone and cost twistd nothing."""
    if PurePosixPath(path).name == "__init__.py":
        yield 1, "an __init__.py here would hide Twisted's own plugins"
    for found in imports(path, ast.parse(source)):
        if found.within("p2pchat"):
            yield found.line, "a plugin names its module in a string"


def faults(sources: Mapping[str, str]) -> list[str]:
    """
    Every breach of the rules in `sources` (path from the root, with slashes, to text), as `path:line: what`.
    """
    found = []
    for path, source in sorted(sources.items()):
        check = plugin_faults if path.startswith("twisted/") else module_faults
        found += [f"{path}:{line}: {fault}" for line, fault in check(path, source)]
    return found
