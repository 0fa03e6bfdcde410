"""The proofs hold, nothing false passes, and the package computes what is proved."""
