package passkey

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

// door is where people sign in of whom nothing is known yet.
type door struct {
	*rig
	users []*mfa.User
	asked [][]byte // what find was called with
}

// newDoor is a door that alice can pass with a passkey of hers.
func newDoor(t testing.TB) *door {
	r := newRig(t)
	r.enroll()
	return &door{rig: r, users: []*mfa.User{r.user}}
}

// admit adds a user with an authenticator and a passkey of their own.
func (d *door) admit(name string) *rig {
	d.t.Helper()
	r := newRig(d.t)
	r.user = newUser(name)
	r.enroll()
	d.users = append(d.users, r.user)
	return r
}

func (d *door) find(handle []byte) (*mfa.User, error) {
	d.asked = append(d.asked, bytes.Clone(handle))
	for _, u := range d.users {
		if bytes.Equal(u.Handle, handle) {
			return u, nil
		}
	}
	return nil, mfa.ErrNotFound
}

func (d *door) begin() (options, state []byte) {
	d.t.Helper()
	options, state, err := d.f.BeginSignIn(d.at)
	if err != nil {
		d.t.Fatal(err)
	}
	return options, state
}

// answered is a sign-in up to where the browser has answered.
func (d *door) answered(key *mfatest.Authenticator, bend func(*mfatest.Bend)) (state, answer []byte) {
	d.t.Helper()
	options, state := d.begin()
	answer, err := key.Verify(options, bend)
	if err != nil {
		d.t.Fatal(err)
	}
	return state, answer
}

func (d *door) try(key *mfatest.Authenticator, bend func(*mfatest.Bend)) (*mfa.User, mfa.CredentialID, mfa.Secret, error) {
	d.t.Helper()
	state, answer := d.answered(key, bend)
	return d.f.FinishSignIn(d.at, state, answer, d.find)
}

// refuses reports that the sign-in was a rejection that says nothing else.
func (d *door) refuses(what string, u *mfa.User, id mfa.CredentialID, data mfa.Secret, err error) {
	d.t.Helper()
	if !errors.Is(err, mfa.ErrRejected) {
		d.t.Errorf("%s: %v, want a rejection", what, err)
	}
	if u != nil || id != "" || data != nil {
		d.t.Errorf("%s: a refused sign-in returned something", what)
	}
}

func TestFactor_BeginSignIn_NamesNobody(t *testing.T) {
	d := newDoor(t)
	options, _ := d.begin()
	var o map[string]map[string]any
	if err := json.Unmarshal(options, &o); err != nil {
		t.Fatal(err)
	}
	p := o["publicKey"]
	challenge, _ := p["challenge"].(string)
	if raw, err := base64.RawURLEncoding.DecodeString(challenge); err != nil || len(raw) != 32 {
		t.Errorf("challenge of %d bytes, %v", len(raw), err)
	}
	if p["rpId"] != "example.com" || p["userVerification"] != "required" || p["timeout"] != 300_000.0 || len(p) != 4 || len(o) != 1 {
		t.Errorf("options %s, want the relying party, the challenge, user verification and the timeout alone", options)
	}
	if again, _ := d.begin(); bytes.Contains(again, []byte(challenge)) {
		t.Error("a challenge was given twice")
	}
	for name, change := range map[string]func(*mfa.Place){
		"no relying party": func(at *mfa.Place) { at.RPID = "" },
		"no origin":        func(at *mfa.Place) { at.Origin = "" },
	} {
		at := place()
		change(at)
		if _, _, err := d.f.BeginSignIn(at); !errors.Is(err, mfa.ErrNotAllowed) {
			t.Errorf("%s: %v, want ErrNotAllowed", name, err)
		}
	}
}

