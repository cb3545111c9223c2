"""
What is made of the tables of options and commands: manual pages, and completion for three shells.

`grammar` reads the parser of the command line into plain values, which the others lay out. What comes out lies in
share/ and is installed with the program; tests/make_manual.py writes it anew when a table changed.
"""
