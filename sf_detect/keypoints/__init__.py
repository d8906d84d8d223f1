"""Body landmarks of tracked persons, and the postures that about a second of them tells."""
