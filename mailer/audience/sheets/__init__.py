"""Sheets: a table of people as a colleague, or another system, sends it, read into persons. Pure.

Decides what a file is (by its octets, never by its name), which row names the columns, what each column
means, and what of a row can be used; says in a sentence what cannot. Decides nothing about people: that is
``audience.intake``. ``sheet.read`` is the way in.

Rows are read as they are asked for, as often as they are asked for, so that a million of them need no more
memory than one; the whole file is looked through first, so that a broken one changes nothing.
"""
