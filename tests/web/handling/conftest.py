"""The fixtures of the web service's tests."""

from __future__ import annotations

from tests.services.mariadb import mariadb, mariadb_url

__all__ = ["mariadb", "mariadb_url"]
