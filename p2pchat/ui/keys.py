"""What keys do at the prompt, beyond what prompt_toolkit binds by itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .overview import PLACES

if TYPE_CHECKING:
    from prompt_toolkit.filters import Filter
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

TWICE = 1.5
"""Seconds within which a second Ctrl-C leaves."""

MANY_LINES = 20
"""Lines of one message above which it is asked whether they were meant: somebody may have pasted the wrong thing."""


@dataclass(frozen=True)
class Wishes:
    """What the keys ask for; called in the terminal's thread."""

    say: "Callable[[str], None]"
    """A line for the person."""

    go_to: "Callable[[int], None]"
    """The chat with this number."""

    go_by: "Callable[[int], None]"
    """The next chat, or the one before."""


def bindings(wishes: Wishes) -> "KeyBindings":
    """The keys of any prompt."""
    keys = _entering(wishes)

    @keys.add("<vt100-mouse-event>")
    def _no_mouse(event: "KeyPressEvent") -> None:
        """Nobody asked for the mouse: it is a colour out of a text that was pasted, on which prompt_toolkit fails."""

    @keys.add("escape", "[", "I")
    @keys.add("escape", "[", "O")
    def _no_focus(event: "KeyPressEvent") -> None:
        """Another program left the terminal telling when its window is looked at: nobody typed that."""

    @keys.add("c-z")
    def _no_suspending(event: "KeyPressEvent") -> None:
        """A terminal in raw mode suspends nothing, and prompt_toolkit would put the character into the message."""

    @keys.add("c-n", filter=_at_input())
    def _next(event: "KeyPressEvent") -> None:
        wishes.go_by(1)

    @keys.add("c-p", filter=_at_input())
    def _before(event: "KeyPressEvent") -> None:
        wishes.go_by(-1)

    for place in range(1, PLACES + 1):

        @keys.add("escape", str(place))
        def _to(event: "KeyPressEvent", place: int = place) -> None:
            wishes.go_to(place)

    return keys


def _entering(wishes: Wishes) -> "KeyBindings":
    """The keys that enter what is in the input, or give it up."""
    from prompt_toolkit.document import Document
    from prompt_toolkit.filters import Condition, is_searching
    from prompt_toolkit.key_binding import KeyBindings
    from prompt_toolkit.key_binding.bindings.search import abort_search

    keys = KeyBindings()
    interrupted_at = 0.0
    pending = ""
    """A long text about which it was asked; it is off the screen meanwhile, or the question would be."""

    @keys.add("escape", "enter")
    def _new_line(event: "KeyPressEvent") -> None:
        event.current_buffer.newline()

    @keys.add("enter", filter=_at_input())
    def _accept(event: "KeyPressEvent") -> None:
        nonlocal pending
        buffer, asked = event.current_buffer, pending
        pending = ""
        if asked and not buffer.text:
            buffer.document = Document(asked, len(asked))
            buffer.validate_and_handle()
        elif (lines := _count(buffer.text)) > MANY_LINES:
            pending = buffer.text
            buffer.reset()
            wishes.say(f"{lines} lines as one message: Enter sends them, Ctrl-C drops, Up shows them")
        else:
            if asked:
                wishes.say(f"the {_count(asked)} lines were dropped; nothing of them was sent")
            buffer.validate_and_handle()

    @keys.add("up", filter=Condition(lambda: bool(pending)) & _at_input())
    def _show_again(event: "KeyPressEvent") -> None:
        nonlocal pending
        if not event.current_buffer.text:
            event.current_buffer.document = Document(pending, len(pending))
            pending = ""

    @keys.add("c-c")
    def _interrupt(event: "KeyPressEvent") -> None:
        nonlocal interrupted_at, pending
        now = event.app.loop.time() if event.app.loop is not None else 0.0
        dropped, pending = pending, ""
        if event.current_buffer.text:
            event.current_buffer.reset()
        elif dropped:
            wishes.say(f"the {_count(dropped)} lines were dropped; nothing of them was sent")
        elif now - interrupted_at < TWICE:
            event.app.exit(exception=EOFError)
        else:
            wishes.say("Ctrl-C again leaves")
        interrupted_at = now

    keys.add("c-c", filter=is_searching)(abort_search)  # as in a shell: out of the search, and no further

    return keys


def _count(text: str) -> int:
    """Lines of a text; an end of line behind the last one begins none."""
    return text.removesuffix("\n").count("\n") + 1


def spoken_bindings(wishes: Wishes) -> "KeyBindings":
    """Where nothing is drawn: what a menu and a search line would show is said, or put into the input at once."""
    from prompt_toolkit.completion import CompleteEvent, get_common_complete_suffix
    from prompt_toolkit.document import Document
    from prompt_toolkit.key_binding import KeyBindings

    keys = KeyBindings()
    needle = found = ""

    @keys.add("tab")
    def _complete(event: "KeyPressEvent") -> None:
        buffer = event.current_buffer
        offers = list(buffer.completer.get_completions(buffer.document, CompleteEvent(completion_requested=True)))
        common = get_common_complete_suffix(buffer.document, offers)
        if common:
            buffer.insert_text(common)
        elif offers:
            wishes.say(f"{len(offers)}: {' '.join(offer.text.strip() for offer in offers)}")
        else:
            wishes.say("nothing begins like that")

    @keys.add("c-r")
    def _search(event: "KeyPressEvent") -> None:
        """The latest line that holds what was typed; pressed again, the one before."""
        nonlocal needle, found
        buffer = event.current_buffer
        if buffer.text != found:
            needle, found = buffer.text, ""
        lines = buffer.history.get_strings()
        end = len(lines) - 1 - lines[::-1].index(found) if found in lines else len(lines)
        before = [line for line in lines[:end] if needle in line]
        if before:
            found = before[-1]
            buffer.document = Document(found, len(found))
        else:
            wishes.say(f"nothing{' more' if found else ''} that you typed holds {needle!r}")

    return keys


def _at_input() -> "Filter":
    """Neither in a menu of completions nor in a search, where these keys have another meaning."""
    from prompt_toolkit.application.current import get_app
    from prompt_toolkit.filters import Condition, has_completions, is_searching

    return Condition(lambda: get_app().current_buffer.name == "DEFAULT_BUFFER") & ~is_searching & ~has_completions
