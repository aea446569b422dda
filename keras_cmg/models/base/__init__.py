"""What all systems share: backbone, pretrainer and its trainer, presets, registry."""
