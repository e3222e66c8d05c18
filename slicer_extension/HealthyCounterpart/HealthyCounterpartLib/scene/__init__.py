"""What the module keeps and shows in the scene: MRML alone, without Qt."""
