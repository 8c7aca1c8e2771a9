// Package postgres keeps everything in a PostgreSQL database, for several gateways at once.
// It is the only importer of pgx and of the library that runs the migrations.
package postgres
