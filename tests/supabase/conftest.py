"""The fixtures of the tests of a Supabase project."""

from __future__ import annotations

from tests.services.postgres import postgres, postgres_shared_url, postgres_url

__all__ = ["postgres", "postgres_shared_url", "postgres_url"]
