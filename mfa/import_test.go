package mfa_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/secondgate/secondgate/identity/local"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/factor/backupcode"
	"github.com/secondgate/secondgate/mfa/factor/passkey"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

// What htpasswd made of the password.
const (
	movedPassword = "a walrus eats 9 kites"
	movedHash     = "$2y$05$HfPtaJ4edC3ITHHyIy3jy.VDjFtm1vU2CxLdGfn2jA1PalaUE21A2"
)

// movingWorld is a world with real hashes, whose passkeys are for app.example.com alone.
func movingWorld(t *testing.T, change ...configured) *world {
	t.Helper()
	store := newStore(t)
	source, err := local.New(local.Config{Users: store, Hasher: sharedHasher()})
	must(t, err)
	hosts := func(cfg *mfa.Config) {
		cfg.Hosts = func() ([]string, bool) { return []string{"app.example.com"}, false }
	}
	return makeWorld(t, store, source, source, backupcode.New(sharedHasher()), append(change, hosts)...)
}

func (w *world) move(people ...mfa.Newcomer) []mfa.Moved {
	w.t.Helper()
	moved, err := w.gate.As(mfa.OnMachine()).Import(w.t.Context(), mfa.ImportInput{From: "a test", People: people})
	must(w.t, err)
	return moved
}

// verdict returns what became of the one item whose name begins so.
func verdict(t *testing.T, m mfa.Moved, item string) mfa.MovedItem {
	t.Helper()
	i := slices.IndexFunc(m.Items, func(i mfa.MovedItem) bool { return strings.HasPrefix(i.Item, item) })
	if i < 0 {
		t.Fatalf("nothing is said of %s: %+v", item, m)
	}
	return m.Items[i]
}

// registeredElsewhere is a passkey that another system of that relying party has.
func registeredElsewhere(t *testing.T, rpID string) (*mfatest.Authenticator, mfa.MovedPasskey) {
	t.Helper()
	auth := &mfatest.Authenticator{Origin: "https://" + rpID, Synced: true}
	other := passkey.New(passkey.Config{})
	at := &mfa.Place{Origin: auth.Origin, Host: rpID, RPID: rpID}
	them := &mfa.User{ID: "theirs", Handle: []byte("the handle of the other system"), Name: "alice"}
	options, state, err := other.BeginEnrollment(at, them)
	must(t, err)
	answer, err := auth.Enroll(options, nil)
	must(t, err)
	c, err := other.FinishEnrollment(at, them, state, answer)
	must(t, err)
	var record webauthn.Credential
	must(t, json.Unmarshal(c.Data, &record))
	return auth, mfa.MovedPasskey{Name: "Old key", ID: record.ID, PublicKey: record.PublicKey, RPID: rpID}
}

// A person who moved in signs in with the password and the app of the other system. A code
// that was typed there in the minute of the move is used, and this is no registration.
func TestAdministration_Import_PersonSignsIn(t *testing.T) {
	w := movingWorld(t)
	w.policy.Optional, w.policy.Prompt = true, mfa.PromptAtNextSignIn
	secret := []byte("12345678901234567890")
	moved := w.move(
		mfa.Newcomer{Name: "Alice", DisplayName: "Alice Ng", Email: "alice@example.com", Groups: []string{"staff"}, Password: mfa.Secret(movedHash), Apps: []mfa.MovedApp{{Name: "Phone", Secret: secret}}},
		mfa.Newcomer{Name: "bob", Password: mfa.Secret(movedHash)},
	)
	if moved[0].Arrival != mfa.Arrives || moved[0].Name != "alice" || verdict(t, moved[0], "password").Verdict != mfa.MovesIf || verdict(t, moved[0], `authenticator app "Phone"`).Verdict != mfa.Moves {
		t.Fatalf("alice: %+v", moved[0])
	}
	if v := verdict(t, moved[0], "e-mail address"); v.Verdict != mfa.MovesIf || !strings.Contains(v.Why, "not verified") {
		t.Errorf("the address: %+v", v)
	}
	u, err := w.store.UserByKey(t.Context(), mfa.SubjectKey(mfa.LocalSource, "alice"))
	must(t, err)
	if u.Email != "alice@example.com" || u.EmailVerified || u.Admin || !u.EverEnrolled || !slices.Contains(u.Facets(), mfa.FacetNewcomer) {
		t.Errorf("the account: %+v", u)
	}

	app := &phone{secret}
	in := w.wantsNextAny(w.gate.SignIn(t.Context(), w.at, "local", "alice", movedPassword))
	if in.Decision.Action != mfa.Verify {
		t.Fatalf("after the password: %s %s", in.Decision.Action, in.Decision.Reason)
	}
	_, err = w.gate.VerifyTOTP(t.Context(), w.at, in.Session.ID, app.code(w.clock()))
	wants(t, err, mfa.ErrRejected)
	w.wait(time.Minute)
	w.wantsNextAny(w.gate.VerifyTOTP(t.Context(), w.at, in.Session.ID, app.code(w.clock())))
	if u, err = w.store.User(t.Context(), u.ID); err != nil || !strings.HasPrefix(string([]byte(u.Password)), "$argon2id$") {
		t.Errorf("the password was not hashed anew: %v", err)
	}

	// Rule B7: who registers is not prompted under this policy. Bob does not register.
	bob := w.wantsNextAny(w.gate.SignIn(t.Context(), w.at, "local", "bob", movedPassword))
	if bob.Decision.Action != mfa.SetUp || !bob.Decision.Skippable {
		t.Errorf("bob after the password: %s %s", bob.Decision.Action, bob.Decision.Reason)
	}
	if n := len(w.events.Named(mfa.EventAdmin)); n != 3 {
		t.Errorf("%d events, want one for the batch and one for each", n)
	}
}

