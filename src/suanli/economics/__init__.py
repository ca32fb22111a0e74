"""Economics: capital and running cost by part, cost and price of tokens, cash flow and returns."""
