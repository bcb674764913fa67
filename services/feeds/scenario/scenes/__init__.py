"""What incidents look like to the sensors of a city: one function for each rule, and what only resembles them."""
