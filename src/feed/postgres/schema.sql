-- The log. Applications INSERT here; nobody updates. Times are seconds since 1970, as in a JWT.
CREATE TABLE IF NOT EXISTS {log} (
    id            bigint PRIMARY KEY,                           -- drawn by the trigger, whatever was given
    v             integer NOT NULL DEFAULT 1,                   -- the record's version
    record_id     uuid NOT NULL DEFAULT gen_random_uuid(),
    op            text NOT NULL DEFAULT 'revoke',               -- or 'reinstate', 'register'
    issuer        text NOT NULL CHECK (octet_length(issuer) BETWEEN 1 AND 1024),
    claim         text NOT NULL CHECK (octet_length(claim) BETWEEN 1 AND 128),
    value         text NOT NULL CHECK (octet_length(value) <= 4096),
    issued_before bigint CHECK (issued_before >= 0),            -- NULL: every token with that value
    expires_at    bigint NOT NULL CHECK (expires_at >= 0),
    at            bigint NOT NULL DEFAULT floor(extract(epoch FROM clock_timestamp()))::bigint,
    actor         text DEFAULT session_user CHECK (octet_length(actor) <= 256),
    reason        text CHECK (octet_length(reason) <= 1024),
    token         jsonb                                         -- what a 'register' says of its token
);
CREATE SEQUENCE IF NOT EXISTS {log}_seq OWNED BY {log}.id;

-- The log folded up to {meta}.folded: one row for each name that is revoked or registered.
CREATE TABLE IF NOT EXISTS {live} (
    key           uuid PRIMARY KEY,                             -- hash of issuer, claim, value
    issuer        text COLLATE "C" NOT NULL,
    claim         text COLLATE "C" NOT NULL,
    value         text COLLATE "C" NOT NULL,
    record_id     uuid NOT NULL,
    issued_before bigint,
    expires_at    bigint NOT NULL,
    at            bigint NOT NULL,
    actor         text,
    reason        text,
    token         jsonb
);
-- Tables of an earlier version.
ALTER TABLE {log} ADD COLUMN IF NOT EXISTS token jsonb;
ALTER TABLE {live} ADD COLUMN IF NOT EXISTS token jsonb;
CREATE INDEX IF NOT EXISTS {name}_live_name ON {live} (issuer, claim, "left"(value, 256));
CREATE INDEX IF NOT EXISTS {name}_live_expiry ON {live} (expires_at);

-- One row: this memory's identity, up to where it is folded, and below what it has forgotten.
CREATE TABLE IF NOT EXISTS {meta} (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    format integer NOT NULL DEFAULT 1,
    epoch  uuid NOT NULL DEFAULT gen_random_uuid(),
    folded bigint NOT NULL DEFAULT 0,
    floor  bigint NOT NULL DEFAULT 0
);
INSERT INTO {meta} DEFAULT VALUES ON CONFLICT DO NOTHING;

-- Draws the id while the table's lock is held, so that a missing id can be told from a late one.
CREATE OR REPLACE FUNCTION {log}_stamp() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.id := nextval('{schema}.{name}_seq');
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER {name}_stamp BEFORE INSERT ON {log}
    FOR EACH ROW EXECUTE FUNCTION {log}_stamp();

-- Wakes the gateways at commit. A session that then idles in its transaction would hold every later
-- record back, so the server ends it after five seconds.
CREATE OR REPLACE FUNCTION {log}_wake() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('idle_in_transaction_session_timeout') = '0' THEN
        PERFORM set_config('idle_in_transaction_session_timeout', '5s', true);
    END IF;
    PERFORM pg_notify('{channel}', '');
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER {name}_wake AFTER INSERT ON {log}
    FOR EACH STATEMENT EXECUTE FUNCTION {log}_wake();
