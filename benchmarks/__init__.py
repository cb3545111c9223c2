"""
What p2pchat costs, beside bare programs that do only the same on the same Twisted, pyOpenSSL and SQLite.

    make bench                      everything, in some four minutes
    python -m benchmarks --quick    the same measures with small numbers: a smoke test, its figures mean little

Single figures depend on the machine and on the minute; the ratios, each from two programs that ran in turns, do
much less. docs/performance.md says what is measured and how to read it.
"""
