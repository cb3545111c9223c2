"""
What the `p2pchat` command does once and then ends: one module for each group of subcommands.

Each function takes the options that were parsed, prints what a person or script asked for, and raises UserError.
What a daemon knows is asked over its local socket; what is large is imported when it is needed.
"""
