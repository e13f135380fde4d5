"""Moving in from another on-call system: its exported schedules and policies become a roster, and the two are compared.

A file for each source reads what that system exports. `model` is what all of them say, `roster_writer` writes it as a roster,
`compare` puts who is on call there beside who is on call here.
"""
