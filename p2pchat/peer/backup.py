"""
The identity in a file under a passphrase, for the day when the state directory is lost.

The file is PKCS#8 in PEM (RFC 5958), encrypted with PBES2 (RFC 8018): scrypt (RFC 7914) and AES-256-CBC, as
`openssl pkcs8 -topk8 -scrypt` writes it, so that other programs can read it in twenty years. It is encoded
here because what cryptography writes can be guessed at 2,048 hash iterations a guess: its PKCS#8 directly, and its
PKCS#12, whatever its number of rounds, by way of the MAC. A line in front names the id, since CBC would let
a damaged file become another key.
"""

import base64
import hashlib
import unicodedata
from pathlib import Path
from secrets import token_bytes

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ..core.errors import StateError, UsageError, UserError
from ..core.identity import Identity, format_id, short_id
from ..storage.directory import StateDirectory
from ..storage.files import create_once
from ..storage.keys import KEY_SETTING, check_known, load_identity, store_identity
from ..storage.offline import open_offline
from ..storage.peer_tables import PEER_SCHEMA

MIN_PASSPHRASE = 8
"""Characters: less is guessed, however slow a guess is."""

SCRYPT_COST = 2**14
SCRYPT_BLOCK = 8
SCRYPT_PARALLEL = 5
"""16 MiB and some 0.2 s a guess: OWASP's advice for this much memory, which is what OpenSSL takes at most."""

SCRYPT_MEMORY = 32 * 1024 * 1024

MAX_FILE = 64 * 1024
"""Bytes read of a file that somebody says is an exported identity; ours has 400."""

PEM_LINE = 64

_LABEL = "ENCRYPTED PRIVATE KEY"
_MARK = "p2pchat identity "

# Object identifiers, as DER.
_PBES2 = bytes.fromhex("06092a864886f70d01050d")
_SCRYPT = bytes.fromhex("06092b06010401da47040b")
_AES_256_CBC = bytes.fromhex("060960864801650304012a")

_SEQUENCE = 0x30
_OCTETS = 0x04
_INTEGER = 0x02


def export_identity(state: Path, file: Path, passphrase: str) -> Identity:
    """Write the identity of `state` to `file`, which must not exist; works while the peer runs. Raises UserError."""
    check_passphrase(passphrase)
    directory = StateDirectory(state)
    identity = load_identity(directory.key_file)
    if identity is None:
        raise StateError(f"{directory.path} has no identity yet: join a server or start the peer first")
    data = encrypt(identity, passphrase, token_bytes(16), token_bytes(16))
    if decrypt(data, passphrase).id != identity.id:
        raise UserError("the export could not be read back: nothing was written; please report this")
    try:
        create_once(file, data)
    except FileExistsError:
        raise UserError(f"{file} exists already: choose another name, or move it away") from None
    return identity


def import_identity(state: Path, file: Path, passphrase: str) -> Identity:
    """
    Make the identity in `file` that of `state`, where there is none; raises UserError.

    A directory whose database belongs to another identity stays as it is.
    """
    identity = decrypt(_read(file), passphrase)
    directory = StateDirectory(state, "command")
    if directory.database_file(PEER_SCHEMA.name).exists():
        with open_offline(directory, PEER_SCHEMA) as database:
            check_known(directory, identity, database.read(lambda tables: tables.settings.get(KEY_SETTING)))
            _store(directory, identity)
    else:
        with directory:
            directory.keep_apart(PEER_SCHEMA.name)
            _store(directory, identity)
    return identity


def check_passphrase(passphrase: str) -> None:
    """Raises UsageError for one that is too short."""
    if len(_normal(passphrase)) < MIN_PASSPHRASE:
        raise UsageError(f"that passphrase has less than {MIN_PASSPHRASE} characters; take some words")


def encrypt(identity: Identity, passphrase: str, salt: bytes, vector: bytes) -> bytes:
    """The file's contents; `salt` and `vector` are 16 random bytes each."""
    private = identity.private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    padder = PKCS7(AES.block_size).padder()
    cipher = Cipher(AES(_derive(passphrase, salt)), CBC(vector)).encryptor()
    encrypted = cipher.update(padder.update(private) + padder.finalize()) + cipher.finalize()
    numbers = (SCRYPT_COST, SCRYPT_BLOCK, SCRYPT_PARALLEL)
    derivation = _der(
        _SEQUENCE,
        _SCRYPT + _der(_SEQUENCE, _der(_OCTETS, salt) + b"".join(_der(_INTEGER, _unsigned(n)) for n in numbers)),
    )
    encryption = _der(_SEQUENCE, _AES_256_CBC + _der(_OCTETS, vector))
    algorithm = _der(_SEQUENCE, _PBES2 + _der(_SEQUENCE, derivation + encryption))
    return _pem(identity, _der(_SEQUENCE, algorithm + _der(_OCTETS, encrypted)))


def decrypt(data: bytes, passphrase: str) -> Identity:
    """The identity in a file's contents; raises UserError."""
    if f"-----BEGIN {_LABEL}-----".encode() not in data:
        raise UserError("that file is no exported identity; give the right one")
    try:
        key = load_pem_private_key(data, _normal(passphrase).encode())
    except (ValueError, TypeError, UnsupportedAlgorithm, InternalError, MemoryError):
        # The last two where the damage made a guess cost more memory than OpenSSL takes.
        raise UserError("that is not the passphrase of this file, or the file is damaged; try again") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise UserError("that file holds another kind of key than an identity; give the right one")
    identity = Identity(key)
    named = [line for line in data.decode("ascii", "replace").splitlines() if line.startswith(_MARK)]
    if named and named[0].removeprefix(_MARK).strip() != format_id(identity.id):
        raise UserError("that file is damaged: the key in it is not the one that it names; take another copy")
    return identity


def _store(directory: StateDirectory, identity: Identity) -> None:
    present = load_identity(directory.key_file)
    if present is not None and present.id == identity.id:
        raise UserError(f"{directory.path} has this identity already: nothing was changed")
    try:
        store_identity(directory.key_file, identity)
    except FileExistsError:
        raise UserError(
            f"{directory.path} has another identity, {short_id(present.id) if present else 'just made'}: import into a "
            "new directory with --state DIR"
        ) from None


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(MAX_FILE)
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}; give the exported file") from None


def _normal(passphrase: str) -> str:
    # Keyboards write the same letters in different ways.
    return unicodedata.normalize("NFC", passphrase).encode("utf-8", "replace").decode()


def _derive(passphrase: str, salt: bytes) -> bytes:
    return hashlib.scrypt(
        _normal(passphrase).encode(),
        salt=salt,
        n=SCRYPT_COST,
        r=SCRYPT_BLOCK,
        p=SCRYPT_PARALLEL,
        maxmem=SCRYPT_MEMORY,
        dklen=32,
    )


def _der(tag: int, content: bytes) -> bytes:
    """X.690: tag, length, content; lengths up to 255 are all that is needed here."""
    length = bytes([len(content)]) if len(content) < 128 else bytes([0x81, len(content)])
    return bytes([tag]) + length + content


def _unsigned(number: int) -> bytes:
    return number.to_bytes(number.bit_length() // 8 + 1, "big")


def _pem(identity: Identity, data: bytes) -> bytes:
    text = base64.b64encode(data).decode()
    lines = [text[start : start + PEM_LINE] for start in range(0, len(text), PEM_LINE)]
    head = f"{_MARK}{format_id(identity.id)}\nGet it back with: p2pchat identity import FILE\n"
    return "\n".join([head + f"-----BEGIN {_LABEL}-----", *lines, f"-----END {_LABEL}-----", ""]).encode()
