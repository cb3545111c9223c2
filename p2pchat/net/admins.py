"""Who may use a local socket: its owner, root, and the members of one group, by the kernel's word."""

import grp
import os
import pwd
import socket
import struct
from dataclasses import dataclass

from ..core.errors import UsageError

SO_PEERGROUPS = 59
"""Linux: the supplementary groups of whoever connected; Python's socket module has no name for it."""

_GROUPS_SIZE = 1024
"""Bytes: the most that Python asks of getsockopt; whoever is in more than 256 groups is looked up instead."""

_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class LocalUser:
    """Who connected to a Unix socket, as the kernel noted it when they did (SO_PEERCRED)."""

    pid: int
    uid: int
    gid: int
    groups: frozenset[int]
    """Supplementary groups."""


class Admins:
    """Who is admitted to a local socket."""

    def __init__(self, group: str | None = None) -> None:
        self._name = group
        self.gid: int | None = None
        """The group whose members are admitted; known after `resolve`."""

    def resolve(self) -> None:
        """Look the group up; raises UsageError if this machine has none of that name."""
        if self._name is None:
            return
        try:
            self.gid = grp.getgrnam(self._name).gr_gid
        except (KeyError, ValueError):
            raise UsageError(f"there is no group {self._name!r} on this machine; make it, or give another") from None

    def admits(self, user: LocalUser) -> bool:
        """Whether `user` may use the socket."""
        if user.uid in (0, os.geteuid()):
            return True
        return self.gid is not None and (self.gid == user.gid or self.gid in user.groups)


def user_of(connection: socket.socket) -> LocalUser:
    """Who is at the other end of a connected Unix socket; raises OSError."""
    pid, uid, gid = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return LocalUser(pid, uid, gid, _groups_of(connection, uid, gid))


def _groups_of(connection: socket.socket, uid: int, gid: int) -> frozenset[int]:
    try:
        data = connection.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, _GROUPS_SIZE)
    except OSError:
        return _groups_by_name(uid, gid)
    return frozenset(struct.unpack(f"{len(data) // 4}I", data))


def _groups_by_name(uid: int, gid: int) -> frozenset[int]:
    try:
        return frozenset(os.getgrouplist(pwd.getpwuid(uid).pw_name, gid))
    except (KeyError, OSError):
        return frozenset()
