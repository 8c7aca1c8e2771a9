package mfa

import (
	"errors"
	"fmt"
	"time"
)

// The choices that a caller has. Everything else is a fault of ours, and refuses.
var (
	// ErrRejected is a proof that failed. It is the same for every cause, so that
	// nobody learns whether a user exists, a code was used before, or a password
	// was right.
	ErrRejected = errors.New("rejected")
	// ErrBusy says that the work was not begun because too much waits already.
	ErrBusy = errors.New("too busy")
	// ErrInTurn says that the work was not begun because other work that it has to follow
	// goes on for too long. It is an ErrBusy.
	ErrInTurn = fmt.Errorf("another such change is being made; try again in a moment (%w)", ErrBusy)
	// ErrExpired says that what was started waited too long and starts again.
	ErrExpired = errors.New("expired")
	// ErrNoSession says that nobody is signed in (any more).
	ErrNoSession = errors.New("no session")
	// ErrCloned says that a passkey's counter went back: a copy of it may exist.
	ErrCloned = errors.New("the passkey's counter went back")
	// ErrLimit says that the user has as many of that factor as there may be.
	ErrLimit = errors.New("limit reached")
	// ErrNotOwed says that the step is not owed (any more): another tab did it.
	ErrNotOwed = errors.New("not owed")
	// ErrNotAllowed says that the policy does not allow it.
	ErrNotAllowed = errors.New("not allowed")
	// ErrNameTaken says that the user name belongs to somebody.
	ErrNameTaken = errors.New("user name taken")
	// ErrName says that no account can have that user name.
	ErrName = errors.New("not a user name")
	// ErrEnrollmentClosed says that first enrollment needs an administrator's
	// link (rule B17).
	ErrEnrollmentClosed = errors.New("enrollment needs an administrator's link")
	// ErrConfirmFirst says that first enrollment needs a code to the address on file
	// first (rule B17).
	ErrConfirmFirst = errors.New("enrollment needs a code to the address on file first")
	// ErrLastFactor says that the requirement would be left without a factor.
	ErrLastFactor = errors.New("the last factor stays while one is required")
	// ErrNoFactor says that there is no second factor to prove first.
	ErrNoFactor = errors.New("no second factor is set up")
	// ErrDenied says that the person, or the identity source, said no to the sign-in.
	ErrDenied = errors.New("denied at the identity source")
	// ErrDisabled says that an administrator disabled the user.
	ErrDisabled = errors.New("user disabled")
)

// ErrNoLocal says that there are no accounts of the gateway's own, which links and
// invitations make. It is an ErrNotAllowed.
var ErrNoLocal = fmt.Errorf("%w: this gateway has no accounts of its own; write \"identity local\" in the global options beside the other sources, or give the role to somebody who has signed in: secondgate mfa users role NAME admin", ErrNotAllowed)

// ThrottledError says that there were too many attempts. Whoever has not proven
// a first factor must not be told, or names could be told from each other.
type ThrottledError struct {
	RetryAfter time.Duration
	Locked     bool // until an administrator unlocks it or it is set up anew
}

// Error says when to try again.
func (e *ThrottledError) Error() string {
	if e.Locked {
		return "too many attempts; locked"
	}
	return fmt.Sprintf("too many attempts; again in %s", e.RetryAfter)
}

// Unwrap makes a ThrottledError a rejection.
func (e *ThrottledError) Unwrap() error { return ErrRejected }

// ProofError says that a change needs a proof first, or a stronger or newer one
// (rule B15). Kinds are the factors that would do; empty means the first factor.
type ProofError struct{ Kinds Kinds }

// Error says what is missing.
func (e *ProofError) Error() string { return "a newer proof is needed first" }

// LockoutError says that a change would leave no administrator who could still sign in.
type LockoutError struct{ Reason string }

// Error says why, in words for administrators.
func (e *LockoutError) Error() string { return e.Reason }
