package local

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
)

// sourceName is the name of this source in users' records.
const sourceName = "local"

const maxUserName = 64

// errName is what every name gets that no account can have: it is a rejection
// for who signs in, and the reason for who makes an account.
var errName = fmt.Errorf("%w: %w", mfa.ErrRejected, mfa.ErrName)

// Config is what a Source is made of. Both fields are required.
type Config struct {
	Users  mfa.Users
	Hasher *seal.Hasher // of the whole process, so that its bound holds
}

// Source is the identity source of local accounts, and makes their passwords. It
// is safe for concurrent use.
type Source struct {
	users  mfa.Users
	hasher *seal.Hasher
	// dummy is what unknown names are checked against, at the cost of production
	// (AC-115).
	dummy string
}

// New returns a Source.
func New(cfg Config) (*Source, error) {
	if cfg.Users == nil || cfg.Hasher == nil {
		return nil, errors.New("making the source of local accounts: a part is missing")
	}
	return &Source{users: cfg.Users, hasher: cfg.Hasher, dummy: cfg.Hasher.Dummy()}, nil
}

// Source returns "local".
func (*Source) Source() string { return sourceName }

// Account returns the canonical user name: ASCII spaces around it are left out
// and ASCII capitals folded. A name that is none wraps both mfa.ErrRejected and
// mfa.ErrName. Look-alikes, invisible characters and other alphabets are refused
// rather than mapped (AC-213), and counters, records and audit see the canonical
// name alone (AC-093).
func (*Source) Account(name string) (string, error) {
	name = strings.Trim(name, " ")
	if len(name) == 0 || len(name) > maxUserName {
		return "", errName
	}
	folded := []byte(name)
	for i, c := range folded {
		switch {
		case c >= 'A' && c <= 'Z':
			folded[i] = c + 'a' - 'A'
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case (c == '.' || c == '_' || c == '-') && i > 0:
		default:
			return "", errName
		}
	}
	if folded[len(folded)-1] == '.' {
		return "", errName
	}
	return string(folded), nil
}

// Authenticate returns the identity of the account whose password this is. The
// account is what Account returned. Unknown and disabled accounts and those
// without a password cost one hash like the others, so that neither the answer
// nor its time tells them apart (AC-115). An account whose hash was made at an
// older cost takes that cost until its next sign-in, which hashes it anew; so does one
// that came from another system (see verify).
func (s *Source) Authenticate(ctx context.Context, account, password string) (*mfa.Identity, error) {
	secret, err := prepare(password)
	if err != nil || len(secret) == 0 {
		// No account can have it. This is known without looking at the account.
		return nil, mfa.ErrRejected
	}
	user, err := s.users.UserByKey(ctx, mfa.SubjectKey(sourceName, account))
	if err != nil && !errors.Is(err, mfa.ErrNotFound) {
		return nil, fmt.Errorf("reading a local account: %w", err)
	}
	phc := s.dummy
	known := err == nil && user != nil && user.Source == sourceName && user.Subject == account &&
		!user.Disabled && len(user.Password) > 0
	if known {
		phc = string([]byte(user.Password))
	}
	ok, rehash, err := s.verify(ctx, phc, secret, password)
	if errors.Is(err, seal.ErrPHC) || errors.Is(err, seal.ErrPepper) {
		// A damaged record, or a pepper that was lost. Outside it looks like any
		// rejection and takes as long, or it would tell that the account exists.
		if _, _, busy := s.hasher.Verify(ctx, s.dummy, secret); busy != nil {
			return nil, fault("checking a password", busy)
		}
		return nil, fmt.Errorf("checking a password: %w: %w", mfa.ErrRejected, err)
	}
	if err != nil {
		return nil, fault("checking a password", err)
	}
	if !ok || !known {
		return nil, mfa.ErrRejected
	}
	if rehash {
		s.rehash(ctx, user, secret)
	}
	id := &mfa.Identity{
		Source: sourceName, Subject: user.Subject, Name: user.Name, DisplayName: user.DisplayName,
		Email: user.Email, EmailVerified: user.EmailVerified,
	}
	id.Groups = append(id.Groups, user.Groups...)
	return id, nil
}

// errChanged says that another request has changed the password meanwhile.
var errChanged = errors.New("password changed meanwhile")

// rehash brings the stored hash to the present cost. The sign-in does not hang
// on it: where it fails, the next sign-in tries again. A password that was
// changed meanwhile stays changed.
func (s *Source) rehash(ctx context.Context, user *mfa.User, secret []byte) {
	phc, err := s.hasher.Hash(ctx, secret)
	if err != nil {
		return
	}
	old := string([]byte(user.Password))
	_ = s.users.UpdateUser(ctx, user.ID, func(u *mfa.User) error {
		if string([]byte(u.Password)) != old {
			return errChanged
		}
		u.Password = mfa.Secret(phc)
		return nil
	})
}

// fault turns a Hasher's refusals into the core's.
func fault(doing string, err error) error {
	if errors.Is(err, seal.ErrBusy) {
		return fmt.Errorf("%s: %w", doing, mfa.ErrBusy)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

var (
	_ mfa.PasswordSource = (*Source)(nil)
	_ mfa.Passwords      = (*Source)(nil)
	_ mfa.PasswordMover  = (*Source)(nil)
)
