"""Files as such: locked, extended, made safe on the disk, and room for them."""
