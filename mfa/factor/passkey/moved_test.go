package passkey

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

// elsewhere sets a passkey up at another system of the same relying party, which knows the
// person by another user handle, and returns what that system exports of it.
func elsewhere(t *testing.T, change func(*mfatest.Authenticator)) (*mfatest.Authenticator, mfa.MovedPasskey) {
	t.Helper()
	other := newRig(t)
	other.user = newUser("alice-as-the-other-system-knows-her")
	change(other.auth)
	c := other.enroll()
	if err := other.verify(); err != nil {
		t.Fatal(err)
	}
	var record webauthn.Credential
	if err := json.Unmarshal(c.Data, &record); err != nil {
		t.Fatal(err)
	}
	return other.auth, mfa.MovedPasskey{
		ID: record.ID, PublicKey: record.PublicKey, RPID: c.RPID, SignCount: record.Authenticator.SignCount, Transports: []string{"usb", "pigeon"},
	}
}

// arrive gives the user of r a passkey from elsewhere.
func (r *rig) arrive(t *testing.T, key mfa.MovedPasskey) *mfa.Credential {
	t.Helper()
	c, err := r.f.Adopt(key)
	if err != nil {
		t.Fatal(err)
	}
	c.ID = "moved"
	r.user.Credentials = append(r.user.Credentials, *c)
	return &r.user.Credentials[len(r.user.Credentials)-1]
}

// A passkey of another system signs here after a password, whatever the export has said
// of its backup flag, and though its authenticator names its owner by the handle of that
// system. From its first signature on the flag must stay.
func TestFactor_Adopt_SignsHere(t *testing.T) {
	for name, change := range map[string]func(*mfatest.Authenticator){
		"synced":       func(a *mfatest.Authenticator) { a.Synced = true },
		"security key": func(a *mfatest.Authenticator) { a.Counts = true },
		"EdDSA":        func(a *mfatest.Authenticator) { a.Algorithm = mfatest.EdDSA },
		"RS256":        func(a *mfatest.Authenticator) { a.Algorithm = mfatest.RS256 },
	} {
		t.Run(name, func(t *testing.T) {
			auth, exported := elsewhere(t, change)
			r := newRig(t)
			r.auth = auth
			c := r.arrive(t, exported)
			if err := r.verify(); err != nil {
				t.Fatalf("the first time: %v", err)
			}
			if p, err := pastOf(c.Data); err != nil || !p.Moved || p.Unseen {
				t.Errorf("what is kept of where it came from: %+v, %v", p, err)
			}
			if err := r.verify(); err != nil {
				t.Errorf("the second time: %v", err)
			}
			_, _, err := r.tryVerify(func(b *mfatest.Bend) { b.Flags ^= mfatest.FlagBE; b.Flags &^= mfatest.FlagBS })
			wantRejected(t, "another backup flag than before", err)
			if auth.Counts {
				_, _, err := r.tryVerify(func(b *mfatest.Bend) { b.Counter = 1 })
				if !errors.Is(err, mfa.ErrCloned) {
					t.Errorf("a counter that went back behind the export's: %v", err)
				}
			}
		})
	}
}

// What is let pass for keys from elsewhere is let pass for them alone, and nothing else is:
// not the user verification, not another's key, not a foreign handle with a key of ours.
func TestFactor_Adopt_RejectsTheRest(t *testing.T) {
	auth, exported := elsewhere(t, func(*mfatest.Authenticator) {})
	r := newRig(t)
	r.auth = auth
	r.arrive(t, exported)
	for name, bend := range map[string]func(*mfatest.Bend){
		"no user verification":  func(b *mfatest.Bend) { b.Flags &^= mfatest.FlagUV },
		"backed up, yet cannot": func(b *mfatest.Bend) { b.Flags |= mfatest.FlagBS; b.Flags &^= mfatest.FlagBE },
		"another signature":     func(b *mfatest.Bend) { b.Signature = func(s []byte) []byte { s[len(s)-1] ^= 1; return s } },
		"another origin":        func(b *mfatest.Bend) { b.Origin = "https://app.example.com.evil.example" },
	} {
		_, _, err := r.tryVerify(bend)
		wantRejected(t, name, err)
	}
	native := newRig(t)
	native.enroll()
	_, _, err := native.tryVerify(func(b *mfatest.Bend) { b.UserHandle = []byte("somebody else's handle") })
	wantRejected(t, "a foreign handle with a key of ours", err)
}

// Where the handle of the other system is known, the passkey signs in by itself.
func TestFactor_Adopt_SignsInWithItsHandle(t *testing.T) {
	auth, exported := elsewhere(t, func(a *mfatest.Authenticator) { a.Synced = true })
	d := &door{rig: newRig(t)}
	d.users = []*mfa.User{d.user}
	d.arrive(t, exported)
	u, id, data, err := d.try(auth, nil)
	d.refuses("with a handle that nobody has", u, id, data, err)
	d.user.Handle = auth.Keys()[0].UserHandle
	if u, id, _, err := d.try(auth, nil); err != nil || u != d.user || id != "moved" {
		t.Errorf("with the handle: %v, %q, %v", u, id, err)
	}
}

func TestFactor_Adopt_Refuses(t *testing.T) {
	_, good := elsewhere(t, func(*mfatest.Authenticator) {})
	for name, change := range map[string]func(*mfa.MovedPasskey){
		"no ID":           func(k *mfa.MovedPasskey) { k.ID = nil },
		"a short ID":      func(k *mfa.MovedPasskey) { k.ID = k.ID[:15] },
		"a long ID":       func(k *mfa.MovedPasskey) { k.ID = make([]byte, 1024) },
		"no key":          func(k *mfa.MovedPasskey) { k.PublicKey = nil },
		"half a key":      func(k *mfa.MovedPasskey) { k.PublicKey = k.PublicKey[:40] },
		"no key at all":   func(k *mfa.MovedPasskey) { k.PublicKey = []byte("HUSH HUSH HUSH HUSH") },
		"a huge key":      func(k *mfa.MovedPasskey) { k.PublicKey = make([]byte, 5000) },
		"no domain":       func(k *mfa.MovedPasskey) { k.RPID = "" },
		"half an AAGUID":  func(k *mfa.MovedPasskey) { k.AAGUID = make([]byte, 8) },
		"a point nowhere": func(k *mfa.MovedPasskey) { k.PublicKey = append([]byte{}, k.PublicKey...); k.PublicKey[20] ^= 1 },
	} {
		key := good
		change(&key)
		var why *mfa.MoveError
		if c, err := New(Config{}).Adopt(key); !errors.As(err, &why) || c != nil || strings.Contains(err.Error(), "HUSH") {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
}
