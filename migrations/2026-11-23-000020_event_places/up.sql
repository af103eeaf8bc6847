-- Where an event stands among those of its organization, for who reads them behind a cursor. It is given after the event was
-- committed, when somebody reads: ids and times are made before, and what a transaction that took longer wrote would lie before
-- what a reader has seen already.
ALTER TABLE events ADD COLUMN place bigint;
CREATE SEQUENCE events_place_seq OWNED BY events.place;
CREATE UNIQUE INDEX events_place_idx ON events (organization_id, place) WHERE place IS NOT NULL;
-- A ping is for one webhook alone.
CREATE INDEX events_unplaced_idx ON events (organization_id, id) WHERE place IS NULL AND kind <> 'webhook.ping';
