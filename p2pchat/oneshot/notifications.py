"""`p2pchat notify`: over the peer's socket where one runs, otherwise in its store."""

from argparse import Namespace

import msgspec

from ..api import Notifications, SetNotifications, ShowNotifications
from ..config import parse_path
from ..core.errors import NotRunning, UsageError
from ..ui.alerts import notification_lines
from ..ui.commands import parse
from .output import client_of, print_lines, state_of


def notify(options: Namespace) -> None:
    """Do what the same words do behind /notify at the prompt, and show what is set then."""
    words = (f'"{word}"' if " " in word else word for word in options.words)
    command = parse(f"/notify {' '.join(words)}", None)
    if not isinstance(command, ShowNotifications | SetNotifications):
        raise UsageError("that is no setting; see p2pchat notify --help")
    if isinstance(command, SetNotifications) and command.hook:
        # The peer's current directory is not ours.
        command = msgspec.structs.replace(command, hook=str(parse_path(command.hook, "hook")))
    try:
        with client_of(options, "peer") as peer:
            set_so = peer.call(command, Notifications)
    except NotRunning:
        from ..peer.offline import change_notifications

        set_so = change_notifications(state_of(options, "peer"), command)
    print_lines(notification_lines(set_so, command))
