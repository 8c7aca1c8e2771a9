package mfa

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
)

// randomText returns n random bytes as base64url. crypto/rand is the only source
// of randomness here, and it does not return short or fail.
func randomText(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// NewSessionID returns 256 random bits.
func NewSessionID() SessionID { return SessionID(randomText(32)) }

// NewUserID returns a new user's ID.
func NewUserID() UserID { return UserID(randomText(16)) }

// NewDecisionID returns the ID of a decision: 60 random bits, to be read out on the
// phone, and no secret.
func NewDecisionID() string { return rand.Text()[:12] }

func newCredentialID() CredentialID { return CredentialID(randomText(16)) }

func newUserHandle() []byte {
	b := make([]byte, 32)
	rand.Read(b)
	return b
}

// Short returns a name for the session that is good for logs and lists and
// useless as a token.
func (id SessionID) Short() string {
	sum := sha256.Sum256([]byte("session\x00" + string(id)))
	return hex.EncodeToString(sum[:6])
}

// linkID is the challenge under which the store knows a link: only its hash, so
// that a copy of the store opens no link.
func linkID(token string) string {
	sum := sha256.Sum256([]byte("link\x00" + token))
	return hex.EncodeToString(sum[:])
}
