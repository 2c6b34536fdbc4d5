"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

from tests.support.campaign import NIGHTLY

# The same examples in every run of `main`, so that a change alone can turn a test red; no deadline on a busy machine.
settings.register_profile("main", derandomize=True, deadline=None)
settings.register_profile("nightly", max_examples=2000, deadline=None, print_blob=True)
settings.load_profile("nightly" if NIGHTLY else "main")
