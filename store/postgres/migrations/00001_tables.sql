-- The first form of the store. Whoever changes it writes a new file: what stands here has
-- run at other people's.
--
-- "record" is the whole of a thing, sealed, and alone decides. The columns beside it are
-- copies for indexes and for people who look: changing one of them lets nobody in.
-- What is compared byte by byte has the collation "C": lists go on behind a cursor in the
-- same order whatever the locale of the database is.

-- +goose Up

CREATE TABLE installation (
	one         boolean     PRIMARY KEY DEFAULT true CHECK (one),
	id          text        NOT NULL,
	made        timestamptz NOT NULL DEFAULT now()
);

-- Small things by name: the key set, the end of the chain of events, the version of the index.
CREATE TABLE meta (
	name        text COLLATE "C" PRIMARY KEY,
	record      bytea       NOT NULL
);

CREATE TABLE users (
	id             text COLLATE "C" PRIMARY KEY,
	name           text COLLATE "C" NOT NULL,
	source         text        NOT NULL,
	display_name   text        NOT NULL,
	email          text        NOT NULL,
	email_verified boolean     NOT NULL,
	disabled       boolean     NOT NULL,
	admin          boolean     NOT NULL,
	organizations  text[]      NOT NULL,
	factors        text[]      NOT NULL,
	created        timestamptz,
	first_sign_in  timestamptz,
	record         bytea       NOT NULL
);
CREATE INDEX users_by_name ON users (name ASC, id ASC);

-- Who holds a unique key: one of an identity source, an address that signs in, a passkey.
CREATE TABLE user_keys (
	key         text COLLATE "C" PRIMARY KEY,
	user_id     text COLLATE "C" NOT NULL
);

CREATE TABLE user_facets (
	facet       text COLLATE "C" NOT NULL,
	name        text COLLATE "C" NOT NULL,
	user_id     text COLLATE "C" NOT NULL,
	PRIMARY KEY (facet, name, user_id)
);

CREATE TABLE user_terms (
	term        text COLLATE "C" NOT NULL,
	user_id     text COLLATE "C" NOT NULL,
	PRIMARY KEY (term, user_id)
);

-- How many users of a group hold which factors; the sum over shards counts.
CREATE TABLE user_counts (
	grp         text COLLATE "C" NOT NULL,
	factors     text COLLATE "C" NOT NULL,
	shard       smallint    NOT NULL,
	n           bigint      NOT NULL,
	PRIMARY KEY (grp, factors, shard)
);

CREATE TABLE sessions (
	id           text COLLATE "C" PRIMARY KEY,
	user_id      text COLLATE "C" NOT NULL,
	line         smallint    NOT NULL,  -- of session_lines
	scope        text        NOT NULL,
	complete     boolean     NOT NULL,
	created      timestamptz NOT NULL,
	last_seen    timestamptz NOT NULL,  -- newer than the record's where that was not written since
	expires      timestamptz NOT NULL,
	ended        timestamptz,           -- NULL: it goes on
	delete_after timestamptz NOT NULL,
	record       bytea       NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id) WHERE ended IS NULL;
CREATE INDEX sessions_to_delete ON sessions (delete_after);

-- Rows to lock for who changes which sessions a user has; a user's is a hash of the ID.
CREATE TABLE session_lines (
	line         smallint    PRIMARY KEY
);
INSERT INTO session_lines SELECT generate_series(0, 4095);

CREATE TABLE challenges (
	id           text COLLATE "C" PRIMARY KEY,
	purpose      text        NOT NULL,
	expires      timestamptz NOT NULL,
	taken        timestamptz,           -- NULL: not yet
	delete_after timestamptz NOT NULL,
	record       bytea       NOT NULL
);
CREATE INDEX challenges_to_delete ON challenges (delete_after);

CREATE TABLE attempts (
	key          text COLLATE "C" PRIMARY KEY,
	count        bigint      NOT NULL,
	until        timestamptz,
	delete_after timestamptz,          -- NULL: never
	record       bytea       NOT NULL
);
CREATE INDEX attempts_to_delete ON attempts (delete_after) WHERE delete_after IS NOT NULL;

CREATE TABLE organizations (
	id          text COLLATE "C" PRIMARY KEY,
	name        text        NOT NULL,
	record      bytea       NOT NULL
);

CREATE TABLE policy (
	name        text COLLATE "C" PRIMARY KEY,
	record      bytea       NOT NULL
);

CREATE TABLE api_keys (
	id          text COLLATE "C" PRIMARY KEY,
	name        text        NOT NULL,
	expires     timestamptz,
	record      bytea       NOT NULL
);

CREATE TABLE campaigns (
	organization text COLLATE "C" PRIMARY KEY,
	record       bytea      NOT NULL
);

CREATE TABLE events (
	number      bigint      PRIMARY KEY,
	at          timestamptz NOT NULL,
	at_nano     bigint      NOT NULL,  -- the same, to the nanosecond
	name        text        NOT NULL,
	user_id     text COLLATE "C" NOT NULL,
	decision    text COLLATE "C" NOT NULL,
	hash        bytea       NOT NULL,
	record      bytea       NOT NULL
);
CREATE INDEX events_by_time ON events (at_nano DESC, number DESC);
CREATE INDEX events_by_user ON events (user_id, at_nano DESC, number DESC) WHERE user_id <> '';
CREATE INDEX events_by_decision ON events (decision, at_nano DESC, number DESC) WHERE decision <> '';

-- What nodes tell each other: a row for each change, kept for an hour. A node that asks for
-- the rows behind the last one that it saw misses nothing, however long it was away.
-- Numbers are handed out one after the other: a stock of them in each connection (CACHE)
-- would have old ones used late, and readers would miss them.
CREATE SEQUENCE change_numbers CACHE 1;
CREATE TABLE changes (
	number      bigint      PRIMARY KEY DEFAULT nextval('change_numbers'),
	at          timestamptz NOT NULL DEFAULT clock_timestamp(),
	node        text        NOT NULL,  -- who made it, and knows of it
	kind        text        NOT NULL,  -- user, policy, keys
	user_id     text        NOT NULL
);
CREATE INDEX changes_by_time ON changes (at);

-- Rows to lock, one for each name of work that one node at a time does.
CREATE TABLE locks (
	name        text COLLATE "C" PRIMARY KEY
);
