"""
Private chat between machines that people run themselves.

    plugin -> tap -> ui     -> api                  talks to people
                  -> peer   -> api, storage, net    keeps chats
                  -> server -> storage, net         introduces peers
                     net, storage, api -> core      decides, purely
    cli -> oneshot -> ui, net.local_client, api     one-shot commands

Nothing imports upward; docs/architecture.md has the picture and tests/test_layers.py holds the rules.
"""

__version__ = "0.1.0"
