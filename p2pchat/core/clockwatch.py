"""
Whether this machine's wall clock can be believed, where something is deleted by it.

A wall clock may be set a year ahead, by a mistake or by a broken one; what was said last week is then a year old. So it
is compared with a clock that nobody sets, and at the start with the last time at which it was believed.

A machine whose clock stands still while it is off begins with one that is behind, and has it set right later: what came
meanwhile looks as old as the clock was. So it is noted that the clock leapt forward.
"""

JUMP = 86_400_000
"""ms by which the wall clock goes on more than the other one before it is doubted; a night's sleep is no jump."""

AWAY = 8 * 86_400_000
"""ms for which a machine may be off, by its own clock, without a doubt: whoever comes once a week is never away."""

PROBATION = 86_400.0
"""Seconds of running after which a doubted clock is believed: time enough for a person to see it, and set it right."""


class ClockWatch:
    """Wall clock in ms since 1970 and monotonic seconds; the first two are those of the start."""

    def __init__(self, wall: int, now: float) -> None:
        self.ran = 0.0
        """Seconds for which we ran since the clock is doubted, earlier processes included."""
        self.off = 0
        """ms by which the clock went on while we did not; it may have been set back since."""
        self.leapt = False
        """Whether it jumped forward; put back by whoever has dated anew what came before."""
        self._began = self._wall = wall
        self._now = now

    @property
    def doubted(self) -> bool:
        """Whether nothing may be deleted by the clock. One that is behind deletes nothing too early."""
        return self.off >= JUMP

    def begin(self, believed: int, ran: float) -> None:
        """When it was last believed, and for how long earlier processes ran since; called once, at the start."""
        away = self._began - believed
        if not 0 <= away < AWAY:
            self.off += away
            self.ran += ran

    def look(self, wall: int, now: float) -> None:
        """The clocks are now so; to be called often."""
        passed = now - self._now
        jump = wall - self._wall - int(passed * 1000)
        self._wall, self._now = wall, now
        if abs(jump) >= JUMP:
            self.off += jump
            self.ran = 0.0
            self.leapt = self.leapt or jump > 0
        elif self.doubted:
            self.ran += passed
            if self.ran >= PROBATION:
                self.confirm()

    def confirm(self) -> None:
        """The clock is right: somebody else's agrees."""
        self.off, self.ran = 0, 0.0
