"""
A crowd of peers in one process, for servers to be loaded with.

It works on its sockets directly, without Twisted, so that it takes little of the processors; it tells when a socket
has something to read as the kernel does, and reads it later. To a server it is so many honest peers of the protocol.
"""

import hashlib
import json
import resource
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct
from OpenSSL import SSL

from benchmarks.bare_tls import make_certificate, make_context
from p2pchat.core.framing import LARGE_FRAME, FrameBuffer, encode_frame
from p2pchat.core.identity import Identity, id_of
from p2pchat.core.messages import VERSION, Address, Hello, Message, Ping, Register, ServerHello, Watch, decode, encode
from p2pchat.core.records import make_record

AT_ONCE = 6
"""Registrations under way: a server takes eight strangers at once from one address."""

STUCK_AFTER = 20.0
"""Seconds without anything happening."""

HEARTBEAT = 8.0
"""Seconds between two pings of a member; a server misses whoever is silent for 30."""

PROTOCOL = b"p2pchat-server/1"


class Came(Struct):
    """As much of a message as a crowd needs to know."""

    type: str
    more: bool = False


_decode = msgspec.msgpack.Decoder(Came).decode


class Member:
    """One peer of the crowd."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.identity = Identity.from_seed(hashlib.sha256(b"benchmark %d" % number).digest())
        self.context = make_context(self.identity.private_key, make_certificate(self.identity.private_key))
        self.context.set_alpn_protos([PROTOCOL])
        self.hello: ServerHello | None = None
        self.came: set[str] = set()
        """What kinds of messages came, since somebody looked; "last" for the last page of a roster."""
        self.frame_bytes = 0
        """Size of the last frame."""
        self._shaken = False
        self._frames = FrameBuffer(LARGE_FRAME)

    def connect(self, port: int) -> None:
        """Begin."""
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._tls = SSL.Connection(self.context, self.socket)
        self._tls.set_connect_state()
        self._shaken, self.hello = False, None
        self._frames.clear()
        self.came.clear()
        self.read()

    def send(self, message: Message) -> None:
        """Say something."""
        self._tls.send(encode_frame(encode(message)))

    def read(self) -> None:
        """Take what there is; raises SSL.Error when the server ends it."""
        try:
            if not self._shaken:
                self._tls.do_handshake()
                self._shaken = True
                handle = f"member-{self.number}"
                self.send(Hello(version=VERSION, handle=handle, nonce=b"n" * 16, store=b"s" * 16))
            while True:
                self._frames.feed(self._tls.recv(LARGE_FRAME))
                for frame in self._frames.frames():
                    self._take(frame)
        except SSL.WantReadError:
            pass

    def _take(self, frame: bytes | bytearray) -> None:
        came = _decode(frame)
        self.frame_bytes = len(frame)
        self.came.add(came.type)
        if came.type == "roster" and not came.more:
            self.came.add("last")
        if came.type in ("bye", "declined"):
            raise RuntimeError(f"the server refused: {decode(frame)}")
        if came.type == "server-hello":
            hello = decode(frame)
            assert isinstance(hello, ServerHello)
            self.hello = hello

    def register(self) -> None:
        """Register, the server's hello having come."""
        assert self.hello is not None
        server = id_of(self.hello.key)
        addresses = (Address(host="10.1.2.3", port=6666), Address(host="127.0.0.1", port=6666))
        record = make_record(
            self.identity, server, f"member-{self.number}", "", addresses, self.hello.time + int(time.monotonic() * 1e3)
        )
        self.send(Register(record=record))


