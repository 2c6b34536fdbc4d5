"""What the source and the target that live in a Supabase project share.

`questions` says what may be asked and changed, `wire` sends it, `answers` and `trouble` are what comes back. On top of
that `pages` walks through tables, and `tables` reads them whole, as `reading` says, or not at all.
"""
