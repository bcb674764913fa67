"""What `urban doctor` looks at: facts are gathered from the servers, and judged apart from that."""
