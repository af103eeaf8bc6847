DROP INDEX events_unplaced_idx;
DROP INDEX events_place_idx;
-- Its sequence goes with it.
ALTER TABLE events DROP COLUMN place;
