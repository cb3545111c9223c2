"""A conversation, and whether somebody is dialled for it."""

from dataclasses import dataclass, field

from ..core.messages import Address
from .chat import Chat
from .pursuit import Pursuit


@dataclass(slots=True)
class Talk:
    """A conversation that there is, or that is wanted."""

    chat: Chat
    pursuit: Pursuit
    wanted: bool = False
    """The person wants it: it is dialled until it is closed."""
    ready: bool = False
    """What waits was counted; before that nothing may be said, or it would overtake what was said earlier."""
    opened: bool = False
    """It was open before, and is not over."""
    lost: bool = False
    """It was open before, and has no link now."""
    text: str = ""
    """What to say when asking."""
    typed: list[Address] = field(default_factory=list)
    """Addresses that the person gave."""