func (w *world) wantsNextAny(out *mfa.Outcome, err error) *mfa.Outcome {
	w.t.Helper()
	must(w.t, err)
	return out
}

// A passkey that was made at another system for this relying party verifies here; one for
// another domain works nowhere here and is said, not kept.
func TestAdministration_Import_Passkeys(t *testing.T) {
	w := movingWorld(t)
	auth, here := registeredElsewhere(t, "app.example.com")
	_, there := registeredElsewhere(t, "auth.example.org")
	_, hashed := registeredElsewhere(t, "app.example.com")
	sum := sha256.Sum256([]byte("app.example.com"))
	hashed.RPID, hashed.RPIDHash, hashed.Name = "", sum[:], "hashed"
	_, lost := registeredElsewhere(t, "app.example.com")
	other := sha256.Sum256([]byte("auth.example.org"))
	lost.RPID, lost.RPIDHash, lost.Name = "", other[:], "lost"
	there.Name = "there"
	u2f := here
	u2f.RPID, u2f.Name = "https://app.example.com", "u2f"
	moved := w.move(
		mfa.Newcomer{Name: "alice", Password: mfa.Secret(movedHash), Passkeys: []mfa.MovedPasskey{here, there, hashed, lost, u2f}},
		mfa.Newcomer{Name: "mallory", Password: mfa.Secret(movedHash), Passkeys: []mfa.MovedPasskey{here}},
	)
	for item, want := range map[string]mfa.Verdict{`passkey "Old key"`: mfa.MovesIf, `passkey "there"`: mfa.Lost, `passkey "hashed"`: mfa.MovesIf, `passkey "lost"`: mfa.Lost, `passkey "u2f"`: mfa.Lost} {
		if v := verdict(t, moved[0], item); v.Verdict != want || v.Why == "" {
			t.Errorf("%s: %+v, want %s", item, v, want)
		}
	}
	if v := verdict(t, moved[1], "passkey"); v.Verdict != mfa.Lost {
		t.Errorf("a key that somebody has: %+v", v)
	}
	in := w.wantsNextAny(w.gate.SignIn(t.Context(), w.at, "local", "alice", movedPassword))
	c, err := w.gate.BeginVerifyPasskey(t.Context(), w.at, in.Session.ID)
	must(t, err)
	answer, err := auth.Verify(c.Options, nil)
	must(t, err)
	out, err := w.gate.FinishVerifyPasskey(t.Context(), w.at, in.Session.ID, c.ID, answer)
	must(t, err)
	if out.Decision.Action == mfa.Verify || out.Decision.Reason != mfa.ReasonNoCodes {
		t.Errorf("after the passkey: %s %s", out.Decision.Action, out.Decision.Reason)
	}
}

