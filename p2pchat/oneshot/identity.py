"""`p2pchat identity`: the key under a passphrase, which never stands in arguments or the environment."""

import os
from argparse import Namespace

from ..core.errors import UserError
from ..core.identity import short_id
from ..ui.questions import ask_passphrase, read_passphrase
from .output import print_line, state_of


def export_to_file(options: Namespace) -> None:
    """Write the identity to a new file."""
    from ..peer.backup import check_passphrase, export_identity

    if os.path.lexists(options.file):  # better said before the passphrase was thought of
        raise UserError(f"{options.file} exists already: choose another name, or move it away")
    passphrase = _passphrase(options, twice=True)
    check_passphrase(passphrase)
    identity = export_identity(state_of(options, "peer"), options.file, passphrase)
    written = f"wrote the identity {short_id(identity.id)} to {options.file}"
    print_line(f"{written}; nobody can open it without the passphrase")


def import_from_file(options: Namespace) -> None:
    """Take the identity from such a file."""
    from ..peer.backup import import_identity

    state = state_of(options, "peer")
    identity = import_identity(state, options.file, _passphrase(options, twice=False))
    print_line(f"{state} is {short_id(identity.id)} from now on")


def _passphrase(options: Namespace, *, twice: bool) -> str:
    if options.passphrase_fd is not None:
        return read_passphrase(options.passphrase_fd)
    if options.passphrase_file is not None:
        return read_passphrase(options.passphrase_file)
    return ask_passphrase(twice=twice)
