"""What follows from the declaration of a domain, as first drafts of its contract, tables and process."""
