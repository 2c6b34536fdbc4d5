"""Text as it is compared: what is cleaned on reading, and what is folded away when two values are compared.

Nothing here is written anywhere: a contact gets the source's own spelling (cleaned), and the folded form is only
ever a key. Databases fold more than we do (MariaDB's usual collation calls 😀 and 😁, `renee@x` and `renée@x` equal),
which is why identity is decided here and not in SQL.

ASCII text is in every normal form already (Unicode Standard Annex #15, section 4), and is not put through any.
"""

from __future__ import annotations

from unicodedata import normalize


def clean(text: str | None) -> str | None:
    """The text in NFC, without white space around it; None where nothing is left.

    Inner white space, control characters, emoji and letter case stay as they are.
    """
    if text is None:
        return None
    return (text if text.isascii() else normalize("NFC", text)).strip() or None


def fold_email(text: str) -> str:
    """The form in which e-mail addresses are compared: trimmed, NFC, lower-case; nothing more.

    Plus tags and dots stay: `ann+x@` and `ann@` are two addresses. `str.lower`, not `casefold`, so `straße@` and
    `strasse@` stay two. `İ` lowers to two code points (`i` and a dot above), so `İnci@` and `inci@` stay two. NFC is
    taken again after lowering, because `lower` can undo it, and the form must not change when it is folded twice.
    """
    if text.isascii():
        return text.strip().lower()
    return normalize("NFC", normalize("NFC", text).strip().lower())


def fold_name(text: str) -> str:
    """The form in which people's names are compared to confirm a match: NFC, case folded, runs of white space as one.

    A name confirms and never identifies, so this folds further than `fold_email`: `STRASSE` and `Straße` are equal.
    Accents stay: `Renée` and `Renee` are not. Decomposed before it is folded, as Unicode asks of a caseless match
    (Unicode 16.0, section 3.13, D145).
    """
    if text.isascii():
        return " ".join(text.casefold().split())
    return normalize("NFC", " ".join(normalize("NFD", text).casefold().split()))
