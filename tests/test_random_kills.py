"""
F1 to F4: real peers and the server are killed at moments that nobody chose, again and again, while both sides talk.

    P2PCHAT_ROUNDS=1000 P2PCHAT_KILLS=17 python -m twisted.trial tests.test_random_kills

plays as many rounds with those choices; the moments are the machine's all the same. In the end both databases must
hold what was accepted, once and in order.
"""

import os
import time
from random import Random, SystemRandom

from .daemons import PeerDaemon
from .dialogues import DialogueTestCase

SOAK = os.environ.get("P2PCHAT_SOAK") == "1"

ROUNDS = int(os.environ.get("P2PCHAT_ROUNDS", "1000" if SOAK else "20"))
"""Kills, each of one peer, of both, or of the server."""

MOST_LINES = 20
"""Lines that an author may have said since the last round, at most."""

WHILE_STARTING = 0.2
"""How often a peer is killed again before it has come up."""


class RandomKillTests(DialogueTestCase):
    def test_F1_to_F4(self) -> None:
        """Kill -9 at any moment: lost 0, twice 0, out of order 0."""
        seed = int(os.environ.get("P2PCHAT_KILLS", "0")) or SystemRandom().randrange(1, 1 << 32)
        random = Random(seed)
        self.doomed.start()
        self.begin_talking()
        for number in range(ROUNDS):
            self.stage = f"kill {number + 1} of P2PCHAT_KILLS={seed}"
            for daemon in random.choice(((self.doomed,), (self.other,), self.peers, (self.server,))):
                if isinstance(daemon, PeerDaemon) and random.random() > WHILE_STARTING:
                    self._let_talk(daemon, random.randint(1, MOST_LINES))
                # Where the process is by then is chance.
                time.sleep(random.uniform(0, 0.1))
                daemon.kill()
                daemon.start()
        self.conclude(at_least=ROUNDS)

    def _let_talk(self, peer: PeerDaemon, lines: int) -> None:
        """Until its author has said some more."""
        (author,) = (author for author in self.authors if author.peer is peer)
        enough = len(author.attempts) + lines
        self.eventually(lambda: len(author.attempts) >= enough, f"{peer.state.name} says {lines} lines")
