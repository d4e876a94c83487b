"""Who runs the models: one file a vendor, one contract (`base.py`)."""