class Crowd:
    """All members; each question of the benchmark is a method."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._members: dict[int, Member] = {}
        self._by_descriptor: dict[int, Member] = {}
        self._epoll = select.epoll()
        self._pinged_at = time.monotonic()

    def register(self, first: int, count: int) -> dict[str, Any]:
        """Bring members online, a few at a time."""
        waiting = deque(self._member(number) for number in range(first, first + count))
        under_way: set[Member] = set()
        started = time.monotonic()
        while waiting or under_way:
            while waiting and len(under_way) < AT_ONCE:
                member = waiting.popleft()
                self._connect(member)
                under_way.add(member)
                # The server may have answered already.
                self._go_on(member)
            for member in self._ready():
                member.read()
                self._go_on(member)
                if "registered" in member.came:
                    under_way.discard(member)
        return {"seconds": time.monotonic() - started}

    def prepare(self, first: int, count: int) -> dict[str, Any]:
        """Make the keys and certificates of members."""
        for number in range(first, first + count):
            self._member(number)
        return {}

    def drop(self, first: int, count: int) -> dict[str, Any]:
        """Some leave without a word."""
        for number in range(first, first + count):
            member = self._members[number]
            del self._by_descriptor[member.socket.fileno()]
            self._epoll.unregister(member.socket)
            member.socket.close()
        return {}

    def ping(self) -> dict[str, Any]:
        """One heartbeat of everybody."""
        self._pinged_at = time.monotonic()
        everybody = list(self._by_descriptor.values())
        for member in everybody:
            member.came.clear()
            member.send(Ping(number=1))
        self._read_until(everybody, lambda member: "pong" in member.came)
        return {}

    @property
    def wait(self) -> float:
        """Seconds until the next heartbeat."""
        return max(0.0, self._pinged_at + HEARTBEAT - time.monotonic())

    def watch(self, first: int, count: int) -> dict[str, Any]:
        """Members watch everyone; it ends when all have the whole roster."""
        watchers = [self._members[number] for number in range(first, first + count)]
        started = time.monotonic()
        for at in range(0, len(watchers), 50):
            if not self.wait:
                self.ping()
            some = watchers[at : at + 50]
            for member in some:
                member.came.clear()
                member.send(Watch(everyone=True))
            self._read_until(some, lambda member: "last" in member.came)
        return {"seconds": time.monotonic() - started}

    def join(self, number: int, first: int, count: int) -> dict[str, Any]:
        """One more registers; until the last of the watchers has something to read."""
        watchers = {self._members[each].socket.fileno() for each in range(first, first + count)}
        for descriptor in watchers:
            self._by_descriptor[descriptor].came.clear()
        newcomer = self._member(number)
        self._connect(newcomer)
        self._read_until([newcomer], lambda member: member.hello is not None)
        started = time.monotonic()
        newcomer.register()
        missing = set(watchers)
        while missing:
            missing.difference_update(descriptor for descriptor, _ in self._poll())
        seconds = time.monotonic() - started
        for descriptor in watchers:
            self._by_descriptor[descriptor].read()
        newcomer.read()
        if any("changes" not in self._by_descriptor[descriptor].came for descriptor in watchers):
            raise RuntimeError("something else came than the join")
        return {"seconds": seconds, "bytes": self._by_descriptor[next(iter(watchers))].frame_bytes}

    # --- inside

    def _member(self, number: int) -> Member:
        if number not in self._members:
            self._members[number] = Member(number)
        return self._members[number]

    def _connect(self, member: Member) -> None:
        member.connect(self._port)
        descriptor = member.socket.fileno()
        self._by_descriptor[descriptor] = member
        # Edge-triggered: what is left unread on purpose is told once.
        self._epoll.register(descriptor, select.EPOLLIN | select.EPOLLET)

    def _go_on(self, member: Member) -> None:
        if "server-hello" in member.came:
            member.came.clear()
            member.register()

    def _poll(self) -> list[tuple[int, int]]:
        events = self._epoll.poll(STUCK_AFTER)
        if not events:
            raise RuntimeError("the server does not answer")
        return events

    def _ready(self) -> Iterator[Member]:
        for descriptor, _ in self._poll():
            yield self._by_descriptor[descriptor]

    def _read_until(self, members: Iterable[Member], done: Callable[[Member], bool]) -> None:
        missing = {member for member in members if not done(member)}
        while missing:
            for member in self._ready():
                member.read()
                if member in missing and done(member):
                    missing.discard(member)


def main() -> None:
    """Serve questions about the port that is given."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    crowd = Crowd(int(sys.argv[1]))
    print(json.dumps({}), flush=True)
    while True:
        # Between two questions, so that no heartbeat is in what is measured.
        while not select.select([sys.stdin], [], [], crowd.wait)[0]:
            crowd.ping()
        question = json.loads(sys.stdin.readline() or "null")
        if question is None:
            return
        print(json.dumps(getattr(crowd, question.pop("what"))(**question)), flush=True)


if __name__ == "__main__":
    main()
