"""T1 to T12 against real listeners: what an attacker does below and in TLS, to a server and to a peer."""

from __future__ import annotations

import errno
import os
import resource
import socket
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL
from twisted.internet.defer import gatherResults
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from zope.interface import provider

from p2pchat import api
from p2pchat.core.errors import EndCode
from p2pchat.core.identity import Identity
from p2pchat.core.states import State
from p2pchat.net.admission import Refusal
from p2pchat.net.records import MOST_DEBT
from p2pchat.net.tls import PEER_PROTOCOL, RELAY_PROTOCOL, SERVER_PROTOCOL
from p2pchat.net.verification import OwnKeyRules

from .forgery import by_hand, issue, padding
from .handshakes import stranger_context
from .hostile import COUNTS, LOOPBACK, Attack, Caller, frame, hello
from .own_tls import DATA, OwnTLS
from .rosters import identity
from .victims import EvilPeer, PeerVictim, ServerVictim, Victim

MALLORY = identity(6_001)


class TLSAttack(Attack):
    """The attacks, whoever the victim is."""

    async def start(self) -> Victim:
        raise NotImplementedError

    def context(self, victim: Victim, key: Any = None, certificate: Any = None, **options: Any) -> SSL.Context:
        """A stranger's TLS; a good one, if nothing is said."""
        key = key or MALLORY.private_key
        return stranger_context(key, certificate or by_hand(key), **{"protocol": victim.protocol, **options})

    async def assert_refused(self, victim: Victim, *contexts: SSL.Context) -> None:
        """None of these gets as far as a word of the protocol, and the honest one notices nothing."""
        for context in contexts:
            liar = await victim.shaken(MALLORY, context=context)
            # A client of TLS 1.3 is done before the other side has judged its certificate.
            await self.assert_gone(liar)
            self.assertEqual(liar.messages, [])
        self.assertEqual(victim.connections, [])
        await victim.undisturbed()

    async def fall_to(self, wave: list[Caller], most: int) -> None:
        """No more than so many of them are left."""
        await self.until(lambda: sum(each.lost is None for each in wave) <= most, "refusals")

    def log_lines(self) -> list[LogEvent]:
        """What we write into the log from now on."""
        lines: list[LogEvent] = []

        @provider(ILogObserver)
        def note(event: LogEvent) -> None:
            if event["log_namespace"].startswith("p2pchat") and event["log_level"] is not LogLevel.debug:
                lines.append(event)

        globalLogPublisher.addObserver(note)
        self.addCleanup(globalLogPublisher.removeObserver, note)
        return lines


