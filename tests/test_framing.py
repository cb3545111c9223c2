"""Frames, docs/protocol.md section 4."""

import tracemalloc

from hypothesis import given, settings, strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2pchat.core.errors import EndCode, LocalProtocolError, RemoteProtocolError
from p2pchat.core.framing import LARGE_FRAME, PREFIX_SIZE, SMALL_FRAME, FrameBuffer, encode_frame

bodies = st.lists(st.binary(min_size=1, max_size=300), max_size=12)


def prefix(size: int) -> bytes:
    """The length in front of a frame of `size` bytes."""
    return size.to_bytes(PREFIX_SIZE, "big")


class FrameTests(SynchronousTestCase):
    def refused(self, buffer: FrameBuffer) -> EndCode:
        """The code with which what `buffer` holds is refused."""
        error = self.assertRaises(RemoteProtocolError, list, buffer.frames())
        assert isinstance(error, RemoteProtocolError)
        return error.code

    def test_length_in_front(self) -> None:
        """A frame is a 4-byte big-endian length and that many bytes."""
        self.assertEqual(encode_frame(b"abc"), b"\x00\x00\x00\x03abc")

    def test_own_frames_in_1_to_65536(self) -> None:
        """We send no frame that is empty or above 64 KiB."""
        self.assertEqual(len(encode_frame(bytes(LARGE_FRAME))), PREFIX_SIZE + 65_536)
        for body in (b"", bytes(LARGE_FRAME + 1)):
            self.assertRaises(LocalProtocolError, encode_frame, body)

    @settings(max_examples=150, deadline=None)
    @given(bodies, st.data())
    def test_P3_any_segmentation_gives_the_same_frames(self, sent: list[bytes], data: st.DataObject) -> None:
        """However the network cuts the bytes, the same frames come out in the same order."""
        wire = b"".join(map(encode_frame, sent))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=20)))
        buffer, found = FrameBuffer(), []
        for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
            buffer.feed(wire[start:end])
            found += list(buffer.frames())
        self.assertEqual(found, sent)
        self.assertEqual(len(buffer), 0)

    def test_P3_byte_at_a_time(self) -> None:
        """A frame comes out with its last byte and not before."""
        buffer, came = FrameBuffer(), []
        wire = encode_frame(b"one") + encode_frame(b"two")
        for index in range(len(wire)):
            buffer.feed(wire[index : index + 1])
            came += [(index, frame) for frame in buffer.frames()]
        self.assertEqual(came, [(6, b"one"), (13, b"two")])

    def test_P1_length_zero(self) -> None:
        """An empty frame is malformed."""
        buffer = FrameBuffer()
        buffer.feed(prefix(0))
        self.assertEqual(self.refused(buffer), EndCode.MALFORMED)

    def test_P1_length_beyond_the_limit(self) -> None:
        """A length above the cap is too big, as soon as the length itself is there."""
        for size in (SMALL_FRAME + 1, 2**31 - 1, 2**31, 2**32 - 1):
            buffer = FrameBuffer()
            buffer.feed(prefix(size))
            self.assertEqual(self.refused(buffer), EndCode.TOO_BIG, size)
        buffer = FrameBuffer(LARGE_FRAME)
        buffer.feed(prefix(LARGE_FRAME + 1))
        self.assertEqual(self.refused(buffer), EndCode.TOO_BIG)

    def test_P1_length_at_the_limit(self) -> None:
        """A frame of exactly the cap is taken."""
        for limit in (SMALL_FRAME, LARGE_FRAME):
            buffer = FrameBuffer(limit)
            buffer.feed(encode_frame(bytes(limit)))
            self.assertEqual([len(frame) for frame in buffer.frames()], [limit])

    def test_refused_again_if_asked_again(self) -> None:
        """What was refused stays refused, and the frames before it came out once."""
        buffer = FrameBuffer()
        buffer.feed(encode_frame(b"good") + prefix(0) + encode_frame(b"never"))
        frames = buffer.frames()
        self.assertEqual(next(frames), b"good")
        self.assertRaises(RemoteProtocolError, next, frames)
        self.assertEqual(self.refused(buffer), EndCode.MALFORMED)

    def test_limit_raised_between_two_frames(self) -> None:
        """A limit that is raised after one frame holds for the next one in the same bytes."""
        buffer = FrameBuffer()
        buffer.feed(encode_frame(b"opens") + encode_frame(bytes(LARGE_FRAME)))
        sizes = []
        for frame in buffer.frames():
            sizes.append(len(frame))
            buffer.limit = LARGE_FRAME
        self.assertEqual(sizes, [5, LARGE_FRAME])

    def test_frames_not_taken_stay(self) -> None:
        """Who stops in the middle finds the rest the next time."""
        buffer = FrameBuffer()
        buffer.feed(encode_frame(b"one") + encode_frame(b"two"))
        frames = buffer.frames()
        self.assertEqual(next(frames), b"one")
        del frames
        self.assertEqual(list(buffer.frames()), [b"two"])

    def test_clear_in_the_middle(self) -> None:
        """After a violation nothing more comes out, and nothing is held."""
        buffer = FrameBuffer()
        buffer.feed(encode_frame(b"bad") + encode_frame(b"never") + b"\0")
        found = []
        for frame in buffer.frames():
            found.append(frame)
            buffer.clear()
        self.assertEqual(found, [b"bad"])
        self.assertEqual(len(buffer), 0)

    def test_P4_what_an_unfinished_frame_holds_is_one_cap(self) -> None:
        """A length costs nothing until its body comes, and a body never more than its length."""
        buffer = FrameBuffer()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        buffer.feed(prefix(SMALL_FRAME))
        self.assertEqual(list(buffer.frames()), [])
        self.assertLess(tracemalloc.get_traced_memory()[0], 2048)
        buffer.feed(bytes(SMALL_FRAME - 1))
        self.assertEqual(list(buffer.frames()), [])
        self.assertEqual(len(buffer), PREFIX_SIZE + SMALL_FRAME - 1)
        self.assertLess(tracemalloc.get_traced_memory()[1], 4 * SMALL_FRAME)

    def test_many_small_frames_in_one_read_are_linear(self) -> None:
        """A read of 64 KiB full of one-byte frames moves its bytes once, not once for each frame."""
        buffer = FrameBuffer()
        count = 64 * 1024 // 5
        buffer.feed(encode_frame(b"x") * count)
        held = []
        for _ in buffer.frames():
            held.append(len(buffer))
        self.assertEqual(len(held), count)
        self.assertEqual(set(held), {count * 5})
        self.assertEqual(len(buffer), 0)
