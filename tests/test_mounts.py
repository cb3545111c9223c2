"""p2pchat.storage.mounts."""

from pathlib import Path

from hypothesis import given, settings, strategies
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.storage.mounts import network_file_system

MOUNTS = rb"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
40 27 0:50 / /home rw,relatime shared:5 master:1 - nfs4 files:/home rw,vers=4.2
41 40 0:51 / /home/local rw - tmpfs tmpfs rw
42 27 0:52 / /mnt/a\040b rw - cifs //nas/share rw
43 27 0:53 / /mnt/ssh rw - fuse.sshfs lab1: rw
44 27 0:54 / /mnt/crypt rw - fuse.gocryptfs /cipher rw
45 27 0:55 / /mnt/covered rw - nfs files:/x rw
46 27 0:56 / /mnt/covered rw - ext4 /dev/vdb rw
"""


class NetworkFileSystems(SynchronousTestCase):
    """network_file_system."""

    def test_kinds(self) -> None:
        """The mount that a path is on decides: the longest point that is above it, the later of two on one."""
        for path, kind in {
            "/": None,
            "/var/lib/p2pchat": None,
            "/home": "nfs4",
            "/home/ann/.local/state": "nfs4",
            "/homes/ann": None,
            "/home/local/ann": None,
            "/mnt/a b/state": "cifs",
            "/mnt/ssh/state": "fuse.sshfs",
            "/mnt/crypt/state": None,
            "/mnt/covered/state": None,
        }.items():
            self.assertEqual(network_file_system(Path(path), MOUNTS), kind, path)

    @given(strategies.binary(max_size=200))
    @settings(max_examples=100)
    def test_any_bytes(self, mountinfo: bytes) -> None:
        """Lines that cannot be read are skipped."""
        line = b"40 27 0:50 / /home rw - nfs files:/home rw"
        self.assertEqual(network_file_system(Path("/home/ann"), b"\xff - \n - nfs\n" + line), "nfs")
        network_file_system(Path("/home/ann"), mountinfo + b"\n" + mountinfo.replace(b" ", b" - "))
