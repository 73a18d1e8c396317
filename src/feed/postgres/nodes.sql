
-- Which gateways follow. Nothing that must survive a crash.
CREATE UNLOGGED TABLE IF NOT EXISTS {nodes} (
    id    uuid PRIMARY KEY,
    said  text NOT NULL,
    at    timestamptz NOT NULL,
    ends  timestamptz NOT NULL                                  -- then it is gone, unless it says so again
);
