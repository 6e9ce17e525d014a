"""Pictures drawn by matplotlib, which is imported here alone, and only once something is drawn."""
