"""What can be told of a URL without asking anybody."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit


def split_address(text: str) -> SplitResult | None:
    """The parts of a URL whose host and port are beyond doubt; None for any other text."""
    # urlsplit drops tabs and line breaks and lets backslashes through: two readers would see two hosts.
    if re.search(r"[\s\\\x00-\x1f\x7f]", text):
        return None
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if (
        not host
        or port == 0
        or not re.fullmatch(r"[A-Za-z0-9.-]+(:[0-9]+)?|\[[0-9A-Fa-f:.]+\](:[0-9]+)?", parts.netloc)
    ):
        return None
    return parts


def is_safe(parts: SplitResult) -> bool:
    """Whether what is sent there is read by nobody on the way: https, or this machine."""
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_inside(database: str, project: str) -> bool:
    """Whether a database is the one of a Supabase project, by its own host or by the user of the pooler.

    `db.REF.supabase.co`, or the user `postgres.REF` (Supabase documentation, "Connect to your database").
    """
    reference, _, host = (urlsplit(project).hostname or "").partition(".")
    try:
        parts = urlsplit(database)
        named, user = parts.hostname or "", parts.username or ""
    except ValueError:
        return False  # no URL that anything can be read from: whoever opens it says so
    return host == "supabase.co" and (named == f"db.{reference}.{host}" or user.endswith(f".{reference}"))
