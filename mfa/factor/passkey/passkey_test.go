package passkey

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

const origin = "https://app.example.com"

func place() *mfa.Place {
	return &mfa.Place{Origin: origin, Host: "app.example.com", Scope: "example.com", RPID: "example.com"}
}

// rig is a factor, a user, and the user's authenticator.
type rig struct {
	t     testing.TB
	f     *Factor
	clock *mfatest.Clock
	at    *mfa.Place
	user  *mfa.User
	auth  *mfatest.Authenticator
}

func newRig(t testing.TB) *rig {
	clock := mfatest.NewClock()
	return &rig{
		t: t, clock: clock, f: New(Config{Name: "Acme", Now: clock.Now}), at: place(), user: newUser("alice"),
		auth: &mfatest.Authenticator{Origin: origin},
	}
}

func newUser(name string) *mfa.User {
	handle := bytes.Repeat([]byte(name), 64)[:32]
	return &mfa.User{ID: mfa.UserID("id-" + name), Handle: handle, Source: "local", Subject: name, Name: name}
}

func (r *rig) beginEnrollment() (options, state []byte) {
	r.t.Helper()
	options, state, err := r.f.BeginEnrollment(r.at, r.user)
	if err != nil {
		r.t.Fatal(err)
	}
	return options, state
}

func (r *rig) beginVerification() (options, state []byte) {
	r.t.Helper()
	options, state, err := r.f.BeginVerification(r.at, r.user)
	if err != nil {
		r.t.Fatal(err)
	}
	return options, state
}

func (r *rig) tryEnroll(bend func(*mfatest.Bend)) (*mfa.Credential, error) {
	r.t.Helper()
	options, state := r.beginEnrollment()
	answer, err := r.auth.Enroll(options, bend)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.f.FinishEnrollment(r.at, r.user, state, answer)
}

// enroll adds a passkey to the user.
func (r *rig) enroll() *mfa.Credential {
	r.t.Helper()
	c, err := r.tryEnroll(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	c.ID = mfa.CredentialID(fmt.Sprintf("c%d", len(r.user.Credentials)+1))
	r.user.Credentials = append(r.user.Credentials, *c)
	return &r.user.Credentials[len(r.user.Credentials)-1]
}

func (r *rig) tryVerify(bend func(*mfatest.Bend)) (mfa.CredentialID, mfa.Secret, error) {
	r.t.Helper()
	options, state := r.beginVerification()
	answer, err := r.auth.Verify(options, bend)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.f.FinishVerification(r.at, r.user, state, answer)
}

// verify does what the core does with a verification.
func (r *rig) verify() error {
	id, data, err := r.tryVerify(nil)
	if err != nil {
		return err
	}
	c := r.user.Credential(id)
	next, err := r.f.Advance(c.Data, data)
	if err != nil {
		return err
	}
	c.Data = next
	return nil
}

func wantRejected(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, mfa.ErrRejected) {
		t.Errorf("%s: %v, want a rejection", what, err)
	}
}

func TestFactor_Options(t *testing.T) {
	r := newRig(t)
	r.enroll()
	options, _ := r.beginEnrollment()
	var c struct {
		PublicKey struct {
			RP        struct{ ID, Name string }
			User      struct{ ID, Name, DisplayName string }
			Challenge string
			Params    []struct {
				Alg int `json:"alg"`
			} `json:"pubKeyCredParams"`
			Exclude   []struct{ ID string } `json:"excludeCredentials"`
			Selection map[string]any        `json:"authenticatorSelection"`
			Timeout   int
			Attest    string `json:"attestation"`
		}
	}
	if err := json.Unmarshal(options, &c); err != nil {
		t.Fatal(err)
	}
	p := c.PublicKey
	if raw, err := base64.RawURLEncoding.DecodeString(p.Challenge); err != nil || len(raw) != 32 {
		t.Errorf("challenge of %d bytes, %v", len(raw), err)
	}
	if len(p.Params) != 3 || p.Params[0].Alg != -7 || p.Params[1].Alg != -8 || p.Params[2].Alg != -257 {
		t.Errorf("algorithms %v, want ES256, EdDSA, RS256", p.Params)
	}
	if p.Selection["userVerification"] != "required" || p.Selection["residentKey"] != "preferred" {
		t.Errorf("selection %v", p.Selection)
	}
	if p.RP.ID != "example.com" || p.RP.Name != "Acme" || p.User.Name != "alice" || p.User.DisplayName != "alice" ||
		p.Attest != "none" || p.Timeout != 300_000 || len(p.Exclude) != 1 || p.Exclude[0].ID != r.user.Credentials[0].Unique {
		t.Errorf("options %s", options)
	}
	if handle, _ := base64.RawURLEncoding.DecodeString(p.User.ID); !bytes.Equal(handle, r.user.Handle) {
		t.Error("the user handle is another")
	}

	options, _ = r.beginVerification()
	var v struct {
		PublicKey struct {
			RPID             string
			UserVerification string
			AllowCredentials []struct{ ID string }
		}
	}
	if err := json.Unmarshal(options, &v); err != nil {
		t.Fatal(err)
	}
	if v.PublicKey.RPID != "example.com" || v.PublicKey.UserVerification != "required" || len(v.PublicKey.AllowCredentials) != 1 {
		t.Errorf("options %s", options)
	}
}

