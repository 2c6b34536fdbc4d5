"""A declarative reconciler: Intercom contacts made equal to what members and positions say."""

__version__ = "0.1.0"
