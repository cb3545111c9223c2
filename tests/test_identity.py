"""Who somebody is, and how that is written (docs/protocol.md, section 2)."""

import hashlib

from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.errors import UsageError
from p2pchat.core.identity import (
    ALPHABET,
    Domain,
    Identity,
    JoinLink,
    compact_id,
    format_id,
    id_of,
    is_key,
    looks_like_id,
    parse_host_port,
    parse_id,
    parse_join_link,
    safety_number,
    short_id,
    verify,
)

from .examples import ALICE, BOB, SERVER

identifiers = st.binary(min_size=32, max_size=32)
WRITTEN = format_id(ALICE.id)
COMPACT = compact_id(ALICE.id)


def written_by_the_book(identifier: bytes) -> str:
    """The written form made bit by bit from the words of the protocol page."""
    bits = "".join(f"{octet:08b}" for octet in identifier) + "0000"
    check = "".join(f"{octet:08b}" for octet in hashlib.sha256(b"p2pchat id check v1\0" + identifier).digest())[:20]
    letters = "".join(ALPHABET[int((bits + check)[start : start + 5], 2)] for start in range(0, 280, 5))
    return "-".join(letters[start : start + 4] for start in range(0, 56, 4))


class KeyTests(SynchronousTestCase):
    def test_key_and_id(self) -> None:
        """A key is 44 bytes of DER, an id their SHA-256."""
        self.assertEqual(ALICE.key[:12].hex(), "302a300506032b6570032100")
        self.assertEqual(ALICE.key[12:], ALICE.private_key.public_key().public_bytes_raw())
        self.assertEqual(ALICE.id, hashlib.sha256(ALICE.key).digest())
        self.assertEqual(id_of(ALICE.key), ALICE.id)

    def test_what_is_a_key(self) -> None:
        """Only a SubjectPublicKeyInfo of Ed25519 is a key."""
        self.assertTrue(is_key(ALICE.key))
        for key in (b"", ALICE.key[:-1], ALICE.key + b"\0", bytes(44), b"\x30\x2b" + ALICE.key[2:]):
            self.assertFalse(is_key(key))

    def test_signatures_are_bound_to_key_domain_and_body(self) -> None:
        """A signature holds for its key, domain and body alone."""
        signature = ALICE.sign(Domain.RECORD, b"body")
        self.assertTrue(verify(ALICE.key, Domain.RECORD, b"body", signature))
        self.assertFalse(verify(BOB.key, Domain.RECORD, b"body", signature))
        self.assertFalse(verify(ALICE.key, Domain.SERVER, b"body", signature))
        self.assertFalse(verify(ALICE.key, Domain.RECORD, b"bodY", signature))
        self.assertFalse(verify(ALICE.key, Domain.RECORD, b"body", bytes([signature[0] ^ 1]) + signature[1:]))

    def test_nothing_escapes_from_verify(self) -> None:
        """Keys and signatures of any size and content are just not good."""
        signature = ALICE.sign(Domain.RECORD, b"body")
        for key in (b"", ALICE.key[:-1], bytes(44), ALICE.key[:12] + b"\xff" * 32, ALICE.key[:12] + bytes(32)):
            self.assertFalse(verify(key, Domain.RECORD, b"body", signature))
        for wrong in (b"", signature[:-1], signature + b"\0", bytes(64), b"\xff" * 64):
            self.assertFalse(verify(ALICE.key, Domain.RECORD, b"body", wrong))

    def test_repr_tells_no_secret(self) -> None:
        """An identity in a log shows the short id alone."""
        self.assertEqual(repr(ALICE), f"<Identity {short_id(ALICE.id)}>")
        self.assertEqual(repr(Identity.from_seed(bytes([1]) * 32)), repr(ALICE))