// A second run changes nothing and says so; whoever is here otherwise stays as they are.
func TestAdministration_Import_ChangesNobodyWhoIsHere(t *testing.T) {
	w := movingWorld(t)
	w.invited("carol")
	people := []mfa.Newcomer{
		{Name: "alice", Password: mfa.Secret(movedHash)},
		{Name: "carol", Password: mfa.Secret(movedHash), Apps: []mfa.MovedApp{{Secret: []byte("12345678901234567890")}}},
		{Name: "ALICE"},
		{Name: "../root"},
		{Name: ""},
	}
	dry, err := w.gate.As(mfa.OnMachine()).Import(t.Context(), mfa.ImportInput{From: "a test", People: people, DryRun: true})
	must(t, err)
	first := w.move(people...)
	if fmt.Sprint(dry) != fmt.Sprint(first) {
		t.Errorf("the dry run says\n%v\nand the run\n%v", dry, first)
	}
	for i, want := range []mfa.Arrival{mfa.Arrives, mfa.Refused, mfa.Refused, mfa.Refused, mfa.Refused} {
		if first[i].Arrival != want || want == mfa.Refused && first[i].Why == "" {
			t.Errorf("%q: %+v, want %s", people[i].Name, first[i], want)
		}
	}
	_, err = w.gate.SignIn(t.Context(), w.at, "local", "carol", movedPassword)
	wants(t, err, mfa.ErrRejected)
	w.wantsNextAny(w.gate.SignIn(t.Context(), w.at, "local", "carol", goodPassword))

	before, err := w.store.UserByKey(t.Context(), mfa.SubjectKey(mfa.LocalSource, "alice"))
	must(t, err)
	events := len(w.events.Named(mfa.EventAdmin))
	people[0].DisplayName, people[0].Disabled = "Another", true
	again := w.move(people[0])
	after, err := w.store.UserByKey(t.Context(), mfa.SubjectKey(mfa.LocalSource, "alice"))
	must(t, err)
	if again[0].Arrival != mfa.Here || after.ID != before.ID || after.Disabled || after.DisplayName != "" || len(w.events.Named(mfa.EventAdmin)) != events {
		t.Errorf("the second run: %+v, %+v", again[0], after)
	}
}

// Addresses sign in, so that one that is somebody's already moves unverified.
func TestAdministration_Import_Addresses(t *testing.T) {
	w := movingWorld(t)
	moved := w.move(
		mfa.Newcomer{Name: "alice", Email: "Alice@Example.com", EmailVerified: true, Phone: "+49 151 12345678"},
		mfa.Newcomer{Name: "mallory", Email: "alice@example.com", EmailVerified: true, Phone: "none"},
		mfa.Newcomer{Name: "eve", Email: "not an address", EmailVerified: true, Groups: []string{"a,b", "ok"}, Organizations: []mfa.OrganizationID{"nowhere"}},
	)
	if v := verdict(t, moved[0], "e-mail address"); v.Verdict != mfa.Moves {
		t.Errorf("alice: %+v", v)
	}
	if v := verdict(t, moved[1], "e-mail address"); v.Verdict != mfa.MovesIf {
		t.Errorf("mallory: %+v", v)
	}
	for _, item := range []string{"e-mail address", `group "a,b"`, `organization "nowhere"`, "password"} {
		if v := verdict(t, moved[2], item); v.Verdict != mfa.Lost || v.Why == "" {
			t.Errorf("eve's %s: %+v", item, v)
		}
	}
	if v := verdict(t, moved[1], "phone number"); v.Verdict != mfa.Lost {
		t.Errorf("mallory's number: %+v", v)
	}
	u, err := w.store.UserByKey(t.Context(), mfa.AddressKey(mfa.Email, "alice@example.com"))
	if err != nil || u.Name != "alice" || u.PhoneVerified {
		t.Errorf("who has the address: %+v, %v", u, err)
	}
	// Without a password there is a way in all the same.
	if token, err := mfatest.NewDesk(w.gate).Invite(t.Context(), mfa.InviteInput{Name: "eve"}); err != nil || token == "" {
		t.Errorf("a link for who has no password: %v", err)
	}
}

