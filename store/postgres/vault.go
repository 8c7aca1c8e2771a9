package postgres

import (
	"context"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/secondgate/secondgate/internal/seal"
)

// vault is a row of the database.
type vault struct{ d *DB }

// Vault returns where the key set of this database is kept: a row that all its gateways
// share. What stands there opens everything else, so it is sealed by a master key that is
// not in the database.
func (d *DB) Vault() seal.Vault { return vault{d} }

// Read implements seal.Vault.
func (v vault) Read(ctx context.Context) ([]byte, error) {
	var text []byte
	err := v.d.brief(ctx, "reading the key set", func(ctx context.Context) error {
		return v.d.pool.QueryRow(ctx, `SELECT record FROM meta WHERE name = $1`, metaKeys).Scan(&text)
	})
	if noRow(err) {
		return nil, fs.ErrNotExist
	}
	return text, err
}

// Replace implements seal.Vault. The other nodes hear of it in the same write.
func (v vault) Replace(ctx context.Context, old, next []byte) error {
	replaced := false
	err := v.d.brief(ctx, "writing the key set", func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, v.d.pool, func(tx pgx.Tx) (err error) {
			var tag pgconn.CommandTag
			if old == nil {
				tag, err = tx.Exec(ctx, `INSERT INTO meta (name, record) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, metaKeys, next)
			} else {
				tag, err = tx.Exec(ctx, `UPDATE meta SET record = $2 WHERE name = $1 AND record = $3`, metaKeys, next, old)
			}
			if replaced = tag.RowsAffected() == 1; err != nil || !replaced {
				return err
			}
			_, err = tx.Exec(ctx, insertChange, v.d.node, changeKeys, "")
			return err
		})
	})
	if err == nil && !replaced {
		return seal.ErrReplaced
	}
	v.d.feed.poke()
	return err
}

// brief runs what is asked beside the store's own calls, within the time of two of them.
func (d *DB) brief(ctx context.Context, doing string, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 2*callTime)
	defer cancel()
	err := fn(ctx)
	if err == nil || noRow(err) {
		return err
	}
	return d.wrap(ctx, doing, &asked{err})
}
