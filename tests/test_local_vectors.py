"""docs/local-vectors.json: what crosses the local socket, byte for byte."""

import json
from pathlib import Path
from typing import Any, get_args

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from p2pchat import api
from p2pchat.api.lines import Answer, Request, to_json, to_line
from p2pchat.core.errors import Reported
from p2pchat.net.local import json_execute
from p2pchat.net.local_api import LocalApi
from p2pchat.net.local_client import LocalClient

from .make_local_vectors import vectors

FILE = Path(__file__).parent.parent / "docs" / "local-vectors.json"
KINDS = ("requests", "replies", "refusals", "events")


class VectorTests(SynchronousTestCase):
    """Our encoder and decoder, and the file."""

    def setUp(self) -> None:
        if not FILE.exists():
            raise SkipTest("not a source tree")
        self.file: dict[str, Any] = json.loads(FILE.read_text())

    def test_as_written(self) -> None:
        """We write what stands there."""
        hint = "run: python -m tests.make_local_vectors > docs/local-vectors.json"
        self.assertEqual(vectors(), self.file, hint)

    def test_lines(self) -> None:
        """Every line is printable ASCII, one line, and JSON of the version."""
        for line in [line for kind in KINDS for line in self.file[kind]]:
            self.assertTrue(line[:-1].isascii() and line[:-1].isprintable() and line.endswith("\n"), line)
            self.assertEqual(json.loads(line)["version"], self.file["version"])

    def test_everything_is_there(self) -> None:
        """No command, reply or event lacks a line."""
        for kind, field, unions in (
            ("requests", "command", (api.Command, api.ServerCommand)),
            ("replies", "reply", (api.Reply, api.ServerReply)),
            ("events", "event", (api.Event,)),
        ):
            found = {json.loads(line)[field]["type"] for line in self.file[kind]}
            wanted = {each.__struct_config__.tag for union in unions for each in get_args(union)}
            self.assertEqual(found - {"subscribe"}, wanted)

    def test_requests(self) -> None:
        """The daemon reads every request, and it reads as what it was made of."""
        for line in self.file["requests"][1:]:
            request = msgspec.json.decode(line, type=Request)
            kept: list[Any] = []
            for union in (api.Command, api.ServerCommand):
                json_execute(union, self.keep(kept))(bytes(request.command)).addErrback(lambda _: None)
            self.assertTrue(kept, line)
            for command in kept:
                self.assertGreaterEqual(
                    json.loads(to_json(command)).items(), json.loads(bytes(request.command)).items()
                )

    def keep(self, kept: list[Any]) -> Any:
        def execute(command: Any) -> Deferred[Any]:
            kept.append(command)
            return succeed(api.Done())

        return execute

    def test_replies(self) -> None:
        """Both of our clients read every reply as what it was made of."""
        client = LocalClient(Path("nowhere"), "peer")
        for line in self.file["replies"]:
            answer = msgspec.json.decode(line, type=Answer)
            of_server = json.loads(line)["reply"]["type"] in {
                each.__struct_config__.tag for each in get_args(api.ServerReply)
            }
            union: Any = api.ServerReply if of_server else api.Reply
            reply = client.decoded(answer, union)
            self.assertEqual(to_line(msgspec.structs.replace(answer, reply=msgspec.Raw(to_json(reply)))).decode(), line)

    def test_refusals(self) -> None:
        """An error comes out with its line and its code."""
        client = LocalClient(Path("nowhere"), "peer")
        for line in self.file["refusals"]:
            answer = msgspec.json.decode(line, type=Answer)
            error = self.assertRaises(Reported, client.decoded, answer, api.Done)
            self.assertEqual((str(error), error.exit_code), (json.loads(line)["error"], json.loads(line)["exit_code"]))

    def test_events(self) -> None:
        """A front end over the socket is told every event as what it was made of."""
        from twisted.internet.task import Clock

        told: list[Any] = []
        held = LocalApi(Clock(), api.Reply, api.Event, lambda text: api.Problem(text=text), told.append)
        held.subscribe(told.append)
        held.makeConnection(StringTransport())  # type: ignore[arg-type]
        for line in self.file["events"]:
            held.dataReceived(line.encode())
        self.assertEqual([json.loads(to_json(event)) for event in told], self.events())
        held.leave()

    def events(self) -> list[Any]:
        return [json.loads(line)["event"] for line in self.file["events"]]
