"""The selected link of a conversation, and the exchange on it: what outbox and inbox share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ..core.delivery import Exchange
from ..core.errors import EndCode
from ..core.messages import Message


class ChatLink(Protocol):
    """What a chat needs of a link; peer/links.py has the real one."""

    @property
    def alive(self) -> bool:
        """Whether it may be used."""

    @property
    def congested(self) -> bool:
        """Whether what was sent waits for a slow reader."""

    @property
    def store(self) -> bytes:
        """The far side's store id."""

    def send(self, message: Message) -> None:
        """Send; nothing happens on a link that is over."""

    def send_all(self, messages: Sequence[Message]) -> None:
        """Send messages of which none ends the link, all in one go."""

    def carry(self) -> None:
        """It carries the chat from now on."""

    def took(self) -> None:
        """The far side told that it has some of what it was sent."""

    def charge(self) -> None:
        """Count a message that moved nothing; raises RemoteProtocolError beyond the rate."""

    def fail(self, code: EndCode, detail: str) -> None:
        """End the link because a rule was broken."""

    def close(self, code: EndCode, detail: str = "") -> None:
        """End the link in order."""

    def silence(self) -> float:
        """Seconds since the far side was heard."""


@dataclass(slots=True)
class Selected:
    """The link that the leader chose; replaced as a whole, so that late results of an older one are recognised."""

    link: ChatLink
    since: float
    """When it was selected, in the clock's seconds."""
    exchange: Exchange | None = None
    """There once our side of link-up is read from the disk."""

    @property
    def usable(self) -> Exchange | None:
        """The exchange, if something may be sent now."""
        return self.exchange if self.link.alive and not self.link.congested else None