func TestFactor_EnrollAndVerify(t *testing.T) {
	for name, change := range map[string]func(*mfatest.Authenticator){
		"counts nothing": func(*mfatest.Authenticator) {},
		"counts":         func(a *mfatest.Authenticator) { a.Counts = true },
		"synced":         func(a *mfatest.Authenticator) { a.Synced = true },
		"EdDSA":          func(a *mfatest.Authenticator) { a.Algorithm = mfatest.EdDSA },
		"RS256":          func(a *mfatest.Authenticator) { a.Algorithm = mfatest.RS256 },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			change(r.auth)
			c := r.enroll()
			raw, err := base64.RawURLEncoding.DecodeString(c.Unique)
			if err != nil || !bytes.Equal(raw, r.auth.Keys()[0].ID) || c.Kind != mfa.Passkey || c.RPID != "example.com" {
				t.Errorf("credential %s of %s: %v", c.Kind, c.RPID, err)
			}
			if !strings.Contains(string([]byte(c.Data)), `"rk":true`) {
				t.Error("whether the passkey is discoverable was not recorded")
			}
			for range 3 {
				if err := r.verify(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

type bends map[string]func(*mfatest.Bend)

// bent returns what nobody may get away with: in ceremonies of both kinds, when
// enrolling, when verifying. Every one of these is a proof that somebody else could
// make, or that a broken client makes.
func bent(t *testing.T) (both, enroll, verify bends) {
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte {
			if at < 0 {
				b[len(b)+at] ^= 1
			} else {
				b[at] ^= 1
			}
			return b
		}
	}
	both = bends{
		"AC-136 evil origin":         func(b *mfatest.Bend) { b.Origin = "https://evil.example" },
		"AC-136 plain http":          func(b *mfatest.Bend) { b.Origin = "http://app.example.com" },
		"AC-136 other port":          func(b *mfatest.Bend) { b.Origin = "https://app.example.com:8443" },
		"AC-136 default port":        func(b *mfatest.Bend) { b.Origin = "https://app.example.com:443" },
		"AC-136 origin as prefix":    func(b *mfatest.Bend) { b.Origin = "https://app.example.com.evil.example" },
		"AC-136 capital letters":     func(b *mfatest.Bend) { b.Origin = "https://APP.example.com" },
		"AC-136 sibling host":        func(b *mfatest.Bend) { b.Origin = "https://other.example.com" },
		"AC-136 trailing slash":      func(b *mfatest.Bend) { b.Origin = "https://app.example.com/" },
		"AC-136 user in the origin":  func(b *mfatest.Bend) { b.Origin = "https://x@app.example.com" },
		"AC-136 Android app":         func(b *mfatest.Bend) { b.Origin = "android:apk-key-hash:AAAA" },
		"AC-136 iOS app":             func(b *mfatest.Bend) { b.Origin = "ios:bundle-id:com.example" },
		"AC-136 null":                func(b *mfatest.Bend) { b.Origin = "null" },
		"AC-136 empty":               func(b *mfatest.Bend) { b.Origin = "" },
		"embedded elsewhere":         func(b *mfatest.Bend) { b.CrossOrigin = true },
		"embedded, top named":        func(b *mfatest.Bend) { b.CrossOrigin, b.TopOrigin = true, origin },
		"top named alone":            func(b *mfatest.Bend) { b.TopOrigin = origin },
		"AC-139 no challenge":        func(b *mfatest.Bend) { b.Challenge = "" },
		"AC-139 truncated challenge": func(b *mfatest.Bend) { b.Challenge = b.Challenge[:40] },
		"AC-139 padded challenge":    func(b *mfatest.Bend) { b.Challenge += "=" },
		"AC-139 zero challenge":      func(b *mfatest.Bend) { b.Challenge = strings.Repeat("A", 43) },
		"AC-143 user not verified":   func(b *mfatest.Bend) { b.Flags &^= mfatest.FlagUV },
		"AC-144 user not present":    func(b *mfatest.Bend) { b.Flags &^= mfatest.FlagUP },
		"AC-145 type payment":        func(b *mfatest.Bend) { b.Type = "payment.get" },
		"AC-145 no type":             func(b *mfatest.Bend) { b.Type = "" },
		"AC-149 backed up, not eligible": func(b *mfatest.Bend) {
			b.Flags = b.Flags&^mfatest.FlagBE | mfatest.FlagBS
		},
		"other relying party":       func(b *mfatest.Bend) { b.RPIDHash = bytes.Repeat([]byte{1}, 32) },
		"AC-148 short auth data":    func(b *mfatest.Bend) { b.AuthData = func(d []byte) []byte { return d[:36] } },
		"AC-148 no auth data":       func(b *mfatest.Bend) { b.AuthData = func([]byte) []byte { return nil } },
		"AC-148 trailing bytes":     func(b *mfatest.Bend) { b.AuthData = func(d []byte) []byte { return append(d, 0) } },
		"AC-148 extension flag":     func(b *mfatest.Bend) { b.Flags |= mfatest.FlagED },
		"AC-148 client data broken": func(b *mfatest.Bend) { b.ClientData = []byte(`{"type":`) },
		"AC-148 client data array":  func(b *mfatest.Bend) { b.ClientData = []byte(`[]`) },
		"AC-148 client data empty":  func(b *mfatest.Bend) { b.ClientData = []byte{} },
		"AC-148 id is not rawId":    func(b *mfatest.Bend) { b.Answer = func(m map[string]any) { m["id"] = "AAAAAAAAAAAAAAAAAAAAAAAA" } },
		"AC-148 rawId is not id":    func(b *mfatest.Bend) { b.Answer = func(m map[string]any) { m["rawId"] = "AAAAAAAAAAAAAAAAAAAAAAAA" } },
		"AC-148 id is a number":     func(b *mfatest.Bend) { b.Answer = func(m map[string]any) { m["id"] = 7 } },
		"AC-148 no id":              func(b *mfatest.Bend) { b.Answer = func(m map[string]any) { delete(m, "id") } },
		"AC-148 type is an array":   func(b *mfatest.Bend) { b.Answer = func(m map[string]any) { m["type"] = []string{"public-key"} } },
		"AC-148 other type":         func(b *mfatest.Bend) { b.Answer = func(m map[string]any) { m["type"] = "password" } },
		"AC-148 no response":        func(b *mfatest.Bend) { b.Answer = func(m map[string]any) { delete(m, "response") } },
		"AC-148 response null":      func(b *mfatest.Bend) { b.Answer = func(m map[string]any) { m["response"] = nil } },
		"AC-148 70 KiB":             func(b *mfatest.Bend) { b.Answer = func(m map[string]any) { m["x"] = strings.Repeat("a", 70<<10) } },
	}
	enroll = bends{
		"AC-145 type get":            func(b *mfatest.Bend) { b.Type = "webauthn.get" },
		"algorithm not offered":      func(b *mfatest.Bend) { b.Algorithm = -35 },
		"algorithm of another curve": func(b *mfatest.Bend) { b.PublicKey = func(k map[int]any) { k[-1] = 2 } },
		"no point of the curve":      func(b *mfatest.Bend) { b.PublicKey = func(k map[int]any) { k[-2] = make([]byte, 32) } },
		"key without a type":         func(b *mfatest.Bend) { b.PublicKey = func(k map[int]any) { delete(k, 1) } },
		"no credential":              func(b *mfatest.Bend) { b.Flags &^= mfatest.FlagAT },
		"unknown attestation":        func(b *mfatest.Bend) { b.Format = "made-up" },
		"packed without statement":   func(b *mfatest.Bend) { b.Format = "packed" },
		"AC-147 id of 0 bytes":       func(b *mfatest.Bend) { b.CredentialID = nil },
		"AC-147 id of 1 byte":        func(b *mfatest.Bend) { b.CredentialID = make([]byte, 1) },
		"AC-147 id of 15 bytes":      func(b *mfatest.Bend) { b.CredentialID = make([]byte, 15) },
		"AC-147 id of 1024 bytes":    func(b *mfatest.Bend) { b.CredentialID = make([]byte, 1024) },
		"AC-147 id of 65535 bytes":   func(b *mfatest.Bend) { b.CredentialID = make([]byte, 65535) },
		"AC-148 truncated CBOR":      func(b *mfatest.Bend) { b.Attestation = func(o []byte) []byte { return o[:len(o)/2] } },
		"AC-148 CBOR with a tail":    func(b *mfatest.Bend) { b.Attestation = func(o []byte) []byte { return append(o, 0) } },
		"AC-148 no CBOR":             func(b *mfatest.Bend) { b.Attestation = func([]byte) []byte { return []byte{0xff} } },
		"AC-148 huge declared array": func(b *mfatest.Bend) {
			b.Attestation = func([]byte) []byte { return []byte{0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }
		},
		"AC-148 deep nesting": func(b *mfatest.Bend) {
			b.Attestation = func([]byte) []byte { return bytes.Repeat([]byte{0x81}, 40_000) }
		},
		"AC-148 a key twice": func(b *mfatest.Bend) {
			b.Attestation = func(o []byte) []byte {
				twice := append([]byte{0xa4}, o[1:]...)
				return append(twice, 0x63, 'f', 'm', 't', 0x64, 'n', 'o', 'n', 'e')
			}
		},
	}
	verify = bends{
		"AC-145 type create":       func(b *mfatest.Bend) { b.Type = "webauthn.create" },
		"AC-149 eligibility flips": func(b *mfatest.Bend) { b.Flags |= mfatest.FlagBE },
		"signature bent":           func(b *mfatest.Bend) { b.Signature = flip(-1) },
		"no signature":             func(b *mfatest.Bend) { b.Signature = func([]byte) []byte { return nil } },
		"signature with a tail":    func(b *mfatest.Bend) { b.Signature = func(s []byte) []byte { return append(s, 0) } },
		"counter without signing": func(b *mfatest.Bend) {
			b.Answer = func(m map[string]any) {
				response := m["response"].(map[string]any)
				raw, _ := base64.RawURLEncoding.DecodeString(response["authenticatorData"].(string))
				response["authenticatorData"] = base64.RawURLEncoding.EncodeToString(flip(36)(raw))
			}
		},
		"AC-140 another's handle":   func(b *mfatest.Bend) { b.UserHandle = newUser("dave").Handle },
		"AC-140 unknown credential": func(b *mfatest.Bend) { b.CredentialID = bytes.Repeat([]byte{9}, 32) },
		"AC-147 id of 0 bytes":      func(b *mfatest.Bend) { b.CredentialID = []byte{} },
		"another key signs":         func(b *mfatest.Bend) { b.Key = otherKey(t) },
		"AC-148 signature is a number": func(b *mfatest.Bend) {
			b.Answer = func(m map[string]any) { m["response"].(map[string]any)["signature"] = 1 }
		},
		"AC-148 handle is no base64url": func(b *mfatest.Bend) {
			b.Answer = func(m map[string]any) { m["response"].(map[string]any)["userHandle"] = "§" }
		},
	}
	return both, enroll, verify
}

// One ceremony of each kind, bent in one place.
func TestFactor_RejectsBentAnswers(t *testing.T) {
	both, enroll, verify := bent(t)
	for _, group := range []bends{both, enroll} {
		for name, bend := range group {
			t.Run("enroll/"+name, func(t *testing.T) {
				r := newRig(t)
				c, err := r.tryEnroll(bend)
				wantRejected(t, "FinishEnrollment", err)
				if c != nil {
					t.Error("a refused enrollment returned a credential")
				}
			})
		}
	}
	r := newRig(t)
	r.enroll()
	for _, group := range []bends{both, verify} {
		for name, bend := range group {
			t.Run("verify/"+name, func(t *testing.T) {
				id, data, err := r.tryVerify(bend)
				wantRejected(t, "FinishVerification", err)
				if id != "" || data != nil {
					t.Error("a refused verification returned something")
				}
			})
		}
	}
	if err := r.verify(); err != nil {
		t.Errorf("the straight answer after all of that: %v", err)
	}
}

func otherKey(t *testing.T) *mfatest.Key {
	r := newRig(t)
	r.enroll()
	return r.auth.Keys()[0]
}

// An RSA key is bounded: a short one can be factored by others, a long one keeps
// us busy at each verification.
func TestFactor_RejectsRSAKeysOutOfBounds(t *testing.T) {
	for name, tc := range map[string]struct {
		bytes int
		ok    bool
	}{"1024 bits": {128, false}, "2048 bits": {256, true}, "8192 bits": {1024, true}, "16384 bits": {2048, false}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.auth.Algorithm = mfatest.RS256
			_, err := r.tryEnroll(func(b *mfatest.Bend) {
				b.PublicKey = func(k map[int]any) { k[-1] = bytes.Repeat([]byte{0xff}, tc.bytes) }
			})
			if tc.ok && err != nil || !tc.ok && !errors.Is(err, mfa.ErrRejected) {
				t.Errorf("FinishEnrollment: %v", err)
			}
		})
	}
}

// AC-147: the bounds themselves are accepted.
func TestFactor_AC147_CredentialIDBounds(t *testing.T) {
	for _, n := range []int{16, 64, 1023} {
		r := newRig(t)
		c, err := r.tryEnroll(func(b *mfatest.Bend) { b.CredentialID = bytes.Repeat([]byte{7}, n) })
		if err != nil || c.Unique != base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{7}, n)) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// AC-139, AC-140, AC-145: a state is good for one purpose, user and place.
func TestFactor_AC139_StateOfSomethingElse(t *testing.T) {
	r := newRig(t)
	r.enroll()
	enrollOptions, enrollState := r.beginEnrollment()
	other := &mfatest.Authenticator{Origin: origin}
	enrollAnswer, err := other.Enroll(enrollOptions, nil)
	if err != nil {
		t.Fatal(err)
	}
	options, state := r.beginVerification()
	answer, err := r.auth.Verify(options, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, laterState := r.beginVerification()

	sibling := place()
	sibling.Origin, sibling.Host = "https://other.example.com", "other.example.com"
	narrower := place()
	narrower.RPID = "app.example.com"
	nowhere := place()
	nowhere.RPID = ""
	dave := newUser("dave")
	dave.Credentials = r.user.Credentials

	_, _, err = r.f.FinishVerification(r.at, r.user, enrollState, answer)
	wantRejected(t, "state of an enrollment", err)
	_, _, err = r.f.FinishVerification(r.at, r.user, laterState, answer)
	wantRejected(t, "state of another ceremony", err)
	_, _, err = r.f.FinishVerification(sibling, r.user, state, answer)
	wantRejected(t, "another host", err)
	_, _, err = r.f.FinishVerification(narrower, r.user, state, answer)
	wantRejected(t, "another relying party", err)
	_, _, err = r.f.FinishVerification(nowhere, r.user, state, answer)
	wantRejected(t, "where passkeys cannot work", err)
	_, _, err = r.f.FinishVerification(r.at, dave, state, answer)
	wantRejected(t, "another user with the same passkeys", err)
	_, _, err = r.f.FinishVerification(r.at, r.user, state, enrollAnswer)
	wantRejected(t, "answer of an enrollment", err)
	for _, damaged := range [][]byte{nil, {}, []byte("{}"), []byte("null"), state[:len(state)-1], []byte(`{"purpose":"verify_passkey"}`)} {
		_, _, err = r.f.FinishVerification(r.at, r.user, damaged, answer)
		wantRejected(t, "damaged state", err)
		_, err = r.f.FinishEnrollment(r.at, r.user, damaged, enrollAnswer)
		wantRejected(t, "damaged state", err)
	}
	_, err = r.f.FinishEnrollment(r.at, r.user, state, enrollAnswer)
	wantRejected(t, "enrollment with the state of a verification", err)
	_, err = r.f.FinishEnrollment(r.at, dave, enrollState, enrollAnswer)
	wantRejected(t, "enrollment of another user", err)

	if _, _, err = r.f.FinishVerification(r.at, r.user, state, answer); err != nil {
		t.Errorf("with its own state: %v", err)
	}
}

// AC-139: an empty or weakened session in the state must not be believed.
func TestFactor_AC143_StateWithoutUserVerification(t *testing.T) {
	r := newRig(t)
	r.enroll()
	for name, change := range map[string]func(*state){
		"discouraged":  func(s *state) { s.Session.UserVerification = "discouraged" },
		"empty":        func(s *state) { s.Session.UserVerification = "" },
		"no challenge": func(s *state) { s.Session.Challenge = "" },
		"no origin":    func(s *state) { s.Session.Origin = "" },
	} {
		t.Run(name, func(t *testing.T) {
			options, kept := r.beginVerification()
			var s state
			if err := json.Unmarshal(kept, &s); err != nil {
				t.Fatal(err)
			}
			change(&s)
			bent, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := r.auth.Verify(options, func(b *mfatest.Bend) {
				b.Flags &^= mfatest.FlagUV
				b.Challenge = s.Session.Challenge
			})
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = r.f.FinishVerification(r.at, r.user, bent, answer)
			wantRejected(t, "FinishVerification", err)
		})
	}
}

// AC-139: 299 seconds are in time, 300 are not.
func TestFactor_AC139_Expires(t *testing.T) {
	for _, tc := range []struct {
		after time.Duration
		ok    bool
	}{{299 * time.Second, true}, {300 * time.Second, false}, {301 * time.Second, false}} {
		r := newRig(t)
		r.enroll()
		options, state := r.beginVerification()
		answer, err := r.auth.Verify(options, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.clock.Advance(tc.after)
		_, _, err = r.f.FinishVerification(r.at, r.user, state, answer)
		if tc.ok && err != nil {
			t.Errorf("after %s: %v", tc.after, err)
		}
		if !tc.ok && (!errors.Is(err, mfa.ErrRejected) || !errors.Is(err, mfa.ErrExpired)) {
			t.Errorf("after %s: %v, want a rejection because it expired", tc.after, err)
		}
	}
}

// AC-140: dave's valid passkey must not finish alice's ceremony, whatever handle
// he sends.
func TestFactor_AC140_AnothersPasskey(t *testing.T) {
	alice, dave := newRig(t), newRig(t)
	dave.user = newUser("dave")
	alice.enroll()
	dave.enroll()
	for name, handle := range map[string][]byte{"no handle": nil, "dave's": dave.user.Handle, "alice's": alice.user.Handle} {
		aliceOptions, aliceState := alice.beginVerification()
		var o struct{ PublicKey struct{ Challenge string } }
		if err := json.Unmarshal(aliceOptions, &o); err != nil {
			t.Fatal(err)
		}
		daveOptions, _ := dave.beginVerification()
		answer, err := dave.auth.Verify(daveOptions, func(b *mfatest.Bend) {
			b.Challenge, b.UserHandle = o.PublicKey.Challenge, handle
		})
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = alice.f.FinishVerification(alice.at, alice.user, aliceState, answer)
		wantRejected(t, name, err)
	}
	// Roaming keys that are not discoverable send no handle; that is no fault.
	if _, _, err := alice.tryVerify(func(b *mfatest.Bend) { b.UserHandle = nil }); err != nil {
		t.Errorf("alice's own without a handle: %v", err)
	}
}

// AC-141: the same credential ID again is refused here; for other users the
// store's unique key does it.
func TestFactor_AC141_SameCredentialTwice(t *testing.T) {
	r := newRig(t)
	c := r.enroll()
	options, _ := r.beginEnrollment()
	if _, err := r.auth.Enroll(options, nil); !errors.Is(err, mfatest.ErrExcluded) {
		t.Errorf("the authenticator was not told to leave it out: %v", err)
	}
	raw, _ := base64.RawURLEncoding.DecodeString(c.Unique)
	r.auth = &mfatest.Authenticator{Origin: origin}
	_, err := r.tryEnroll(func(b *mfatest.Bend) { b.CredentialID = raw })
	wantRejected(t, "the same ID with another key", err)
}

// AC-149: a change of the backup state is stored.
func TestFactor_AC149_BackupStateIsStored(t *testing.T) {
	r := newRig(t)
	r.auth.Synced = true
	c := r.enroll()
	id, data, err := r.tryVerify(func(b *mfatest.Bend) { b.Flags &^= mfatest.FlagBS })
	if err != nil || id != c.ID {
		t.Fatal(err)
	}
	next, err := r.f.Advance(c.Data, data)
	if err != nil {
		t.Fatal(err)
	}
	var kept struct {
		Flags struct{ BackupEligible, BackupState bool }
	}
	if err := json.Unmarshal(next, &kept); err != nil || !kept.Flags.BackupEligible || kept.Flags.BackupState {
		t.Errorf("flags %+v, %v", kept.Flags, err)
	}
}

// AC-152: a passkey that was removed while the ceremony ran is no proof.
func TestFactor_AC152_RemovedMeanwhile(t *testing.T) {
	r := newRig(t)
	r.enroll()
	options, state := r.beginVerification()
	answer, err := r.auth.Verify(options, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.user.Credentials = nil
	_, _, err = r.f.FinishVerification(r.at, r.user, state, answer)
	wantRejected(t, "FinishVerification", err)
}

// A copy of a security key signs with a counter that the true one has passed.
func TestFactor_CounterThatGoesBackIsACopy(t *testing.T) {
	r := newRig(t)
	r.auth.Counts = true
	c := r.enroll() // 1
	if err := r.verify(); err != nil {
		t.Fatal(err) // 2
	}
	for _, counter := range []uint32{0, 1, 2} {
		_, _, err := r.tryVerify(func(b *mfatest.Bend) { b.Counter = counter })
		if !errors.Is(err, mfa.ErrCloned) || !errors.Is(err, mfa.ErrRejected) {
			t.Errorf("counter %d after 2: %v, want ErrCloned that is a rejection", counter, err)
		}
	}

	// Two verifications that ran side by side: the write of the second sees the
	// first, and refuses what does not go beyond it.
	_, seven, err := r.tryVerify(func(b *mfatest.Bend) { b.Counter = 7 })
	if err != nil {
		t.Fatal(err)
	}
	_, eight, err := r.tryVerify(func(b *mfatest.Bend) { b.Counter = 8 })
	if err != nil {
		t.Fatal(err)
	}
	after, err := r.f.Advance(c.Data, eight)
	if err != nil {
		t.Fatal(err)
	}
	for name, late := range map[string]mfa.Secret{"a lower one": seven, "the same": eight} {
		if _, err := r.f.Advance(after, late); !errors.Is(err, mfa.ErrCloned) {
			t.Errorf("%s after 8: %v, want ErrCloned", name, err)
		}
	}
}

func TestFactor_Advance_RejectsForeignData(t *testing.T) {
	r := newRig(t)
	a := r.enroll().Data
	r.auth = &mfatest.Authenticator{Origin: origin}
	b := r.enroll().Data
	for name, pair := range map[string][2]mfa.Secret{
		"another credential": {a, b},
		"nothing stored":     {nil, a},
		"nothing verified":   {a, nil},
		"empty objects":      {mfa.Secret("{}"), mfa.Secret("{}")},
	} {
		if _, err := r.f.Advance(pair[0], pair[1]); !errors.Is(err, mfa.ErrRejected) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A passkey is offered and accepted only for the relying party that it was made
// for.
func TestFactor_OffersOnlyWhatFits(t *testing.T) {
	r := newRig(t)
	here := *r.enroll()
	elsewhere := place()
	elsewhere.Origin, elsewhere.RPID = "https://app.example.org", "example.org"
	if _, _, err := r.f.BeginVerification(elsewhere, r.user); !errors.Is(err, mfa.ErrNotAllowed) {
		t.Errorf("at another relying party: %v, want ErrNotAllowed", err)
	}
	r.at, r.auth.Origin = elsewhere, elsewhere.Origin
	there := *r.enroll()
	options, _ := r.beginVerification()
	if !bytes.Contains(options, []byte(there.Unique)) || bytes.Contains(options, []byte(here.Unique)) {
		t.Errorf("options %s", options)
	}
	if id, _, err := r.tryVerify(nil); err != nil || id != there.ID {
		t.Errorf("FinishVerification = %s, %v", id, err)
	}

	none := place()
	none.RPID, none.NoPasskey = "", mfa.ReasonPlainHTTP
	if _, _, err := r.f.BeginEnrollment(none, r.user); !errors.Is(err, mfa.ErrNotAllowed) {
		t.Errorf("without a relying party: %v, want ErrNotAllowed", err)
	}
	address := place()
	address.RPID, address.Origin = "192.0.2.1", "https://192.0.2.1"
	if _, _, err := r.f.BeginEnrollment(address, r.user); err == nil {
		t.Error("an IP address became a relying party")
	}
	if _, _, err := r.f.BeginEnrollment(place(), &mfa.User{ID: "x", Name: "x"}); err == nil {
		t.Error("a user without a handle began an enrollment")
	}
}

func TestFactor_WorksOnLocalhost(t *testing.T) {
	r := newRig(t)
	r.at = &mfa.Place{Origin: "http://localhost:8080", Host: "localhost:8080", RPID: "localhost"}
	r.auth.Origin = r.at.Origin
	r.enroll()
	if err := r.verify(); err != nil {
		t.Error(err)
	}
}

// Hosts of several domains share one relying party (WebAuthn §5.11). Whether a
// place is one of them was decided by who made the place and by the browser; the
// origin is compared to the letter all the same.
func TestFactor_RelatedOrigins(t *testing.T) {
	d := newDoor(t)
	home, homeKey := d.user.Credentials[0], d.auth
	shop := &mfa.Place{Origin: "https://shop.example.net:8443", Host: "shop.example.net:8443", RPID: "example.com"}
	d.at, d.auth = shop, &mfatest.Authenticator{Origin: shop.Origin}
	made := *d.enroll()
	if made.RPID != "example.com" {
		t.Errorf("a passkey of %s", made.RPID)
	}
	if err := d.verify(); err != nil {
		t.Errorf("verifying where it was made: %v", err)
	}
	if _, id, _, err := d.try(d.auth, nil); err != nil || id != made.ID {
		t.Errorf("signing in where it was made: %q, %v", id, err)
	}

	// Each works at the other's place: it is one relying party.
	homeKey.Origin = shop.Origin
	if _, id, _, err := d.try(homeKey, nil); err != nil || id != home.ID {
		t.Errorf("the passkey of the domain at the related origin: %q, %v", id, err)
	}
	d.at, d.auth.Origin = place(), origin
	if _, id, _, err := d.try(d.auth, nil); err != nil || id != made.ID {
		t.Errorf("the passkey of the related origin at the domain: %q, %v", id, err)
	}

	// A page of one cannot finish what was begun at the other.
	for name, from := range map[string]string{"the shop's": shop.Origin, "its default port's": "https://shop.example.net", "the domain's": "https://example.com", "an unrelated": "https://shop.example.org:8443"} {
		u, id, data, err := d.try(d.auth, func(b *mfatest.Bend) { b.Origin = from })
		d.refuses(name+" origin", u, id, data, err)
		_, _, err = d.tryVerify(func(b *mfatest.Bend) { b.Origin = from })
		wantRejected(t, name+" origin", err)
		fresh := d.auth
		d.auth = &mfatest.Authenticator{Origin: origin}
		_, err = d.tryEnroll(func(b *mfatest.Bend) { b.Origin = from })
		wantRejected(t, name+" origin", err)
		d.auth = fresh
	}
	state, answer := d.answered(d.auth, nil)
	u, id, data, err := d.f.FinishSignIn(shop, state, answer, d.find)
	d.refuses("begun at the domain, finished at the shop", u, id, data, err)
}

// What is refused may reach a log: it must not carry what was sent.
func TestFactor_ErrorsRepeatNothing(t *testing.T) {
	r := newRig(t)
	r.enroll()
	_, _, err := r.tryVerify(func(b *mfatest.Bend) { b.Origin = "https://HUSH.example" })
	if err == nil || strings.Contains(err.Error(), "HUSH") {
		t.Errorf("error = %v", err)
	}
	_, _, err = r.tryVerify(func(b *mfatest.Bend) { b.Type = "HUSH" })
	if err == nil || strings.Contains(err.Error(), "HUSH") {
		t.Errorf("error = %v", err)
	}
}

func FuzzFinishEnrollment(f *testing.F) {
	r := newRig(f)
	options, state := r.beginEnrollment()
	good, err := r.auth.Enroll(options, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		c, err := r.f.FinishEnrollment(r.at, r.user, state, answer)
		if err != nil && !errors.Is(err, mfa.ErrRejected) || err == nil && c == nil {
			t.Errorf("FinishEnrollment = %v, %v", c, err)
		}
	})
}

func FuzzFinishVerification(f *testing.F) {
	r := newRig(f)
	r.enroll()
	options, state := r.beginVerification()
	good, err := r.auth.Verify(options, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good, state)
	f.Add([]byte("{}"), state)
	f.Add(good, []byte("{}"))
	f.Fuzz(func(t *testing.T, answer, state []byte) {
		id, data, err := r.f.FinishVerification(r.at, r.user, state, answer)
		if err != nil && !errors.Is(err, mfa.ErrRejected) || err == nil && (id == "" || data == nil) {
			t.Errorf("FinishVerification = %q, %v", id, err)
		}
	})
}

func BenchmarkFactor_FinishVerification(b *testing.B) {
	r := newRig(b)
	r.enroll()
	options, state := r.beginVerification()
	answer, err := r.auth.Verify(options, nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, _, err := r.f.FinishVerification(r.at, r.user, state, answer); err != nil {
			b.Fatal(err)
		}
	}
}
