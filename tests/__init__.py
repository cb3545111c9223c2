"""The tests of p2pchat; run with trial."""
