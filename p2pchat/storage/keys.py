"""
The file of the identity's private key: made once, whole or not at all, and never made anew because it cannot be read.

PKCS#8 in PEM, not encrypted, readable by its owner alone (F40). The database remembers which key it belongs to, so
that a lost or exchanged file is noticed before anybody is told another identity.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from p2pchat.core.errors import StateError
from p2pchat.core.identity import Identity, id_of, short_id
from p2pchat.storage.crash import Point, reach
from p2pchat.storage.directory import StateDirectory
from p2pchat.storage.files import create_once, read_secret

KEY_SETTING = "key"
"""The setting under which a database remembers the SubjectPublicKeyInfo of the identity that it belongs to."""

ANEW_SETTING = "anew"
"""
The setting that stands in a database that was made where a key was already, until a start that is up has said so:
whoever made it may have been a command, or a start that failed.
"""


def load_identity(file: Path) -> Identity | None:
    """The identity in `file`, or None if there is no such file; raises StateError for everything else."""
    try:
        # Who may use the directory is the directory's to say; root may look at what is its owner's.
        data = read_secret(file, file.parent.stat().st_uid if os.geteuid() == 0 else None)
    except FileNotFoundError:
        return None
    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise StateError(f"{file} holds no private key that can be read: put it back from a backup") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise StateError(f"{file} holds another kind of key than Ed25519: put the right file back from a backup")
    return Identity(key)


def store_identity(file: Path, identity: Identity) -> None:
    """Put the key of `identity` into `file`, where none may be yet: raises FileExistsError, StateError, StoreFull."""
    pem = identity.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    create_once(file, pem)


def load_or_create_identity(directory: StateDirectory, known: bytes | None, seed: Callable[[], bytes]) -> Identity:
    """
    The identity of a state directory that we hold; a new one only if there never was any.

    `known` is what the database has under KEY_SETTING, None if it is new; the caller stores it there when this
    has returned. `seed` gives 32 bytes of real randomness. Raises StateError (a key file that is missing,
    unreadable or not the one that the database knows) or StoreFull.
    """
    identity = load_identity(directory.key_file)
    if identity is None and known is not None:
        raise StateError(
            f"{directory.key_file} is missing, the key of {short_id(id_of(known))}: put it back from a backup, or run: "
            f"p2pchat identity import FILE --state {directory.path}"
        )
    if identity is None:
        identity = _create(directory.key_file, seed)
    check_known(directory, identity, known)
    if known is None:
        reach(Point.KEY_MADE)
    return identity


def check_known(directory: StateDirectory, identity: Identity, known: bytes | None) -> None:
    """Raises StateError if the database of `directory` belongs to another identity."""
    if known is not None and known != identity.key:
        raise StateError(
            f"{directory.path} belongs to {short_id(id_of(known))}, and {short_id(identity.id)} is another identity: "
            "put the right key back, or use another directory with --state DIR"
        )


def check_kept(directory: StateDirectory, known: bytes | None, otherwise: str) -> None:
    """Raises StateError if the key of `directory` is missing, unreadable or another; `otherwise`: the other way out."""
    identity = load_identity(directory.key_file)
    if identity is None:
        raise StateError(f"{directory.key_file} is missing: put it back from a backup, or {otherwise}")
    check_known(directory, identity, known)


def _create(file: Path, seed: Callable[[], bytes]) -> Identity:
    # If somebody put one there this moment, that one counts.
    with suppress(FileExistsError):
        store_identity(file, Identity.from_seed(seed()))
    identity = load_identity(file)
    if identity is None:
        raise StateError(f"{file} vanished while it was made: look who removes files there, and start again")
    return identity