// B28: the passkey says who it is, and that user's credential has signed.
func TestFactor_B28_SignIn(t *testing.T) {
	d := newDoor(t)
	dave := d.admit("dave")
	dave.auth.Counts, d.auth.Counts = true, true
	for range 3 {
		for _, r := range []*rig{d.rig, dave} {
			u, id, data, err := d.try(r.auth, nil)
			if err != nil || u != r.user || id != r.user.Credentials[0].ID {
				t.Fatalf("FinishSignIn = %v, %q, %v", u, id, err)
			}
			c := u.Credential(id)
			if c.Data, err = d.f.Advance(c.Data, data); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(d.asked) != 6 {
		t.Errorf("find was called %d times for 6 sign-ins", len(d.asked))
	}
}

// Of two passkeys of one person here, the one that signed is named.
func TestFactor_SignIn_NamesTheCredential(t *testing.T) {
	d := newDoor(t)
	d.auth = &mfatest.Authenticator{Origin: origin}
	second := d.enroll()
	if _, id, _, err := d.try(d.auth, nil); err != nil || id != second.ID {
		t.Errorf("FinishSignIn = %q, %v, want %q", id, err, second.ID)
	}
}

// What nobody gets away with when the user is known, nobody gets away with here.
func TestFactor_SignIn_RejectsBentAnswers(t *testing.T) {
	both, _, verify := bent(t)
	d := newDoor(t)
	for _, group := range []bends{both, verify} {
		for name, bend := range group {
			t.Run(name, func(t *testing.T) {
				u, id, data, err := d.try(d.auth, bend)
				d.refuses(name, u, id, data, err)
			})
		}
	}
	if _, _, _, err := d.try(d.auth, nil); err != nil {
		t.Errorf("the straight answer after all of that: %v", err)
	}
}

// AC-140: whoever is not known yet is whom the handle names, and nobody else: a
// passkey of dave's under alice's handle would sign dave in as alice.
func TestFactor_AC140_SignIn_UserHandle(t *testing.T) {
	d := newDoor(t)
	dave := d.admit("dave")
	handle := func(h []byte) func(*mfatest.Bend) { return func(b *mfatest.Bend) { b.UserHandle = h } }
	for name, tc := range map[string]struct {
		bend func(*mfatest.Bend)
		find bool // whether the handle is one to look for
	}{
		"no handle":                       {handle(nil), false},
		"an empty handle":                 {handle([]byte{}), false},
		"a handle of 65 bytes":            {handle(make([]byte, 65)), false},
		"an unknown handle":               {handle(bytes.Repeat([]byte{7}, 32)), true},
		"an unknown handle of 64 bytes":   {handle(bytes.Repeat([]byte{7}, 64)), true},
		"the beginning of dave's handle":  {handle(dave.user.Handle[:31]), true},
		"dave's handle and a byte":        {handle(append(bytes.Clone(dave.user.Handle), 0)), true},
		"alice's handle, dave's passkey":  {handle(d.user.Handle), true},
		"alice's handle and ID, his key":  {func(b *mfatest.Bend) { b.UserHandle, b.CredentialID = d.user.Handle, d.auth.Keys()[0].ID }, true},
		"dave's handle, alice's ID":       {func(b *mfatest.Bend) { b.CredentialID = d.auth.Keys()[0].ID }, true},
		"dave's handle, an ID of nobody":  {func(b *mfatest.Bend) { b.CredentialID = bytes.Repeat([]byte{9}, 32) }, true},
		"dave's handle and ID, another's": {func(b *mfatest.Bend) { b.Key = d.auth.Keys()[0] }, true},
		"a handle that is a number": {func(b *mfatest.Bend) {
			b.Answer = func(m map[string]any) { m["response"].(map[string]any)["userHandle"] = 7 }
		}, false},
		"a handle that is null": {func(b *mfatest.Bend) {
			b.Answer = func(m map[string]any) { m["response"].(map[string]any)["userHandle"] = nil }
		}, false},
	} {
		d.asked = nil
		u, id, data, err := d.try(dave.auth, tc.bend)
		d.refuses(name, u, id, data, err)
		if (len(d.asked) == 1) != tc.find || len(d.asked) > 1 {
			t.Errorf("%s: find was called %d times", name, len(d.asked))
		}
	}
	if u, _, _, err := d.try(dave.auth, nil); err != nil || u != dave.user {
		t.Errorf("dave himself: %v", err)
	}
}

// A store that answers with somebody else must not sign that somebody in.
func TestFactor_AC140_SignIn_FindsSomebodyElse(t *testing.T) {
	d := newDoor(t)
	dave := d.admit("dave")
	state, answer := d.answered(dave.auth, nil)
	u, id, data, err := d.f.FinishSignIn(d.at, state, answer, func([]byte) (*mfa.User, error) { return d.user, nil })
	d.refuses("alice was found for dave's handle", u, id, data, err)
	// Not even where she has his passkey as well.
	d.user.Credentials = append(d.user.Credentials, dave.user.Credentials[0])
	u, id, data, err = d.f.FinishSignIn(d.at, state, answer, func([]byte) (*mfa.User, error) { return d.user, nil })
	d.refuses("alice, who has dave's passkey", u, id, data, err)
}

// A store that cannot tell has not said that nobody is there: the person must not
// read that their passkey is wrong, and an operator must read what is.
func TestFactor_SignIn_FaultsComeThrough(t *testing.T) {
	d := newDoor(t)
	down := errors.New("the store is down")
	damaged := newUser("alice")
	damaged.Credentials = []mfa.Credential{{ID: "c1", Kind: mfa.Passkey, RPID: "example.com", Unique: "x", Data: mfa.Secret("{}")}}
	for name, tc := range map[string]struct {
		u    *mfa.User
		err  error
		want error
	}{
		"the store is down":        {nil, down, down},
		"a user and an error":      {d.user, down, down},
		"nobody and no error":      {nil, nil, nil},
		"a user without a handle":  {&mfa.User{ID: "id-alice"}, nil, nil},
		"a user with damaged data": {damaged, nil, nil},
	} {
		state, answer := d.answered(d.auth, nil)
		u, _, _, err := d.f.FinishSignIn(d.at, state, answer, func([]byte) (*mfa.User, error) { return tc.u, tc.err })
		if err == nil || errors.Is(err, mfa.ErrRejected) || tc.want != nil && !errors.Is(err, tc.want) || u != nil {
			t.Errorf("%s: %v, want a fault", name, err)
		}
	}
}

// AC-139, AC-145: a state is good for one purpose and place, and one of a sign-in
// for no user in particular.
func TestFactor_AC139_SignIn_StateOfSomethingElse(t *testing.T) {
	d := newDoor(t)
	state, answer := d.answered(d.auth, nil)
	_, laterState := d.begin()

	verifyOptions, verifyState := d.beginVerification()
	verifyAnswer, err := d.auth.Verify(verifyOptions, nil)
	if err != nil {
		t.Fatal(err)
	}
	enrollOptions, enrollState := d.beginEnrollment()
	enrollAnswer, err := (&mfatest.Authenticator{Origin: origin}).Enroll(enrollOptions, nil)
	if err != nil {
		t.Fatal(err)
	}
	nobody := *d.user
	nobody.ID = "" // the user in whose name a sign-in is begun
	_, nobodysState, err := d.f.BeginVerification(d.at, &nobody)
	if err != nil {
		t.Fatal(err)
	}

	for name, tc := range map[string]struct{ state, answer []byte }{
		"a verification":                       {verifyState, verifyAnswer},
		"state of a verification":              {verifyState, answer},
		"answer of a verification":             {state, verifyAnswer},
		"state of a verification of nobody":    {nobodysState, answer},
		"an enrollment":                        {enrollState, enrollAnswer},
		"state of an enrollment":               {enrollState, answer},
		"answer of an enrollment":              {state, enrollAnswer},
		"state of another sign-in":             {laterState, answer},
		"no state":                             {nil, answer},
		"an empty state":                       {[]byte("{}"), answer},
		"a state that is null":                 {[]byte("null"), answer},
		"a truncated state":                    {state[:len(state)-1], answer},
		"a state of nothing":                   {[]byte(`{"purpose":"sign_in_passkey"}`), answer},
		"no answer":                            {state, nil},
		"AC-148 an empty answer":               {state, []byte("{}")},
		"AC-148 an answer that is null":        {state, []byte("null")},
		"AC-148 an array":                      {state, []byte("[]")},
		"AC-148 a truncated answer":            {state, answer[:len(answer)-1]},
		"AC-148 an answer and more":            {state, append(bytes.Clone(answer), "{}"...)},
		"AC-148 more than 64 KiB of white":     {state, append(bytes.Repeat([]byte(" "), 64<<10), answer...)},
		"AC-148 no JSON":                       {state, []byte("passkey")},
		"AC-148 deep nesting":                  {state, bytes.Repeat([]byte("["), 60<<10)},
		"AC-148 two answers, the first broken": {state, append([]byte("{"), answer...)},
	} {
		d.asked = nil
		u, id, data, err := d.f.FinishSignIn(d.at, tc.state, tc.answer, d.find)
		d.refuses(name, u, id, data, err)
	}

	if _, _, err := d.f.FinishVerification(d.at, d.user, state, answer); !errors.Is(err, mfa.ErrRejected) {
		t.Errorf("a sign-in as a verification: %v", err)
	}
	if _, _, err := d.f.FinishVerification(d.at, &nobody, state, answer); !errors.Is(err, mfa.ErrRejected) {
		t.Errorf("a sign-in as a verification of nobody: %v", err)
	}
	if _, err := d.f.FinishEnrollment(d.at, d.user, state, enrollAnswer); !errors.Is(err, mfa.ErrRejected) {
		t.Errorf("a sign-in as an enrollment: %v", err)
	}

	sibling := place()
	sibling.Origin, sibling.Host = "https://other.example.com", "other.example.com"
	narrower := place()
	narrower.RPID = "app.example.com"
	nowhere := place()
	nowhere.RPID = ""
	for name, at := range map[string]*mfa.Place{"another host": sibling, "another relying party": narrower, "where passkeys cannot work": nowhere, "no place": nil} {
		d.asked = nil
		u, id, data, err := d.f.FinishSignIn(at, state, answer, d.find)
		d.refuses(name, u, id, data, err)
		if len(d.asked) != 0 {
			t.Errorf("%s: somebody was looked for", name)
		}
	}
	if _, _, _, err := d.f.FinishSignIn(d.at, state, answer, d.find); err != nil {
		t.Errorf("with its own state: %v", err)
	}
}

// AC-139, AC-143: every part of a state counts by itself, and an empty or weakened
// session in it must not be believed. The authenticator plays along with each.
func TestFactor_AC143_SignIn_BentState(t *testing.T) {
	d := newDoor(t)
	for name, change := range map[string]func(*state){
		"discouraged":            func(s *state) { s.Session.UserVerification = "discouraged" },
		"preferred":              func(s *state) { s.Session.UserVerification = "preferred" },
		"empty":                  func(s *state) { s.Session.UserVerification = "" },
		"no challenge":           func(s *state) { s.Session.Challenge = "" },
		"no origin":              func(s *state) { s.Session.Origin = "" },
		"another relying party":  func(s *state) { s.Session.RelyingPartyID = "example.org" },
		"of a verification":      func(s *state) { s.Purpose = mfa.ForVerification },
		"of no purpose":          func(s *state) { s.Purpose = "" },
		"begun on another host":  func(s *state) { s.Origin = "https://other.example.com" },
		"begun at another party": func(s *state) { s.RPID = "example.org" },
		"begun for a user":       func(s *state) { s.User = d.user.ID },
		"begun for their handle": func(s *state) { s.Session.UserID = d.user.Handle },
	} {
		options, kept := d.begin()
		var s state
		if err := json.Unmarshal(kept, &s); err != nil {
			t.Fatal(err)
		}
		change(&s)
		weak, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := d.auth.Verify(options, func(b *mfatest.Bend) {
			if s.Session.UserVerification != "required" {
				b.Flags &^= mfatest.FlagUV
			}
			b.Challenge = s.Session.Challenge
			hash := sha256.Sum256([]byte(s.Session.RelyingPartyID))
			b.RPIDHash = hash[:]
		})
		if err != nil {
			t.Fatal(err)
		}
		u, id, data, err := d.f.FinishSignIn(d.at, weak, answer, d.find)
		d.refuses(name, u, id, data, err)
	}
}

// AC-139: 299 seconds are in time, 300 are not.
func TestFactor_AC139_SignIn_Expires(t *testing.T) {
	for _, tc := range []struct {
		after time.Duration
		ok    bool
	}{{299 * time.Second, true}, {300 * time.Second, false}, {301 * time.Second, false}} {
		d := newDoor(t)
		state, answer := d.answered(d.auth, nil)
		d.clock.Advance(tc.after)
		_, _, _, err := d.f.FinishSignIn(d.at, state, answer, d.find)
		if tc.ok && err != nil {
			t.Errorf("after %s: %v", tc.after, err)
		}
		if !tc.ok && (!errors.Is(err, mfa.ErrRejected) || !errors.Is(err, mfa.ErrExpired)) {
			t.Errorf("after %s: %v, want a rejection because it expired", tc.after, err)
		}
	}
}

// A passkey signs in at the relying party that it was made for. With its host in
// another's hands, it must not open this one.
func TestFactor_SignIn_RejectsPasskeyOfAnotherRelyingParty(t *testing.T) {
	d := newDoor(t)
	elsewhere := place()
	elsewhere.Origin, elsewhere.RPID = "https://app.example.org", "example.org"
	there := d.admit("dave")
	there.user.Credentials = nil
	there.at, there.auth = elsewhere, &mfatest.Authenticator{Origin: elsewhere.Origin}
	there.enroll()
	key := there.auth.Keys()[0]
	// An authenticator that is told the wrong relying party, to the last byte right.
	u, id, data, err := d.try(d.auth, func(b *mfatest.Bend) {
		b.Key, b.CredentialID, b.UserHandle = key, key.ID, key.UserHandle
	})
	d.refuses("a passkey of example.org at example.com", u, id, data, err)

	d.at, d.auth = elsewhere, there.auth
	if u, _, _, err := d.try(d.auth, nil); err != nil || u != there.user {
		t.Errorf("where it belongs: %v", err)
	}
}

// AC-152: a passkey that was removed while the ceremony ran signs nobody in.
func TestFactor_AC152_SignIn_RemovedMeanwhile(t *testing.T) {
	d := newDoor(t)
	state, answer := d.answered(d.auth, nil)
	d.user.Credentials = nil
	u, id, data, err := d.f.FinishSignIn(d.at, state, answer, d.find)
	d.refuses("a removed passkey", u, id, data, err)
}

// AC-142: a copy of a security key signs with a counter that the true one passed.
func TestFactor_AC142_SignIn_CounterThatGoesBackIsACopy(t *testing.T) {
	d := newDoor(t)
	c := &d.user.Credentials[0]
	_, _, data, err := d.try(d.auth, func(b *mfatest.Bend) { b.Counter = 7 })
	if err != nil {
		t.Fatal(err)
	}
	if c.Data, err = d.f.Advance(c.Data, data); err != nil {
		t.Fatal(err)
	}
	for _, counter := range []uint32{0, 6, 7} {
		u, id, data, err := d.try(d.auth, func(b *mfatest.Bend) { b.Counter = counter })
		d.refuses("a copy", u, id, data, err)
		if !errors.Is(err, mfa.ErrCloned) {
			t.Errorf("counter %d after 7: %v, want ErrCloned", counter, err)
		}
	}
	if _, _, _, err := d.try(d.auth, func(b *mfatest.Bend) { b.Counter = 8 }); err != nil {
		t.Errorf("the true one: %v", err)
	}
}

// What is refused may reach a log: it must not carry what was sent.
func TestFactor_SignIn_ErrorsRepeatNothing(t *testing.T) {
	d := newDoor(t)
	for name, bend := range map[string]func(*mfatest.Bend){
		"origin": func(b *mfatest.Bend) { b.Origin = "https://HUSH.example" },
		"handle": func(b *mfatest.Bend) { b.UserHandle = []byte("HUSH") },
		"type":   func(b *mfatest.Bend) { b.Type = "HUSH" },
	} {
		_, _, _, err := d.try(d.auth, bend)
		if err == nil || strings.Contains(err.Error(), "HUSH") {
			t.Errorf("%s: error = %v", name, err)
		}
	}
}

func FuzzFinishSignIn(f *testing.F) {
	d := newDoor(f)
	state, good := d.answered(d.auth, nil)
	f.Add(good, state)
	f.Add([]byte("{}"), state)
	f.Add(good, []byte("{}"))
	f.Fuzz(func(t *testing.T, answer, state []byte) {
		u, id, data, err := d.f.FinishSignIn(d.at, state, answer, d.find)
		if err != nil && (!errors.Is(err, mfa.ErrRejected) || u != nil) || err == nil && (u != d.user || id == "" || data == nil) {
			t.Errorf("FinishSignIn = %v, %q, %v", u, id, err)
		}
	})
}
