"""
A liar's tongue: what an honest peer would say, sometimes twisted on its way out.

So it lies in every state that an honest peer gets into: claims what it never had, gives other bodies under old
numbers, leaves gaps, acknowledges what was not sent, and says things again, in part, or not at all.
"""

from collections.abc import Callable
from random import Random

import msgspec

from p2pchat.core.messages import Entry, Have, History, Holding, Message, Refused, Seen, Window

HONESTY = 0.93
"""How often it says what it should."""


class Tongue:
    """Twists some of the messages that pass."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._said: list[Message] = []

    def __call__(self, message: Message) -> list[Message]:
        if not isinstance(message, Have | Entry | Seen | Refused | Window | History):
            return [message]
        self._said.append(message)
        if self._random.random() < HONESTY:
            return [message]
        lie: Callable[[Message], list[Message]] = self._random.choice(
            (self._silence, self._again, self._older, self._twist, self._twist, self._twist, self._more)
        )
        return lie(message)

    def _silence(self, message: Message) -> list[Message]:
        return []

    def _again(self, message: Message) -> list[Message]:
        return [message, message]

    def _older(self, message: Message) -> list[Message]:
        return [self._random.choice(self._said), message]

    def _twist(self, message: Message) -> list[Message]:
        random = self._random
        match message:
            case Have(streams=streams) if streams:
                at = random.randrange(len(streams))
                twisted = self._holding(streams[at])
                return [Have(streams=(*streams[:at], twisted, *streams[at + 1 :]), last=message.last)]
            case Entry():
                return [self._entry(message)]
            case Window():
                return [Window(entries=random.randrange(2000), bytes=random.randrange(1 << 21))]
            case Seen() | Refused():
                return [msgspec.structs.replace(message, seq=max(1, message.seq + random.choice((-1, 1, 3, 1 << 40))))]
            case History():
                return [msgspec.structs.replace(message, first=1, last=random.randrange(1, 100))]
        return [message]

    def _holding(self, holding: Holding) -> Holding:
        random = self._random
        match random.randrange(6):
            case 0:
                return msgspec.structs.replace(holding, head=random.randbytes(32))
            case 1:
                return msgspec.structs.replace(
                    holding, seq=max(0, holding.seq + random.choice((-2, -1, 1, 5, 1 << 40)))
                )
            case 2:
                return msgspec.structs.replace(holding, first=random.randrange(1, 20))
            case 3:
                return msgspec.structs.replace(holding, base=random.randbytes(32))
            case 4:
                return msgspec.structs.replace(holding, stream=holding.stream[:64] + random.randbytes(16))
            case _:
                return msgspec.structs.replace(holding, processed=random.randrange(50))

    def _entry(self, entry: Entry) -> Entry:
        random = self._random
        match random.randrange(4):
            case 0:
                return msgspec.structs.replace(entry, seq=max(1, entry.seq + random.choice((-1, 1, 7))))
            case 1:
                at = random.randrange(len(entry.bytes))
                data = entry.bytes[:at] + bytes([entry.bytes[at] ^ (1 << random.randrange(8))]) + entry.bytes[at + 1 :]
                return msgspec.structs.replace(entry, bytes=data)
            case 2:
                return msgspec.structs.replace(entry, history=not entry.history)
            case _:
                earlier = [each for each in self._said if isinstance(each, Entry)]
                return msgspec.structs.replace(entry, bytes=random.choice(earlier).bytes)

    def _more(self, message: Message) -> list[Message]:
        streams = [each.stream for each in self._said if isinstance(each, Entry | Seen | Refused)]
        if not streams:
            return [message]
        stream, seq = self._random.choice(streams), self._random.randrange(1, 30)
        lies: list[Message] = [
            Seen(stream=stream, seq=seq),
            Refused(stream=stream, seq=seq, code="conflict"),
            History(stream=stream, first=1, last=seq),
        ]
        return [message, self._random.choice(lies)]
