package postgres

import "embed"

// migrations are the steps from nothing to the newest form, in the order of their numbers.
//
//go:embed migrations/*.sql
var migrations embed.FS
