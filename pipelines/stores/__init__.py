"""Where things are kept: one file a vendor, one contract (`base.py`)."""