class WrittenIdTests(SynchronousTestCase):
    @settings(max_examples=100, deadline=None)
    @given(identifiers)
    def test_written_form(self, identifier: bytes) -> None:
        """52 characters of id and four of check, in 14 groups of four, and back."""
        self.assertEqual(format_id(identifier), written_by_the_book(identifier))
        self.assertEqual(parse_id(format_id(identifier)), identifier)
        self.assertEqual(parse_id(compact_id(identifier)), identifier)

    def test_alphabet(self) -> None:
        """Crockford's 32 letters, none of which looks like a digit."""
        self.assertEqual(len(set(ALPHABET)), 32)
        self.assertEqual(set("ilou") & set(ALPHABET), set())

    def test_short_form(self) -> None:
        """Where a person decides, 16 characters are shown."""
        self.assertEqual(short_id(ALICE.id), WRITTEN[:19])
        self.assertEqual(len(short_id(ALICE.id).replace("-", "")), 16)

    def test_forgiving_reading(self) -> None:
        """Case, dashes and white space do not matter; o is 0, i and l are 1."""
        for text in (
            COMPACT,
            WRITTEN.upper(),
            f"  {WRITTEN}\n",
            WRITTEN.replace("-", " "),
            " ".join(COMPACT),
            WRITTEN.replace("-", "\t\r\n"),
            COMPACT.replace("0", "o").replace("1", "i"),
            COMPACT.replace("0", "O").replace("1", "L"),
            COMPACT.replace("1", "I"),
        ):
            self.assertEqual(parse_id(text), ALICE.id, text)

    def test_other_characters_are_refused(self) -> None:
        """Anything else is refused, also what looks like a letter or becomes one in lower case."""
        for character in "uU_+/=.,é０\u212aıſ\u00a0\u200b\u2010\0":
            for text in (character + COMPACT[1:], COMPACT + character):
                self.assertRaises(UsageError, parse_id, text)
        kelvin = next(index for index in range(64) if "k" in compact_id(id_of(bytes([index]))))
        written = compact_id(id_of(bytes([kelvin])))
        self.assertRaises(UsageError, parse_id, written.replace("k", "\u212a"))

    def test_other_lengths_are_refused(self) -> None:
        """An id is whole or it is none."""
        for text in ("", "-", COMPACT[:-1], COMPACT + "0", COMPACT[1:], COMPACT[:52], short_id(ALICE.id)):
            self.assertRaises(UsageError, parse_id, text)

    def test_padding_bits_are_zero(self) -> None:
        """The four bits behind the id are zero, also where the check characters fit."""
        last = ALPHABET.index(COMPACT[51])
        for padding in range(1, 16):
            self.assertRaises(UsageError, parse_id, COMPACT[:51] + ALPHABET[last | padding] + COMPACT[52:])

    def test_every_single_substitution_is_noticed(self) -> None:
        """One wrong character is refused, wherever it stands and whatever it is."""
        for place, right in enumerate(COMPACT):
            for wrong in ALPHABET:
                if wrong != right:
                    self.assertRaises(UsageError, parse_id, COMPACT[:place] + wrong + COMPACT[place + 1 :])

    def test_every_transposition_is_noticed(self) -> None:
        """Two neighbours that changed places are refused."""
        for identity in (ALICE, BOB, SERVER):
            text = compact_id(identity.id)
            for place in range(len(text) - 1):
                one, other = text[place], text[place + 1]
                if one != other:
                    self.assertRaises(UsageError, parse_id, text[:place] + other + one + text[place + 2 :])

    def test_what_escapes_the_check_characters(self) -> None:
        """A wrong id passes once in a million: of 20,000 single errors in many ids at most one does."""
        passed = tried = 0
        for number in range(400):
            identifier = id_of(number.to_bytes(4, "big"))
            text = compact_id(identifier)
            for place in range(50):
                wrong = text[:place] + ALPHABET[ALPHABET.index(text[place]) ^ (number % 31 + 1)] + text[place + 1 :]
                tried += 1
                try:
                    parse_id(wrong)
                except UsageError:
                    continue
                passed += 1
        self.assertEqual(tried, 20_000)
        self.assertLessEqual(passed, 1)

    @settings(max_examples=200, deadline=None)
    @given(st.text(max_size=80))
    def test_only_one_error_escapes(self, text: str) -> None:
        """Any text is an id or an error for a person, of one line."""
        try:
            parse_id(text)
        except UsageError as error:
            self.assertEqual(len(str(error).splitlines()), 1)

    def test_looks_like_an_id(self) -> None:
        """An id with a typing error is still taken for an id, a handle never."""
        for text in (WRITTEN, COMPACT, COMPACT.upper(), COMPACT[:-1], COMPACT[:-1] + "u"):
            self.assertTrue(looks_like_id(text), text)
        for text in ("alice", "a" * 32, "-".join(["a"] * 40), "bob.example", ""):
            self.assertFalse(looks_like_id(text), text)


