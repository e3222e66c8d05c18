"""The sections of the module's panel: each connects its widgets and shows its part of the state."""
