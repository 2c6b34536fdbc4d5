"""How long the property tests run: every day the same examples, at night many that nobody saw before.

`make nightly` sets CAMPAIGN=nightly; PROPERTY_EXAMPLES names any other number of worlds.
"""

from __future__ import annotations

import os

NIGHTLY = os.environ.get("CAMPAIGN") == "nightly"

WORLDS = int(os.environ.get("PROPERTY_EXAMPLES", "20000" if NIGHTLY else "1000"))
"""How many generated worlds are planned, applied and planned again."""
