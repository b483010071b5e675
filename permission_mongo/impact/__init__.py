"""What a change of the policy changes: told by its rules, and counted on documents. It decides nothing in a request."""
