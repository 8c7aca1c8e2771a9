package scale

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/identity/local"
	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/factor/backupcode"
	"github.com/secondgate/secondgate/mfa/factor/passkey"
	"github.com/secondgate/secondgate/mfa/factor/totp"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

const (
	goodPassword = "correct horse battery staple 7"
	scope        = "app.example.com"
	origin       = "https://" + scope
)

// crowd makes users like those of a large organization: number i is the same in every
// store, so that a store of a thousand is the beginning of one of a million. What costs a
// second to make is made once and is everybody's: the password, the set of backup codes and
// the key of the passkeys. Their IDs, and all that an index holds, are each user's own.
type crowd struct {
	Began    time.Time // when everybody was made
	Password mfa.Secret
	Codes    mfa.Secret
	Code     string // one of the codes
	App      mfa.Secret
	AppText  mfa.Secret
	Passkey  mfa.Credential
	KeyID    []byte
	Private  []byte // PKCS 8

	phone *mfatest.Authenticator
	key   *mfatest.Key // in it
}

// newCrowd makes the crowd, or reads the one of the stores that are there.
func newCrowd(t testing.TB, hasher *seal.Hasher, path string) *crowd {
	t.Helper()
	c := &crowd{phone: &mfatest.Authenticator{Origin: origin, Synced: true}}
	factor, at, owner := passkey.New(passkey.Config{}), placeOf(0), &mfa.User{ID: "owner", Handle: []byte("owner"), Name: "owner"}
	options, state, err := factor.BeginEnrollment(at, owner)
	ok(t, err)
	answer, err := c.phone.Enroll(options, nil)
	ok(t, err)
	made, err := factor.FinishEnrollment(at, owner, state, answer)
	ok(t, err)
	c.key = c.phone.Keys()[0]
	if raw, err := os.ReadFile(path); err == nil {
		ok(t, json.Unmarshal(raw, c))
		private, err := x509.ParsePKCS8PrivateKey(c.Private)
		ok(t, err)
		c.key.Private = private.(*ecdsa.PrivateKey)
		return c
	}
	c.Began = time.Now().Add(-time.Hour).Truncate(time.Second).UTC()
	c.Passkey, c.KeyID = *made, c.key.ID
	c.Private, err = x509.MarshalPKCS8PrivateKey(c.key.Private)
	ok(t, err)
	source, err := local.New(local.Config{Users: nobody{}, Hasher: hasher})
	ok(t, err)
	c.Password, err = source.Hash(t.Context(), goodPassword)
	ok(t, err)
	c.App, c.AppText, err = totp.New().NewSecret()
	ok(t, err)
	data, codes, err := backupcode.New(hasher).New(t.Context())
	ok(t, err)
	c.Codes, c.Code = data, codes[0]
	raw, err := json.Marshal(c)
	ok(t, err)
	ok(t, os.MkdirAll(filepath.Dir(path), 0o700))
	ok(t, os.WriteFile(path, raw, 0o600))
	return c
}

// nobody are users whom nobody asks for: only a hash is made.
type nobody struct{ mfa.Users }

// placeOf is where user i is: on a network of their own, or the limits of one network would
// be what is measured.
func placeOf(i int) *mfa.Place {
	return &mfa.Place{
		Origin: origin, Host: scope, Scope: scope, RPID: scope, Agent: "Firefox on Linux",
		Network: fmt.Sprintf("10.%d.%d.0/24", i>>8&255, i&255),
	}
}

// mark is random, and the same in each run.
func mark(what string, i int) [32]byte { return sha256.Sum256(fmt.Appendf(nil, "%s %d", what, i)) }

