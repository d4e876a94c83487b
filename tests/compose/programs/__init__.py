"""What runs inside the stand-in images, under the names of the vendors' programs."""
