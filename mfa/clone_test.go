package mfa_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/mfatest"
	"github.com/secondgate/secondgate/session"
	"github.com/secondgate/secondgate/store/badger"
)

// AC-196: a machine is cloned with all of its state, and both copies start at the same
// moment. What one of them makes must tell nothing of what the other one makes: no secret,
// no ID and no challenge may follow from the state and the clock.
func TestGate_AC196_clonesMakeOtherSecrets(t *testing.T) {
	dir := t.TempDir()
	vault := func(dir string) seal.FileVault { return seal.FileVault(filepath.Join(dir, "keys.json")) }
	open := func(dir string, keys *seal.Keyset) *badger.Store {
		t.Helper()
		s, err := badger.Open(badger.Options{Dir: filepath.Join(dir, "store"), Keys: keys, MinFree: 1})
		must(t, err)
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	keys := as[*seal.Keyset](t)(seal.CreateKeys(t.Context(), vault(dir), nil))
	first := open(dir, keys)
	newWorldOn(t, first, func(c *mfa.Config) { c.NameKey = keys.NameKey }).alice()
	must(t, first.Close())

	// made is what one of the clones makes, by what it is.
	made := func() map[string]string {
		clone := t.TempDir()
		must(t, os.CopyFS(clone, os.DirFS(dir)))
		must(t, os.Chmod(string(vault(clone)), 0o600))
		keys := as[*seal.Keyset](t)(seal.OpenKeys(t.Context(), vault(clone), nil))
		store := open(clone, keys)
		w := newWorldOn(t, store, func(c *mfa.Config) { c.NameKey = keys.NameKey })
		list := make(map[string]string)
		link := as[string](t)(w.gate.SetupLink(t.Context()))
		list["a set-up link"] = link
		list["an invitation"] = as[string](t)(mfatest.NewDesk(w.gate).Invite(t.Context(), mfa.InviteInput{Name: "bob"}))
		carol := w.invited("carol")
		list["a session's ID"] = string(carol.Session.ID)
		list["a user's ID"] = string(carol.Session.User)
		u := as[*mfa.User](t)(store.User(t.Context(), carol.Session.User))
		list["a user handle"] = fmt.Sprintf("%x", u.Handle)
		list["a TOTP secret"] = string([]byte(as[*mfa.TOTPSetup](t)(w.gate.BeginTOTP(t.Context(), w.at, carol.Session.ID)).Secret))
		ceremony := as[*mfa.Ceremony](t)(w.gate.BeginPasskey(t.Context(), w.at, carol.Session.ID))
		list["a challenge"] = string(as[[]byte](t)(json.Marshal(ceremony)))
		signIn := as[*mfa.Ceremony](t)(w.gate.BeginPasskeySignIn(t.Context(), w.at))
		list["a challenge of a sign-in"] = string(as[[]byte](t)(json.Marshal(signIn)))
		_, out := w.addPhone(carol.Session.ID)
		codes, out := w.addCodes(out.Session.ID)
		list["the first backup code"] = codes[0]
		derived := keys.Derived("test")[0]
		m := as[*session.Manager](t)(session.New(session.Config{Store: store, Keys: []session.Key{{ID: derived.ID, Secret: derived.Secret}}, Issuer: "test", Now: w.clock}))
		t.Cleanup(func() { _ = m.Close(t.Context()) })
		list["a token"] = as[string](t)(m.Issue(out.Session))
		key, _, err := mfatest.NewDesk(w.gate).CreateAPIKey(t.Context(), mfa.APIKeyInput{Name: "program", Powers: mfa.ReadUsers, Life: mfa.MaxKeyLife})
		must(t, err)
		list["an API key"] = key
		list["a sealed record"] = string(keys.Box("test").Seal([]byte("x"), nil))
		id, err := keys.Begin(t.Context(), w.clock())
		must(t, err)
		list["the ID of a new key"] = id
		return list
	}
	a, b := made(), made()
	for what, value := range a {
		if value == "" || value == b[what] {
			t.Errorf("%s is the same in both clones: %q", what, value)
		}
	}
}