class Attacks:
    """All of them; a mix-in, so that they run once for each kind of victim."""

    async def test_T1_silence(self: Any) -> None:
        """Whoever connects and says nothing, or trickles a handshake, is gone after 10 seconds; noise at once."""
        victim = await self.start()
        silent, noisy, slow = [await self.call(victim.port) for _ in range(3)]
        slow.say(b"\x16\x03\x01\x02\x00\x01")
        noisy.say(bytes(range(256)))
        await self.assert_gone(noisy)
        for _ in range(9):
            await self.reactor.skip(1.0)
            slow.say(b"\0")
        self.assertEqual([caller.lost for caller in (silent, slow)], [None, None])
        await self.reactor.skip(1.5)
        await self.assert_gone(silent, slow)
        self.assertEqual(victim.admission.refused[Refusal.UNFINISHED], 2)
        await victim.undisturbed()

    async def test_T1_no_hello(self: Any) -> None:
        """Whoever completes TLS and says no hello is gone after 10 seconds, too, and is told nothing."""
        victim = await self.start()
        mute = await victim.shaken(MALLORY)
        await self.reactor.skip(9.0)
        self.assertIsNone(mute.lost)
        await self.reactor.skip(2.0)
        await self.assert_gone(mute)
        self.assertIsNone(mute.bye)
        await victim.undisturbed()

    async def test_T2_plaintext(self: Any) -> None:
        """HTTP, SSH and IRC are closed at once, with an alert at most."""
        victim = await self.start()
        for text in (b"GET / HTTP/1.1\r\nHost: lab1\r\n\r\n", b"SSH-2.0-OpenSSH_9.2p1\r\n", b"NICK a\r\n" * 9):
            caller = await self.call(victim.port)
            caller.say(text)
            await self.assert_gone(caller)
            self.assertIn(caller.received[:1], (b"", b"\x15"), text)
            self.assertLess(len(caller.received), 32)
        await victim.undisturbed()

    async def test_T3_old_versions(self: Any) -> None:
        """Who speaks TLS 1.0 to 1.2 is refused."""
        victim = await self.start()
        contexts = []
        for version in (SSL.TLS1_VERSION, SSL.TLS1_1_VERSION, SSL.TLS1_2_VERSION):
            key = rsa.generate_private_key(65537, 2048)
            contexts.append(self.context(victim, key, issue(key.public_key(), key)))
            contexts[-1].set_max_proto_version(version)
        await self.assert_refused(victim, *contexts)

    async def test_T3_resumption(self: Any) -> None:
        """A session that was kept from a good link is not resumed: the handshake is a whole one."""
        victim = await self.start()
        context = self.context(victim)
        context.set_session_cache_mode(SSL.SESS_CACHE_CLIENT)
        first = OwnTLS(await self.call(victim.port), context)
        self.assertTrue(await first.shake_hands(self))
        session = await first.session(self)
        judged: list[int] = []
        self.patch(OwnKeyRules, "check", lambda rules, *args: judged.append(1))
        again = OwnTLS(await self.call(victim.port), context, offer=session)
        self.assertTrue(await again.shake_hands(self))
        await self.until(lambda: bool(judged), "the certificate to be judged")
        self.assertFalse(again.resumed)

    async def test_T3_other_protocols(self: Any) -> None:
        """Who asks for another protocol by ALPN, or for none, is refused."""
        victim = await self.start()
        names = {PEER_PROTOCOL, SERVER_PROTOCOL, RELAY_PROTOCOL, b"h2", None} - {victim.protocol}
        await self.assert_refused(victim, *(self.context(victim, protocol=name) for name in names))

    async def test_T4_no_certificate(self: Any) -> None:
        """Who shows no certificate is refused."""
        victim = await self.start()
        await self.assert_refused(victim, stranger_context(protocol=victim.protocol))

    async def test_T5_certificates(self: Any) -> None:
        """Only one self-signed Ed25519 certificate of at most 4 KiB is taken: no other key, no chain, no odd DER."""
        victim = await self.start()
        key = MALLORY.private_key
        contexts = [
            self.context(victim, other, issue(other.public_key(), other))
            for other in (
                rsa.generate_private_key(65537, 2048),
                rsa.generate_private_key(65537, 1024),
                ec.generate_private_key(ec.SECP256R1()),
                ec.generate_private_key(ec.SECP521R1()),
            )
        ]
        leaf = issue(key.public_key(), key)
        contexts += [
            self.context(victim, certificate=by_hand(key, extensions=padding(4_096))),
            self.context(victim, certificate=by_hand(key, version=b"")),
            self.context(victim, certificate=by_hand(key, serial=b"\2\1\xff")),
            self.context(victim, certificate=leaf, chain=[leaf]),
        ]
        large = [
            self.context(victim, certificate=by_hand(key, extensions=padding(60_000))),
            self.context(victim, certificate=by_hand(key, extensions=padding(110_000))),
            self.context(victim, certificate=leaf, chain=[leaf] * 99),
        ]
        for context in large:
            caller = await self.call(victim.port)
            await OwnTLS(caller, context).shake_hands(self)
            await self.assert_gone(caller)
        await self.assert_refused(victim, *contexts)
        # cryptography says that it will not read such serial numbers for ever.
        self.flushWarnings()

    async def test_T6_replayed_handshake(self: Any) -> None:
        """The bytes of a good handshake and hello, sent again, are refused."""
        victim = await self.start()
        caller = await self.call(victim.port)
        good = OwnTLS(caller, self.context(victim))
        self.assertTrue(await good.shake_hands(self))
        good.say(good.record(DATA, frame(hello())))
        await self.until(lambda: len(victim.connections) == 1 and victim.states() != [State.GREETING], "a hello")
        replay = await self.call(victim.port)
        replay.say(good.sent)
        await self.assert_gone(replay)
        await victim.undisturbed()

    async def test_T6_flipped_bit(self: Any) -> None:
        """A handshake, or a record after it, in which one bit was flipped on the way ends the link."""
        victim = await self.start()
        for place in (11, 60, 300, 1_300):
            caller = await self.call(victim.port)
            bent = OwnTLS(caller, self.context(victim), flip=place)
            await bent.shake_hands(self)
            # Where it is the far side that cannot read on, the hello does not come.
            await self.reactor.skip(11.0)
            await self.assert_gone(caller)
        caller = await self.call(victim.port)
        late = OwnTLS(caller, self.context(victim))
        await late.shake_hands(self)
        late.say(late.record(DATA, frame(hello()))[:-1] + b"\0")
        await self.assert_gone(caller)
        await victim.undisturbed()

    async def test_T8_key_updates(self: Any) -> None:
        """KeyUpdates without end are cut off, though nobody reads the answers: what piles up is bounded."""
        await self.flood(lambda own: own.key_update(), reads=False)

    async def test_T8_one_byte_records(self: Any) -> None:
        """So are records of one byte, which together make no message."""
        content = iter(frame(b"\xc1" * 16_000) * 1_000)
        await self.flood(lambda own: own.record(DATA, bytes([next(content)])))

    async def test_T8_empty_records(self: Any) -> None:
        """And so are empty records."""
        await self.flood(lambda own: own.record(DATA, b""))

    async def flood(self: Any, make: Callable[[OwnTLS], bytes], reads: bool = True) -> None:
        victim = await self.start()
        caller = await self.call(victim.port)
        own = OwnTLS(caller, self.context(victim))
        self.assertTrue(await own.shake_hands(self))
        own.say(own.record(DATA, frame(hello())))
        await self.until(lambda: victim.states() in ([State.ASKING], [State.REGISTERING]), "a hello")
        [connection] = victim.connections
        if not reads:
            caller.transport.pauseProducing()
        piled, sent = 0, 0
        while caller.lost is None and connection.alive and sent < COUNTS.nothing:
            own.say(b"".join(make(own) for _ in range(100)))
            sent += 100
            await self.reactor.turn()
            piled = max(piled, victim.piled())
        if not reads:
            caller.transport.resumeProducing()
        await self.until(lambda: not connection.alive, "an end of the flood")
        self.assertLess(piled, 2 * MOST_DEBT)
        await self.reactor.skip(1.5)
        await self.assert_gone(caller)
        await victim.undisturbed()

    async def test_T9_no_answer_to_close(self: Any) -> None:
        """Who never answers a close, half-closes, or goes on sending is gone after 5 seconds; nothing more is read."""
        victim = await self.start()
        liar = await victim.greeted(MALLORY)
        [connection] = victim.connections
        liar.below.pauseProducing()
        connection.close(EndCode.LEAVING)
        for _ in range(3):
            await self.reactor.skip(1.0)
            liar.tell("ping", number=1)
        self.assertEqual(victim.connections, [connection])
        await self.reactor.skip(2.5)
        self.assertEqual(victim.connections, [])
        half = await victim.greeted(MALLORY)
        half.below.getHandle().shutdown(socket.SHUT_WR)
        await self.assert_gone(half)
        await victim.undisturbed()

    async def test_T9_silent_violator(self: Any) -> None:
        """Who broke a rule and does not close is aborted after a second."""
        victim = await self.start()
        liar = await victim.greeted(MALLORY)
        liar.below.pauseProducing()
        liar.tell("no such thing")
        await self.until(lambda: not victim.connections[0].alive, "the refusal")
        await self.reactor.skip(1.2)
        self.assertEqual(victim.connections, [])
        await victim.undisturbed()

    async def test_T10_one_address(self: Any) -> None:
        """Of many connections from one address 8 wait at a time; others, in or coming, are not hurt."""
        victim = await self.start()
        done = 0
        while done < COUNTS.connects:
            wave = await gatherResults([self.ensure(self.call(victim.port, "127.0.0.66")) for _ in range(11)])
            done += len(wave)
            await self.fall_to(wave, 8)
            self.assertLessEqual(victim.admission.pending, 8)
            if done == 11:
                other = await victim.greeted(MALLORY)
                self.assertIsNone(other.lost)
                await victim.undisturbed()
            for caller in wave:
                caller.hang_up()
            await self.assert_gone(*wave)
            self.callers.clear()
        self.assertGreaterEqual(victim.admission.refused[Refusal.SOURCE_BUSY], done // 11 * 3)
        await victim.undisturbed()

    async def test_T10_many_addresses(self: Any) -> None:
        """From however many addresses they come, few wait at a time, and who is in is not disturbed."""
        victim = await self.start()
        done, number = 0, 0
        while done < COUNTS.connects:
            wave: list[Caller] = []
            for _ in range(COUNTS.sources):
                number += 1
                source = f"127.{1 + number // 60_000 % 200}.{number // 250 % 240}.{1 + number % 250}"
                wave += await gatherResults([self.ensure(self.call(victim.port, source)) for _ in range(2)])
            done += len(wave)
            self.assertLessEqual(victim.admission.pending, COUNTS.pending)
            await victim.undisturbed()
            for caller in wave:
                caller.hang_up()
            await self.assert_gone(*wave)
            self.callers.clear()
        self.assertGreater(victim.admission.refused[Refusal.BUSY], 0)
        await victim.undisturbed()

    async def test_T11_out_of_descriptors(self: Any) -> None:
        """Where no descriptor is left the port sheds newcomers, logs a line, and works on when there are some again."""
        victim = await self.start()
        logged = self.log_lines()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        callers = [socket.socket() for _ in range(20)]
        for caller in callers:
            self.addCleanup(caller.close)
        # The lowest free number is what the next descriptor gets.
        probe = os.dup(0)
        os.close(probe)
        resource.setrlimit(resource.RLIMIT_NOFILE, (probe, hard))
        for caller in callers:
            caller.setblocking(False)
            self.assertIn(caller.connect_ex((LOOPBACK, victim.port)), (0, errno.EINPROGRESS))
        for _ in range(20):
            await self.reactor.turn()
        await victim.undisturbed()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.assertIsNone((await victim.greeted(MALLORY)).lost)
        self.assertLessEqual(len(logged), 2)
        self.flushLoggedErrors()

    async def test_T11_log_of_a_flood(self: Any) -> None:
        """Who breaks off, or breaks a rule, a hundred times makes a line for each kind of it, not a hundred."""
        victim = await self.start()
        lines = self.log_lines()
        for _ in range(12):
            broken = await self.call(victim.port)
            broken.hang_up()
            rude = await victim.greeted(MALLORY)
            rude.tell("no such thing")
            await self.comes(rude, "bye")
            rude.hang_up()
            early = await victim.shaken(MALLORY)
            early.say(frame(b"\xc1"))
            await self.assert_gone(broken, rude, early)
        self.assertLessEqual(len(lines), 4, [event.get("log_format") for event in lines])

    async def test_T12_callback_raises(self: Any) -> None:
        """A bug while a certificate is judged refuses the link, and is in the log once."""
        victim = await self.start()

        def fail(*args: object) -> None:
            raise ZeroDivisionError("a bug")

        self.patch(OwnKeyRules, "check", fail)
        await self.assert_refused(victim, self.context(victim), self.context(victim))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class ServerTests(Attacks, TLSAttack):
    """The server port."""

    async def start(self) -> Victim:
        return await ServerVictim(self).start()


class PeerTests(Attacks, TLSAttack):
    """A peer's listen port."""

    async def start(self) -> Victim:
        return await PeerVictim(self).start()


class OtherKeyTests(TLSAttack):
    """T7: somebody else answers where a known peer was."""

    async def test_T7_other_key_on_second_contact(self) -> None:
        """Where another key answers for a known peer it hears not even a hello; the message waits for the right one."""
        victim = await PeerVictim(self).start()
        await self.answer_for(victim, MALLORY)

    async def test_A8_stolen_key(self) -> None:
        """Who has our own key can be us to others, but nobody else to us: not when they dial, not when we do (KCI)."""
        victim = await PeerVictim(self).start()
        ourselves = victim.peer.environment.identity
        liar = await victim.shaken(ourselves)
        liar.say_hello()
        await self.comes(liar, "bye")
        self.assertEqual(liar.bye, "self")
        await self.answer_for(victim, ourselves)

    async def answer_for(self, victim: PeerVictim, mallory: Identity) -> None:
        """A chat with somebody is lost, somebody else answers there, and at last the right one."""
        bob = identity(6_100)
        there = EvilPeer(self, bob)
        await victim.do(api.Connect(who=f"{LOOPBACK}:{there.port}"))
        await self.until(lambda: bool(victim.told(api.Answered)), "an answer")
        person = victim.told(api.Answered)[0].person
        await victim.do(api.Confirm(who=person.id))
        talk = await there.chat(victim)
        there.become(mallory)
        talk.liar.hang_up()
        await victim.do(api.Say(who=person.id, text="for bob alone"))
        await self.until(lambda: any(link.lost for link in there.links[1:]), "somebody to dial the wrong key")
        for _ in range(10):
            await self.reactor.skip(5.0)
        wrong = [link for link in there.links[1:] if link.lost is not None]
        self.assertTrue(wrong)
        self.assertEqual([link.messages for link in wrong], [[]] * len(wrong))
        self.assertEqual(victim.told(api.Delivered), [])
        there.become(bob)
        known = len(there.links)
        await self.reactor.skip(30.0)
        await self.until(lambda: len(there.links) > known and bool(there.links[-1].of("hello")), "the right key")
        again = await there.chat(victim)
        await self.until(lambda: bool(again.liar.of("entry")), "the message")
        self.assertIn(b"for bob alone", again.liar.of("entry")[0]["bytes"])
