"""The fixtures of the sources' tests."""

from __future__ import annotations

from tests.services.mariadb import mariadb, mariadb_url
from tests.services.postgres import postgres, postgres_shared_url, postgres_url

__all__ = ["mariadb", "mariadb_url", "postgres", "postgres_shared_url", "postgres_url"]
