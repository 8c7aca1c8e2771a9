package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/secondgate/secondgate/mfa"
)

// SQLSTATE codes that somebody has to do something about.
const (
	codeUnique        = "23505"
	codeSerialization = "40001"
	codeUnknown       = "40003" // whether a statement was carried out
	codeDeadlock      = "40P01"
	codeLockTimeout   = "55P03"
	codeCanceled      = "57014" // statement_timeout
	codeNoTable       = "42P01"
	codeNoRight       = "42501"
	codeDiskFull      = "53100"
	codeConnections   = "53300"
	codeTooLarge      = "54000"
	codeReadOnly      = "25006"
)

func codeOf(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// fault puts an error of the database into words. It is never one of the answers of a store
// that mean something (mfa.ErrNotFound): it says that nobody could tell.
func (d *DB) fault(doing string, err error) error {
	if err == nil {
		return nil
	}
	switch codeOf(err) {
	case codeLockTimeout:
		return fmt.Errorf("%s: another change is in the way: %w", doing, mfa.ErrBusy)
	case codeConnections:
		return fmt.Errorf("%s: the database takes no more connections; raise max_connections there, or lower the pool's: %w", doing, mfa.ErrBusy)
	case codeTooLarge:
		return fmt.Errorf("%s: %w", doing, mfa.ErrTooLarge)
	case codeNoRight:
		return fmt.Errorf("%s: the role may not do this; grant it what docs/postgres.md says: %w", doing, d.scrub(err))
	case codeNoTable:
		return fmt.Errorf("%s: a table is missing; was the database emptied, or is the search_path another one? %w", doing, d.scrub(err))
	case codeDiskFull:
		return fmt.Errorf("%s: the disk of the database is full: %w", doing, d.scrub(err))
	case codeReadOnly:
		return fmt.Errorf("%s: the database is read only; name its primary server: %w", doing, d.scrub(err))
	case codeCanceled:
		return fmt.Errorf("%s: the database took too long: %w", doing, context.DeadlineExceeded)
	}
	return fmt.Errorf("%s: %w", doing, d.scrub(err))
}

// scrub takes the password out of what is logged and shown. pgx masks it where it expects
// it; this is for where it does not.
func (d *DB) scrub(err error) error {
	if d.config == nil {
		return err
	}
	text := err.Error()
	clean := text
	for _, secret := range secrets(d.config.ConnConfig.Password) {
		clean = strings.ReplaceAll(clean, secret, "xxxxx")
	}
	if clean == text {
		return err
	}
	return errors.New(clean)
}

// secrets are the forms of a password that may stand in a text.
func secrets(password string) []string {
	if password == "" {
		return nil
	}
	return []string{password, url.QueryEscape(password), url.PathEscape(password), url.UserPassword("", password).String()[1:]}
}
