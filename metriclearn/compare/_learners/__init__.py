"""How each learner of the roster is made, and the few settings that it is tuned over."""
