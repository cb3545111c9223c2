"""
Which file system a path is on, as the kernel tells it (proc_pid_mountinfo(5)).

SQLite's WAL needs memory shared between processes and locks that hold; over a network file system neither
is sure, and two machines that mount the same home directory would both run under one identity.
"""

import re
from pathlib import Path

NETWORK_FILE_SYSTEMS = frozenset(
    {
        "9p", "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fhgfs", "glusterfs", "gpfs", "kafs",
        "lustre", "ncpfs", "nfs", "nfs4", "orangefs", "panfs", "prl_fs", "pvfs2", "smb3", "smbfs", "vboxsf",
        "vmhgfs",
    }
)  # fmt: skip
"""Types that reach another machine, or the host of a virtual one."""

NETWORK_FUSE = frozenset(
    {
        "afp", "ceph", "davfs", "gcsfuse", "glusterfs", "gvfsd-fuse", "juicefs", "lizardfs", "moosefs", "mfs",
        "rclone", "s3fs", "seaweedfs", "smbnetfs", "sshfs", "vmhgfs-fuse",
    }
)  # fmt: skip
"""The same behind `fuse.`; other FUSE file systems (an encrypted home, say) are local."""

_OCTAL = re.compile(rb"\\([0-7]{3})")


def network_file_system(path: Path, mountinfo: bytes) -> str | None:
    """
    The type of the network file system that the absolute `path` is on, or None if it is on a local one.

    `mountinfo` is the contents of /proc/self/mountinfo. A line that cannot be read is skipped: the check is
    a service to the person, and no reason to refuse.
    """
    found, best = None, -1
    wanted = path.parts
    for line in mountinfo.splitlines():
        mount = _mount(line)
        if mount is None:
            continue
        parts, kind = mount
        # Of two mounts on one point the later one covers the earlier.
        if wanted[: len(parts)] == parts and len(parts) >= best:
            found, best = kind, len(parts)
    return found if found is not None and _is_network(found) else None


def _mount(line: bytes) -> tuple[tuple[str, ...], str] | None:
    before, separator, after = line.partition(b" - ")
    fields, kinds = before.split(), after.split()
    if not separator or len(fields) < 5 or not kinds:
        return None
    point = _OCTAL.sub(lambda match: bytes([int(match[1], 8) & 255]), fields[4])
    return Path(point.decode("utf-8", "surrogateescape")).parts, kinds[0].decode("ascii", "replace")


def _is_network(kind: str) -> bool:
    if kind.startswith("fuse."):
        return kind.removeprefix("fuse.") in NETWORK_FUSE
    return kind in NETWORK_FILE_SYSTEMS
