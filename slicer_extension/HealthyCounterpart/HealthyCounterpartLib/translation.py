"""Every text that a person reads goes through `_`, which Slicer translates."""

try:
    from slicer.i18n import tr as _
except ImportError:  # outside the application: scripts and tests

    def _(text: str) -> str:
        return text


__all__ = ["_"]
