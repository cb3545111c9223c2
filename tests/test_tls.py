"""The TLS policy, by real handshakes in memory."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.identity import key_from_public
from p2pchat.net.certificates import own_credentials
from p2pchat.net.tls import PEER_PROTOCOL, SERVER_PROTOCOL, ListenerTLS, PeerDiallerTLS

from .handshakes import WALL, Ends, fresh_credentials, peers


class PeerLinkTests(SynchronousTestCase):
    def test_both_learn_the_key_of_the_other(self) -> None:
        """After the handshake each end knows the other's key, and knows it uncertified."""
        one, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        ends = peers(own_credentials(one, WALL), own_credentials(other, WALL))
        assert ends.dialling.authenticated is not None
        assert ends.listening.authenticated is not None
        self.assertEqual(ends.dialling.authenticated.key, key_from_public(other.public_key()))
        self.assertEqual(ends.listening.authenticated.key, key_from_public(one.public_key()))
        self.assertFalse(ends.dialling.authenticated.certified)
        self.assertFalse(ends.listening.authenticated.certified)

    def test_hybrid_key_agreement_by_default(self) -> None:
        """Two of us agree on X25519MLKEM768 and say so."""
        ends = peers()
        for end in (ends.dialling, ends.listening):
            assert end.authenticated is not None
            self.assertEqual(end.authenticated.group, "X25519MLKEM768")
            self.assertTrue(end.authenticated.hybrid)

    def test_exporter_is_shared_and_new_each_time(self) -> None:
        """Both ends hold the same 32 bytes, other ones on each connection."""
        seen = set()
        for _ in range(2):
            ends = peers()
            assert ends.dialling.authenticated is not None
            assert ends.listening.authenticated is not None
            self.assertEqual(ends.dialling.authenticated.exporter, ends.listening.authenticated.exporter)
            self.assertEqual(len(ends.dialling.authenticated.exporter), 32)
            seen.add(ends.dialling.authenticated.exporter)
        self.assertEqual(len(seen), 2)

    def test_another_protocol_is_refused(self) -> None:
        """A dialler that wants a server does not get a peer."""
        dialler = PeerDiallerTLS(fresh_credentials(), SERVER_PROTOCOL)
        listener = ListenerTLS(fresh_credentials(), [PEER_PROTOCOL])
        ends = Ends(dialler.wrap, listener.wrap)
        for end in (ends.dialling, ends.listening):
            self.assertIsNone(end.authenticated)
            self.assertEqual(str(end.refused), "it speaks another protocol")
