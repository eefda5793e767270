-- In a migration of its own: a new value of an enum can't be used by the transaction that adds it.
ALTER TYPE file_handling ADD VALUE 'canary';  -- goes the way of all frames, comes back, and is taken out again