class SafetyNumberTests(SynchronousTestCase):
    def test_symmetric(self) -> None:
        """Both people see the same number, whoever asks."""
        self.assertEqual(safety_number(ALICE.key, BOB.key), safety_number(BOB.key, ALICE.key))

    def test_form(self) -> None:
        """60 digits in 12 groups of five."""
        self.assertRegex(safety_number(ALICE.key, BOB.key), r"\A[0-9]{5}( [0-9]{5}){11}\Z")

    def test_by_the_book(self) -> None:
        """The number is the one of the protocol page: digest(5199), since digest(0) is the first round."""
        halves = []
        for key in (ALICE.key, BOB.key):
            digest = hashlib.sha512(b"p2pchat safety number v1\0" + key + hashlib.sha256(key).digest()).digest()
            for _ in range(5199):
                digest = hashlib.sha512(digest + key).digest()
            halves.append(
                "".join(f"{int.from_bytes(digest[at : at + 5], 'big') % 100000:05d}" for at in range(0, 30, 5))
            )
        self.assertEqual(safety_number(ALICE.key, BOB.key).replace(" ", ""), "".join(sorted(halves)))

    def test_stable(self) -> None:
        """A number that two people compared stays what it is."""
        self.assertEqual(
            safety_number(ALICE.key, BOB.key),
            "20922 24102 90019 96538 01877 29852 69627 06428 24225 07250 63456 32438",
        )

    def test_different_for_others(self) -> None:
        """Another key, another number, in both halves or one."""
        self.assertNotEqual(safety_number(ALICE.key, BOB.key), safety_number(ALICE.key, SERVER.key))


class JoinLinkTests(SynchronousTestCase):
    def test_forms(self) -> None:
        """A join link has a host, maybe a port and maybe the server's id; a bare address will do."""
        for text, link in {
            f"p2pchat://lab1.example:8888/#{COMPACT}": JoinLink("lab1.example", 8888, ALICE.id),
            f"p2pchat://lab1.example/#{WRITTEN}": JoinLink("lab1.example", 8888, ALICE.id),
            f"p2pchat://lab1.example#{WRITTEN.upper()}": JoinLink("lab1.example", 8888, ALICE.id),
            f" p2pchat://10.0.0.7:9999/#{COMPACT}\n": JoinLink("10.0.0.7", 9999, ALICE.id),
            f"p2pchat://[2001:db8::7]:9999/#{COMPACT}": JoinLink("2001:db8::7", 9999, ALICE.id),
            f"p2pchat://[2001:db8::7]/#{COMPACT}": JoinLink("2001:db8::7", 8888, ALICE.id),
            "p2pchat://lab1:1/": JoinLink("lab1", 1),
            "lab1": JoinLink("lab1"),
            "10.0.0.7:65535": JoinLink("10.0.0.7", 65535),
            "::1": JoinLink("::1"),
            "[::1]:9": JoinLink("::1", 9),
        }.items():
            self.assertEqual(parse_join_link(text), link, text)

    def test_written_and_read_again(self) -> None:
        """What we print can be read, and stands in quotes in no shell."""
        for host in ("lab1.example", "10.0.0.7", "2001:db8::7", "::1"):
            for server in (ALICE.id, None):
                link = JoinLink(host, 8889, server)
                self.assertEqual(parse_join_link(str(link)), link)
        self.assertEqual(str(JoinLink("::1", 8888, ALICE.id)), f"p2pchat://[::1]:8888/#{COMPACT}")

    def test_bad_links(self) -> None:
        """A link with a bad host, port or id is refused in one line."""
        for text in (
            "",
            "p2pchat://",
            "p2pchat:///",
            f"p2pchat://#{COMPACT}",
            f"p2pchat://lab1:8888/#{COMPACT[:-1]}",
            f"p2pchat://lab1:8888/#{COMPACT[:-2]}",
            f"p2pchat://lab1:8888/more#{COMPACT}",
            f"p2pchat://lab1:8888//#{COMPACT}",
            f"p2pchat://lab1:8888?x#{COMPACT}",
            f"p2pchat://me@lab1:8888/#{COMPACT}",
            f"https://lab1:8888/#{COMPACT}",
            f"p2pchat://[::1:8888/#{COMPACT}",
        ):
            error = self.assertRaises(UsageError, parse_join_link, text)
            self.assertEqual(len(str(error).splitlines()), 1, text)


