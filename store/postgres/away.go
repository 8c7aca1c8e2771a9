package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/secondgate/secondgate/mfa"
)

// Away reports whether the error says no more than that the database cannot be reached
// now: it does not answer, is starting, stopping or full, or is a replica that nothing is
// written to. What else a database answers, that the password is wrong for example, does
// not mend by itself, and is not away; nor is a certificate that nobody vouches for.
func Away(err error) bool {
	if answer, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch answer.Code {
		case codeConnections,
			"57P01", "57P02", "57P03", "57P05", // shutting down, crashed, starting up, idle too long
			codeReadOnly: // a replica, or a primary that is one by now
			return true
		}
		return strings.HasPrefix(answer.Code, "08") // connection
	}
	if name, ok := errors.AsType[*net.DNSError](err); ok {
		// The name of a database that is being moved may be missing for a moment.
		return name.IsTimeout || name.IsTemporary || name.IsNotFound
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return true
	}
	for _, known := range []error{
		mfa.ErrBusy, context.DeadlineExceeded, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
		syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}
