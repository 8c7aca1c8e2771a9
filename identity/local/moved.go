package local

import (
	"context"
	"strings"

	"github.com/secondgate/secondgate/internal/oldhash"
	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
)

// Adopt reports how a hash that another system made is taken: as it is (""), or with a
// note for who moves it. What cannot be taken is a *mfa.MoveError.
func (s *Source) Adopt(hash mfa.Secret) (note string, err error) {
	text := string([]byte(hash))
	if strings.Contains(text, ",keyid=") {
		return "", &mfa.MoveError{Why: "the password hash was made with a secret of the other system's besides (keyid)"}
	}
	if seal.Verifiable(text) {
		return "", nil
	}
	h, err := oldhash.Parse(text)
	if err != nil {
		return "", &mfa.MoveError{Why: err.Error()}
	}
	return h.Name() + "; it is hashed anew with Argon2id at the first sign-in", nil
}

// verify reports whether the password is that of the hash, and whether it should be
// hashed anew. secret is the password as it is hashed here, entered what was typed: other
// systems did not bring it to one form.
//
// A hash of another kind that takes less time than ours is not told apart by a wrong
// password (seal.Alike). One that takes longer is, and a right password of either is: it
// is hashed anew, which whoever knows the password may see.
func (s *Source) verify(ctx context.Context, hash string, secret []byte, entered string) (ok, rehash bool, err error) {
	if seal.Verifiable(hash) {
		return s.hasher.Verify(ctx, hash, secret)
	}
	old, err := oldhash.Parse(hash)
	if err != nil {
		return false, false, seal.ErrPHC
	}
	ok, err = s.hasher.Alike(ctx, func() bool { return old.Matches([]byte(entered)) })
	return ok, ok, err
}
