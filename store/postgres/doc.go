// Package postgres keeps everything in a PostgreSQL database, for several gateways at once.
// It is the only importer of pgx and of the library that runs the migrations (goose).
//
// # What an operator can read
//
// The schema is in migrations, with a comment for each table. Every table has the whole of a
// thing as "record", sealed as package store says, and columns beside it: who is in which
// organization, who has which factors, who is disabled, which sessions there are, what
// happened when to whom. They are plain text, on purpose, and so are user_facets (what holds
// of whom), user_terms (what people are found by) and user_counts (how many hold which
// factors; the sum over shards). Whoever can read the database learns from them who has no
// second factor. No secret is in them: passwords, keys of factors, codes and links are in
// records alone.
//
// # What is trusted
//
// The record decides, and it opens in its own row alone. The columns are copies, to find
// rows by and to look at: changing one of them lets nobody in. Where a column leads to a
// record (the user of a session, of a key, of an index entry; the user, the decision and the
// time of an event), the two are compared, and what does not fit is store.ErrDamaged, never
// "not found" (AC-195). Trusted are only:
//
//   - sessions.last_seen, where it is later than the record says, because it is written
//     without the record; up to the session's own end.
//   - sessions.complete and last_seen for which session ends when there are too many.
//   - delete_after for when a row may go. Expiry is judged by records.
//   - user_counts, which are shown and decide nothing.
//   - changes: whoever takes rows away there, or puts false ones in, keeps nodes from
//     hearing of an end until they look by themselves (30 s).
//
// What sealing cannot prevent is that a row is put back as it was, or taken away. A backup
// is restored whole.
//
// # How it writes
//
// A change is one transaction: it locks its rows, runs, and sends all that it writes
// together with the commit, in two round trips. It is READ COMMITTED with locked rows, which
// is right on a serializable engine too; what one asks to be tried again is (40001, and
// deadlocks). Where the connection is lost while a commit is under way nobody knows what
// became of it: that is an error, and announced all the same. Commits wait for the disk
// (synchronous_commit is switched on where it is not).
//
// A call goes on for two seconds after it began, or after the database last answered
// anybody here: a line that moves is waited in, and one that stands still is left (AC-187).
//
// # One installation
//
// The row of installation names the installation, and so does the marker file outside of the
// database. A database that is empty or another one than the marker says is refused before
// anything is written to it, and so is each new connection, while the gateway serves, that
// leads to another one (AC-228). A row of meta proves the keys.
//
// # Migrations
//
// They run at the start of whichever node comes first, under a lock that is a row with a
// lease; the others wait. Nodes of the version before serve meanwhile, and go on, but cannot
// be started any more: a schema that is newer than the program is refused. So a step only
// adds: a table, a column that may be NULL or has a constant default, an index (a large one
// CONCURRENTLY, in a file with "-- +goose NO TRANSACTION"). It renames and drops nothing
// that the version before uses, rewrites no table, and what it adds is not needed to read
// what the version before writes. What is to go is first not used for a version, then
// dropped in the next. Where the schema is current nothing but a SELECT is needed, so the
// role that serves may lack every right but those on rows.
//
// # Engines
//
// PostgreSQL 15 and newer; it is what the tests run on. Others that speak its protocol were
// thought of and not tried: no advisory locks (rows are locked instead), no triggers, no
// stored procedures, no partitions, no extensions, no unlogged or temporary tables, no
// LIMIT in DELETE; settings that an engine may not know are asked for first. CockroachDB and
// YugabyteDB are recognised and not refused for their version numbers. On YugabyteDB the
// first column of a primary key is hashed by default, so that lists by a search term read
// more there; "users" is listed by an index that is ordered on both. A pooler has to keep a
// session for a client (PgBouncer: pool_mode = session), because of the settings of a
// session.
package postgres
