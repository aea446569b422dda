"""What all systems share: backbone, pretrainer, presets, registry."""
