
-- Which gateways follow. Kept from a crash: one that is not listed is not waited for.
CREATE TABLE IF NOT EXISTS {nodes} (
    id    uuid PRIMARY KEY,
    said  text NOT NULL,
    at    timestamptz NOT NULL,
    ends  timestamptz NOT NULL                                  -- then it is gone, unless it says so again
);
