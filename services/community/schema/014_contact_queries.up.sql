-- Who asked for contacts, and why, is for those who look after the city: the words of a reason may tell of a person.

ALTER TABLE contact_queries MODIFY COMMENT 'Queries for contacts: written before any passage is read (not for analysts)';
