"""Settings: the environment, read once into frozen values (design §7). Nothing else reads `os.environ`.

`table` says what there is, `values` and `addresses` how a value is read, `source_choice` which variables name the
source, `reading` brings it together; what comes of it is in `settings`, and `secret` holds what nobody may see.

A malformed value stops every command (`load_settings` names all of them at once): it is always a mistake, and most
of all `RECONCILER_PAUSED=ture`. A missing value stops only the command that needs it (`Settings.require` and the
methods named after what they return). No text made here holds a value.
"""

from reconciler.settings.reading import load_settings, read_settings, settings_here, settings_to_examine
from reconciler.settings.secret import Secret
from reconciler.settings.settings import DatabaseSource, Need, Settings, SourceSetting, SupabaseSource
from reconciler.settings.table import SETTINGS, Setting

__all__ = [
    "SETTINGS",
    "DatabaseSource",
    "Need",
    "Secret",
    "Setting",
    "Settings",
    "SourceSetting",
    "SupabaseSource",
    "load_settings",
    "read_settings",
    "settings_here",
    "settings_to_examine",
]
