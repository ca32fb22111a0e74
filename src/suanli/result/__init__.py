"""Results: values with unit, band and basis, the ledger that explains them, tables for people."""