func text(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func userID(i int) mfa.UserID {
	m := mark("user", i)
	return mfa.UserID(text(m[:16]))
}

func sessionID(i int) mfa.SessionID {
	m := mark("session", i)
	return mfa.SessionID(text(m[:]))
}

var syllables = strings.Fields("an bel cor dan el fer gar hol in jo kar lin mar nor ol per quin ros sam tor ul van wil xa yan zo")

// armed reports whether user i has all kinds of factor and may sign in.
func armed(i int) bool { return i%20 >= 2 && i%33 != 5 }

// holds is how many credentials user i has: none, three or four, three each on average.
func holds(i int) int {
	switch {
	case i%20 < 2:
		return 0
	case i%3 == 0:
		return 4
	}
	return 3
}

// user returns user i.
func (c *crowd) user(i int) *mfa.User {
	r := rand.New(rand.NewPCG(7, uint64(i)))
	word := func() string {
		return syllables[r.IntN(len(syllables))] + syllables[r.IntN(len(syllables))] + syllables[r.IntN(len(syllables))]
	}
	first, last := word(), word()
	name := fmt.Sprintf("%s.%s%d", first[:1], last, i)
	handle := mark("handle", i)
	u := &mfa.User{
		ID: userID(i), Handle: handle[:], Source: mfa.LocalSource, Subject: name, Name: name,
		DisplayName: strings.ToUpper(first[:1]) + first[1:] + " " + strings.ToUpper(last[:1]) + last[1:],
		Email:       fmt.Sprintf("%s@company%02d.example", name, r.IntN(50)), EmailVerified: r.IntN(20) > 0,
		Password: c.Password, Created: c.Began, Disabled: i%33 == 5, OptedOut: r.IntN(50) == 0,
	}
	if r.IntN(5) == 0 {
		u.Organizations = []mfa.OrganizationID{mfa.OrganizationID(fmt.Sprintf("org%02d", r.IntN(20)))}
	}
	if r.IntN(20_000) == 0 {
		u.Auditor = true
	}
	n := holds(i)
	if n == 0 {
		if i%20 == 1 {
			u.FirstSignIn = c.Began
		}
		return u
	}
	u.FirstSignIn, u.LastSignIn, u.LastHost, u.EverEnrolled = c.Began, c.Began, scope, true
	u.Credentials = append(u.Credentials,
		mfa.Credential{ID: credentialID("app", i), Kind: mfa.TOTP, Name: "Phone", Created: c.Began, Data: c.App},
		mfa.Credential{ID: mfa.BackupCodesID, Kind: mfa.BackupCode, Created: c.Began, Data: c.Codes, Left: mfa.CodesPerSet},
	)
	for _, which := range []string{"passkey", "second passkey"}[:n-2] {
		u.Credentials = append(u.Credentials, c.passkeyOf(which, i))
	}
	return u
}

func credentialID(what string, i int) mfa.CredentialID {
	m := mark(what, i)
	return mfa.CredentialID(text(m[:16]))
}

// passkeyOf is the one passkey under an ID of user i's own.
func (c *crowd) passkeyOf(which string, i int) mfa.Credential {
	own, p := mark(which, i), c.Passkey
	p.ID, p.Name, p.Created, p.Unique = credentialID(which, i), "Laptop", c.Began, text(own[:])
	std := base64.StdEncoding.EncodeToString
	p.Data = bytes.ReplaceAll(p.Data, []byte(std(c.KeyID)), []byte(std(own[:])))
	return p
}

// touch answers a ceremony as the authenticator of user i.
func (c *crowd) touch(options []byte, i int) ([]byte, error) {
	own, handle := mark("passkey", i), mark("handle", i)
	known := bytes.ReplaceAll(options, []byte(text(own[:])), []byte(text(c.key.ID)))
	return c.phone.Verify(known, func(b *mfatest.Bend) { b.CredentialID, b.UserHandle = own[:], handle[:] })
}

// session returns the stored session of user i.
func (c *crowd) session(i int) *mfa.Session {
	line := mark("line", i)
	s := &mfa.Session{
		ID: sessionID(i), User: userID(i), Scope: scope, Line: text(line[:16]), Complete: true,
		Created: c.Began, LastSeen: c.Began, Expires: c.Began.Add(12 * time.Hour),
		First: mfa.Proof{Kind: mfa.Password, At: c.Began}, Agent: "Firefox on Linux", Network: placeOf(i).Network,
	}
	if holds(i) > 0 {
		s.Proofs = []mfa.Proof{{Kind: mfa.TOTP, Credential: credentialID("app", i), At: c.Began}}
	}
	return s
}

// event returns event i of all.
func (c *crowd) event(i, users int) mfa.Event {
	who := i * 7919 % users
	return mfa.Event{
		At: c.Began.Add(time.Duration(i) * time.Microsecond), Name: []mfa.EventName{mfa.EventSignIn, mfa.EventVerify, mfa.EventSignedIn}[i%3],
		OK: true, User: userID(who), UserName: fmt.Sprintf("user%d", who), Session: sessionID(who).Short(),
		Network: placeOf(who).Network, Host: scope, Agent: "Firefox on Linux",
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// plainText is a secret as the library of codes takes it.
func plainText(s mfa.Secret) string { return strings.ReplaceAll(string([]byte(s)), " ", "") }
