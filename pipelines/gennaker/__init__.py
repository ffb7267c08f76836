"""The authoring SDK: what a pipeline is."""
