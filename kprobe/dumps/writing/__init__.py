"""Writing a dump: claimed, laid out or resumed, rows written, published."""