// AC-227: whoever imports makes accounts whose factors they know. It is for commands on the
// machine: no program with a key, no administrator at the console.
func TestAdministration_Import_AC227_OnMachineAlone(t *testing.T) {
	w := movingWorld(t)
	all := mfa.OnMachine().Powers
	for name, actor := range map[string]mfa.Actor{
		"nobody":                        {},
		"an administrator":              {Powers: all, User: "u", Name: "alice"},
		"an organization's":             {Powers: all, Organization: "acme"},
		"whoever reads users":           {Powers: mfa.ReadUsers},
		"whoever changes users":         {Powers: mfa.ReadUsers | mfa.ChangeUsers},
		"whoever lacks nothing but one": {Powers: all &^ mfa.ManageKeys},
	} {
		_, err := w.gate.As(actor).Import(t.Context(), mfa.ImportInput{From: "a test", People: []mfa.Newcomer{{Name: "alice"}}})
		if !errors.Is(err, mfa.ErrNotAllowed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	many := make([]mfa.Newcomer, mfa.MaxImport+1)
	_, err := w.gate.As(mfa.OnMachine()).Import(t.Context(), mfa.ImportInput{From: "a test", People: many})
	wants(t, err, mfa.ErrLimit)
}

// AC-231: what nobody could be held to is not done.
func TestAdministration_Import_AC231_NoRecordNoAccount(t *testing.T) {
	w := movingWorld(t, func(cfg *mfa.Config) { cfg.Events = forgetful{cfg.Events} })
	if _, err := w.gate.As(mfa.OnMachine()).Import(t.Context(), mfa.ImportInput{From: "a test", People: []mfa.Newcomer{{Name: "alice"}}}); err == nil {
		t.Error("it was done without a record")
	}
	if _, err := w.store.UserByKey(t.Context(), mfa.SubjectKey(mfa.LocalSource, "alice")); !errors.Is(err, mfa.ErrNotFound) {
		t.Errorf("the account: %v", err)
	}
}

// forgetful keeps nothing.
type forgetful struct{ mfa.KeptEvents }

func (forgetful) Keep(context.Context, mfa.Event) error { return errors.New("the disk is full") }

// Backup codes of this software move with another factor, and sign in.
func TestAdministration_Import_BackupCodes(t *testing.T) {
	w := movingWorld(t)
	data, codes, err := backupcode.New(sharedHasher()).New(t.Context())
	must(t, err)
	app := []mfa.MovedApp{{Secret: []byte("12345678901234567890")}}
	moved := w.move(
		mfa.Newcomer{Name: "alice", Password: mfa.Secret(movedHash), Apps: app, BackupCodes: data},
		mfa.Newcomer{Name: "bob", Password: mfa.Secret(movedHash), BackupCodes: data},
		mfa.Newcomer{Name: "carol", Password: mfa.Secret(movedHash), Apps: app, BackupCodes: data[:40]},
	)
	for i, want := range []mfa.Verdict{mfa.Moves, mfa.Lost, mfa.Lost} {
		if v := verdict(t, moved[i], "backup codes"); v.Verdict != want {
			t.Errorf("%s: %+v", moved[i].Name, v)
		}
	}
	in := w.wantsNextAny(w.gate.SignIn(t.Context(), w.at, "local", "alice", movedPassword))
	out, err := w.gate.VerifyBackupCode(t.Context(), w.at, in.Session.ID, codes[3])
	must(t, err)
	if out.Decision.Action == mfa.Verify {
		t.Errorf("after the code: %s", out.Decision.Action)
	}
}

// AC-208: a person with more groups and organizations than memory holds comparisons of must
// not hold the gateway up, nor make a record that cannot be kept, at which each run ends.
func TestAdministration_Import_AC208_ManyGroups(t *testing.T) {
	w := movingWorld(t)
	n := mfa.Newcomer{Name: "alice", Password: mfa.Secret(movedHash)}
	for i := range 200_000 {
		n.Groups = append(n.Groups, fmt.Sprintf("group-%06d", i))
		n.Organizations = append(n.Organizations, mfa.OrganizationID(fmt.Sprintf("o%06d", i)))
	}
	began := time.Now()
	moved := w.move(n)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	if moved[0].Arrival != mfa.Arrives || verdict(t, moved[0], "199000 groups").Verdict != mfa.Lost || verdict(t, moved[0], "199980 organizations").Verdict != mfa.Lost {
		t.Errorf("%s: %.500v", moved[0].Arrival, moved[0].Items)
	}
	u, err := w.store.UserByKey(t.Context(), mfa.SubjectKey(mfa.LocalSource, "alice"))
	must(t, err)
	if len(u.Groups) != 1000 {
		t.Errorf("%d groups", len(u.Groups))
	}
}