class HostPortTests(SynchronousTestCase):
    def test_forms(self) -> None:
        """HOST, HOST:PORT, [IPv6], [IPv6]:PORT, or a bare IPv6 address."""
        for text, pair in {
            "lab1": ("lab1", 6666),
            "lab1:": ("lab1", 6666),
            "lab1:1": ("lab1", 1),
            "10.0.0.7:65535": ("10.0.0.7", 65535),
            "[::1]": ("::1", 6666),
            "[::1]:7": ("::1", 7),
            "::1": ("::1", 6666),
            "2001:db8::7:8888": ("2001:db8::7:8888", 6666),
            "lab1:00080": ("lab1", 80),
        }.items():
            self.assertEqual(parse_host_port(text, 6666), pair, text)

    def test_bad_ports(self) -> None:
        """A port is a number from 1 to 65535, in digits that everybody reads."""
        for port in (
            "0",
            "65536",
            "99999999999999999999",
            "0000065536",
            "-1",
            "+1",
            " 1",
            "1 ",
            "x",
            "1_0",
            "٣",
            "²",
            "1.0",
        ):
            for host in ("lab1", "[::1]"):
                self.assertRaises(UsageError, parse_host_port, f"{host}:{port}", 6666)

    def test_bad_hosts(self) -> None:
        """A host has no white space, no sign of a URL and nothing that cannot be shown."""
        for host in (
            "",
            " ",
            "a b",
            "a/b",
            "me@lab1",
            "a#b",
            "a?b",
            "a%b",
            "a\\b",
            "a\tb",
            "a\0b",
            "a\x1b[2J",
            "a\u202eb",
        ):
            self.assertRaises(UsageError, parse_host_port, host, 6666)
            self.assertRaises(UsageError, parse_host_port, f"{host}:6666", 6666)

    def test_what_has_many_colons_is_an_ipv6_address(self) -> None:
        """Two colons without brackets, and whatever stands in brackets, must be an IPv6 address."""
        for text in (
            "a:b:c",
            "lab1:80:90",
            ":::",
            "1::2::3",
            "[lab1]:80",
            "[10.0.0.7]",
            "[]",
            "[]:80",
            "[::1",
            "[::1]80",
            "[::1]x:80",
        ):
            self.assertRaises(UsageError, parse_host_port, text, 6666)

    @settings(max_examples=200, deadline=None)
    @given(st.text(alphabet="a1:[]/#@% .-\n\0é", max_size=20))
    def test_only_one_error_escapes(self, text: str) -> None:
        """Any text is a host and a port or an error for a person; what was read is read again."""
        try:
            host, port = parse_host_port(text, 6666)
        except UsageError as error:
            self.assertEqual(len(str(error).splitlines()), 1)
            return
        bracketed = f"[{host}]" if ":" in host else host
        self.assertEqual(parse_host_port(f"{bracketed}:{port}", 1), (host, port))
