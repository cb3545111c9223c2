"""
The systemd units of both daemons: text, with the path of this installation's twistd in it.

`systemd/` holds the same for the packaged case. sd_notify is not spoken, so the units are of Type=exec.
"""

from typing import Literal

PACKAGED_TWISTD = "/usr/bin/twistd"
"""Where a distribution's package puts it."""

_SERVER = """\
# The rendezvous server as a system service, under a user that exists only while it runs. Its directory is
# /var/lib/p2pchat-server; as root: p2pchat link --state /var/lib/p2pchat-server
# --admin-group GROUP needs a user of its own that is in the group: User=, no DynamicUser, no PrivateUsers (who asks
# would have no name here), and @privileged out of SystemCallFilter=~ (chown is in it).
[Unit]
Description=p2pchat rendezvous server
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
ExecStart={twistd} --nodaemon --pidfile= --logfile=- p2pchat-server --state %S/p2pchat-server
DynamicUser=yes
StateDirectory=p2pchat-server
StateDirectoryMode=0700
UMask=0077
Restart=on-failure
RestartSec=2
TimeoutStopSec=20
LimitNOFILE=65536
LimitCORE=0
MemoryMax=1G
TasksMax=64
LogRateLimitIntervalSec=30s
LogRateLimitBurst=500
CapabilityBoundingSet=
AmbientCapabilities=
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome={home}
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
PrivateMounts=yes
DevicePolicy=closed
ProtectProc=invisible
ProcSubset=pid
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
# Netlink tells which addresses this machine has.
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
LockPersonality=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
# Another --port needs another number here.
SocketBindAllow=tcp:8888
SocketBindDeny=any
# MemoryDenyWriteExecute must stay off: TLS needs callbacks, and pyOpenSSL makes them in memory.

[Install]
WantedBy=multi-user.target
"""

_PEER = """\
# A peer as a service of one user, which goes on when the terminal is closed:
#   systemctl --user enable --now p2pchat-peer
#   loginctl enable-linger       to have it run without a login
# It takes requests from contacts alone (p2pchat contact add ID), and asks about others while a terminal is attached.
[Unit]
Description=p2pchat peer

[Service]
Type=exec
ExecStart={twistd} --nodaemon --pidfile= --logfile=- p2pchat-peer
UMask=0077
Restart=on-failure
RestartSec=2
TimeoutStopSec=20
LimitCORE=0
MemoryMax=1G
TasksMax=64
LogRateLimitIntervalSec=30s
LogRateLimitBurst=500
# Only what a service manager without privileges can do everywhere: what hides files needs user namespaces, and a
# system that forbids those would not start the service at all.
NoNewPrivileges=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
# MemoryDenyWriteExecute must stay off: TLS needs callbacks, and pyOpenSSL makes them in memory.

[Install]
WantedBy=default.target
"""


def unit(role: Literal["server", "peer"], twistd: str = PACKAGED_TWISTD) -> str:
    """The unit of a role; `twistd` is the absolute path of the program that runs it."""
    if role == "peer":
        return _PEER.format(twistd=_quoted(twistd))
    # A program in somebody's home must be seen by the service.
    in_home = twistd.startswith(("/home/", "/root/", "/run/user/"))
    return _SERVER.format(twistd=_quoted(twistd), home="read-only" if in_home else "yes")


def _quoted(path: str) -> str:
    """A path as the first word of ExecStart=, where % and some signs mean something (systemd.unit(5))."""
    path = path.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{path}"' if any(sign in path for sign in " \t'\"\\;") else path
