"""The layers hold: tests/layers.py over this tree, and over sources that break each rule."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.layers import LINE_LIMIT, faults

ROOT = Path(__file__).resolve().parent.parent


class HouseTests(SynchronousTestCase):
    """The sources of this tree."""

    def test_no_module_breaks_a_rule(self) -> None:
        """Nothing imports upward, every library stays at home, and core touches nothing."""
        paths = [*ROOT.glob("p2pchat/**/*.py"), *ROOT.glob("twisted/**/*.py")]
        sources = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in paths}
        self.assertIn("p2pchat/core/errors.py", sources)
        self.assertIn("twisted/plugins/p2pchat_plugins.py", sources)
        self.assertEqual(faults(sources), [])


class RuleTests(SynchronousTestCase):
    """Each rule, shown to find what it is for and nothing else."""

    def assert_fault(self, path: str, source: str, fault: str) -> None:
        """Exactly one fault is found in one module, on its last line."""
        lines = len(source.splitlines())
        self.assertEqual(faults({path: source}), [f"{path}:{lines}: {fault}"])

    def assert_fine(self, path: str, source: str) -> None:
        self.assertEqual(faults({path: source}), [])

    def test_upward(self) -> None:
        """A lower layer imports no higher one, however the import is written."""
        for source in (
            "from p2pchat.peer import links",
            "from p2pchat.peer.links import Links",
            "from p2pchat import peer",
            "import p2pchat.peer.links as links",
            "from ..peer import links",
            "from .. import peer",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p2pchat.peer import links",
            "class Late:\n    async def late(self):\n        try:\n            from p2pchat import peer",
        ):
            with self.subTest(source=source):
                whole = f"{source}\n        finally: pass\n" if "try" in source else f"{source}\n"
                [fault] = faults({"p2pchat/net/connection.py": whole})
                self.assertIn("net must not import p2pchat.peer", fault)

    def test_downward(self) -> None:
        """A layer may import those below it, itself, and its own neighbours by a relative name."""
        self.assert_fine("p2pchat/peer/links.py", "from p2pchat.net import dialler\nfrom p2pchat import api\n")
        self.assert_fine("p2pchat/peer/links.py", "from . import outbox\nfrom ..core.session import Session\n")
        self.assert_fine("p2pchat/tap/peer.py", "from p2pchat.ui import prompt\nfrom p2pchat import __version__\n")

    def test_forbidden_pairs(self) -> None:
        """The pairs that would tie the house into a knot, one by one."""
        for importer, imported in (
            ("core", "net"),
            ("core", "config"),
            ("config", "net"),
            ("net", "storage"),
            ("net", "api"),
            ("storage", "net"),
            ("api", "peer"),
            ("api", "net"),
            ("peer", "server"),
            ("server", "peer"),
            ("peer", "ui"),
            ("peer", "tap"),
            ("server", "tap"),
            ("ui", "peer"),
            ("ui", "net"),
            ("ui", "storage"),
            ("ui", "tap"),
        ):
            with self.subTest(importer=importer, imported=imported):
                path = f"p2pchat/{importer}.py" if importer in ("api", "config") else f"p2pchat/{importer}/x.py"
                module = f"p2pchat.{imported}"
                self.assert_fault(path, f"import {module}\n", f"{importer} must not import {module}")

    def test_parts_of_a_layer(self) -> None:
        """A front end knows names from core, not its machines; the command knows of net only the local socket."""
        self.assert_fine("p2pchat/ui/lines.py", "from p2pchat.core.text import clean\n")
        self.assert_fault(
            "p2pchat/ui/lines.py",
            "from p2pchat.core import session\n",
            "ui must not import p2pchat.core.session",
        )
        self.assert_fine("p2pchat/oneshot/running.py", "from p2pchat.net.local_client import LocalClient\n")
        self.assert_fault(
            "p2pchat/oneshot/joining.py", "from p2pchat.net import tls\n", "oneshot must not import p2pchat.net.tls"
        )
        self.assert_fine("p2pchat/net/local_client.py", "from ..api.lines import Answer\n")
        self.assert_fault("p2pchat/net/tls.py", "from ..api import Say\n", "net must not import p2pchat.api.Say")

    def test_late(self) -> None:
        """What works without a daemon is imported by the command only when it is needed."""
        self.assert_fine("p2pchat/oneshot/contacts.py", "def add():\n    from p2pchat.peer.offline import add\n")
        self.assert_fault(
            "p2pchat/oneshot/contacts.py",
            "from p2pchat.peer.offline import add\n",
            "oneshot must not import p2pchat.peer.offline.add",
        )
        self.assert_fault(
            "p2pchat/oneshot/daemons.py",
            "def serve():\n    from p2pchat.peer import service\n",
            "oneshot must not import p2pchat.peer.service",
        )

    def test_homes(self) -> None:
        """SQLite, OpenSSL and the terminal have one home each."""
        self.assert_fine("p2pchat/storage/database.py", "import apsw\nimport apsw.ext\n")
        self.assert_fine("p2pchat/net/tls.py", "from OpenSSL import SSL\n")
        self.assert_fine("p2pchat/ui/prompt.py", "import prompt_toolkit\n")
        for path, source, fault in (
            ("p2pchat/peer/outbox.py", "import apsw\n", "apsw is imported in p2pchat/storage/ alone"),
            ("p2pchat/tap/peer.py", "import apsw.ext\n", "apsw is imported in p2pchat/storage/ alone"),
            (
                "p2pchat/net/listener.py",
                "from OpenSSL.SSL import Context\n",
                "OpenSSL is imported in p2pchat/net/tls.py alone",
            ),
            (
                "p2pchat/tap/peer.py",
                "import prompt_toolkit\n",
                "prompt_toolkit is imported in p2pchat/ui/ alone",
            ),
            ("p2pchat/storage/database.py", "import sqlite3\n", "sqlite3 is imported in no place alone"),
        ):
            with self.subTest(path=path):
                self.assert_fault(path, source, fault)

    def test_reactor(self) -> None:
        """Reactors are imported where everything is put together and nowhere else."""
        fault = "a reactor is imported in tap alone and passed in everywhere else"
        for source in (
            "from twisted.internet import reactor\n",
            "import twisted.internet.reactor\n",
            "def late():\n    from twisted.internet import reactor\n",
            "from twisted.internet.asyncioreactor import install\n",
        ):
            with self.subTest(source=source):
                self.assert_fault("p2pchat/net/dialler.py", source, fault)
                self.assert_fine("p2pchat/tap/peer.py", source)
        self.assert_fine("p2pchat/net/dialler.py", "from twisted.internet.interfaces import IReactorTime\n")

    def test_purity(self) -> None:
        """Core imports nothing that could do more than compute, and calls nothing that reaches outside."""
        self.assert_fine(
            "p2pchat/core/identity.py",
            "import hashlib\nfrom cryptography.hazmat.primitives import serialization\nimport urllib.parse\n",
        )
        for module in ("os", "time", "random", "secrets", "socket", "twisted.logger", "urllib.request"):
            with self.subTest(module=module):
                fault = f"core is pure and must not import {module}"
                self.assert_fault("p2pchat/core/text.py", f"import {module}\n", fault)
        for call in ("open('x')", "Ed25519PrivateKey.generate()", "print()", "datetime.now()"):
            with self.subTest(call=call):
                [fault] = faults({"p2pchat/core/text.py": f"{call}\n"})
                self.assertIn("core is pure and must not call", fault)
                self.assert_fine("p2pchat/net/tls.py", f"{call}\n")

    def test_packages(self) -> None:
        """A package's `__init__.py` explains it and does nothing; the top may say its version."""
        self.assert_fine("p2pchat/net/__init__.py", '"""Transports."""\n')
        self.assert_fine("p2pchat/__init__.py", '"""Chat."""\n__version__ = "1"\n')
        for source in ('"""Net."""\nimport struct\n', '"""Net."""\n__version__ = "1"\n'):
            with self.subTest(source=source):
                fault = "a package's __init__.py holds a docstring and no code"
                self.assert_fault("p2pchat/net/__init__.py", source, fault)
        [fault] = faults({"p2pchat/net/__init__.py": ""})
        self.assertIn("explains itself", fault)

    def test_face(self) -> None:
        """The api gathers its names in its `__init__.py`, and still does nothing there."""
        face = (
            '"""Api."""\nfrom typing import Protocol\nfrom .commands import Say\nif TYPE_CHECKING:\n    import x\n'
            '__all__ = ["Say"]\nclass Api(Protocol):\n    pass\n'
        )
        self.assert_fine("p2pchat/api/__init__.py", face)
        for code in ("LIMIT = 3\n", "class Holder:\n    pass\n", "def tell(): pass\n"):
            with self.subTest(code=code):
                [fault] = faults({"p2pchat/api/__init__.py": face + code})
                self.assertIn("no code", fault)

    def test_broken(self) -> None:
        """A module that the oldest supported Python cannot read is a fault."""
        [fault] = faults({"p2pchat/net/tls.py": "def first[T](x: T): pass\n"})
        self.assertIn("is not Python 3.11", fault)

    def test_length(self) -> None:
        """A module has at most 400 lines."""
        self.assert_fine("p2pchat/net/tls.py", "x = 1\n" * LINE_LIMIT)
        self.assert_fault("p2pchat/net/tls.py", "x = 1\n" * (LINE_LIMIT + 1), "longer than 400 lines")

    def test_strangers(self) -> None:
        """A module that no layer knows is a fault, so that the tables stay complete."""
        for path in ("p2pchat/utils.py", "p2pchat/web/pages.py"):
            with self.subTest(path=path):
                [fault] = faults({path: "x = 1\n"})
                self.assertIn("belongs to no layer", fault)

    def test_plugins(self) -> None:
        """Under twisted/ there is no `__init__.py`, and a plugin imports nothing of ours."""
        for path in ("twisted/__init__.py", "twisted/plugins/__init__.py"):
            with self.subTest(path=path):
                [fault] = faults({path: ""})
                self.assertIn("would hide Twisted's own plugins", fault)
        self.assert_fault(
            "twisted/plugins/p2pchat_plugins.py",
            "from p2pchat.tap import server\n",
            "a plugin names its module in a string",
        )
