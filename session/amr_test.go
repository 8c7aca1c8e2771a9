package session

import (
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// AC-157: "mfa" comes of two different kinds of proof, never of a count; and nothing is said
// that was not done, or that nobody knows (RFC 8176, rules B6, B27, B29).
func TestDoneIn_AC157(t *testing.T) {
	start := time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC)
	at := func(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }
	u := &mfa.Subject{Held: []mfa.Held{
		{ID: "key", Kind: mfa.Passkey}, {ID: "key2", Kind: mfa.Passkey}, {ID: "app", Kind: mfa.TOTP}, {ID: "app2", Kind: mfa.TOTP},
		{ID: "phone", Kind: mfa.SMS, Address: "+49"}, {ID: "box", Kind: mfa.Email, Address: "a@a.test"}, {ID: "box2", Kind: mfa.Email, Address: "b@a.test"},
		{ID: "codes", Kind: mfa.BackupCode, Left: 1}, {ID: "later", Kind: "later"},
	}}
	password := mfa.Proof{Kind: mfa.Password, At: at(0)}
	mailed := mfa.Proof{Kind: mfa.Email, Address: "a@a.test", At: at(0)}
	texted := mfa.Proof{Kind: mfa.SMS, Address: "+49", At: at(0)}
	code := func(minutes int, id mfa.CredentialID, k mfa.Kind) mfa.Proof {
		return mfa.Proof{Kind: k, Credential: id, At: at(minutes)}
	}
	key := func(minutes int, id mfa.CredentialID, verified bool) mfa.Proof {
		return mfa.Proof{Kind: mfa.Passkey, Credential: id, At: at(minutes), UserVerified: verified, PhishingResistant: true}
	}
	list := func(p ...mfa.Proof) []mfa.Proof { return p }
	remembered := code(-60, "app", mfa.TOTP)
	remembered.Remembered = true

	const email, backup, source, sourceMFA = amrEmail, amrBackupCode, amrSource, amrSourceMFA
	for name, c := range map[string]struct {
		s        mfa.Session
		elsewise bool // the source is none with passwords
		amr      string
		acr      string
		minutes  int
	}{
		"a password alone":                   {mfa.Session{First: password}, false, "pwd", classOne, 0},
		"password and app":                   {mfa.Session{First: password, Proofs: list(code(1, "app", mfa.TOTP))}, false, "pwd otp mfa", classMFA, 1},
		"password and text message":          {mfa.Session{First: password, Proofs: list(code(1, "phone", mfa.SMS))}, false, "pwd sms mfa", classMFA, 1},
		"password and e-mail code":           {mfa.Session{First: password, Proofs: list(code(1, "box", mfa.Email))}, false, "pwd " + email + " mfa", classMFA, 1},
		"password and backup code":           {mfa.Session{First: password, Proofs: list(code(1, "codes", mfa.BackupCode))}, false, "pwd " + backup + " mfa", classMFA, 1},
		"password and passkey":               {mfa.Session{First: password, Proofs: list(key(1, "key", true))}, false, "pwd pop user mfa", classResistant, 1},
		"password and touch":                 {mfa.Session{First: password, Proofs: list(key(1, "key", false))}, false, "pwd pop user mfa", classResistant, 1},
		"a passkey with PIN or finger alone": {mfa.Session{First: key(0, "key", true), Proofs: list(key(0, "key", true))}, false, "pop user mfa", classResistant, 0},
		"a touch alone":                      {mfa.Session{First: key(0, "key", false), Proofs: list(key(0, "key", false))}, false, "pop user", classOne, 0},
		"two touches":                        {mfa.Session{First: key(0, "key", false), Proofs: list(key(0, "key", false), key(1, "key2", false))}, false, "pop user", classTwoStep, 1},
		"e-mail code alone":                  {mfa.Session{First: mailed}, false, email, classOne, 0},
		"two codes: e-mail and app":          {mfa.Session{First: mailed, Proofs: list(code(1, "app", mfa.TOTP))}, false, email + " otp", classTwoStep, 1},
		"two codes: text message and app":    {mfa.Session{First: texted, Proofs: list(code(1, "app", mfa.TOTP))}, false, "sms otp", classTwoStep, 1},
		"two codes: e-mail and backup code":  {mfa.Session{First: mailed, Proofs: list(code(1, "codes", mfa.BackupCode))}, false, email + " " + backup, classTwoStep, 1},
		"two mailboxes":                      {mfa.Session{First: mailed, Proofs: list(code(1, "box2", mfa.Email))}, false, email, classTwoStep, 1},
		"B27 the same mailbox twice":         {mfa.Session{First: mailed, Proofs: list(code(1, "box", mfa.Email))}, false, email, classOne, 0},
		"app and backup code":                {mfa.Session{First: password, Proofs: list(code(1, "app", mfa.TOTP), code(2, "codes", mfa.BackupCode))}, false, "pwd otp " + backup + " mfa", classMFA, 2},
		"e-mail code and passkey":            {mfa.Session{First: mailed, Proofs: list(key(1, "key", true))}, false, email + " pop user mfa", classResistant, 1},

		"two apps say otp once":             {mfa.Session{First: password, Proofs: list(code(1, "app", mfa.TOTP), code(2, "app2", mfa.TOTP))}, false, "pwd otp mfa", classMFA, 2},
		"the class is as old as its proof":  {mfa.Session{First: password, Proofs: list(key(1, "key", true), code(9, "app", mfa.TOTP))}, false, "pwd pop user otp mfa", classResistant, 1},
		"a newer password makes it not new": {mfa.Session{First: mfa.Proof{Kind: mfa.Password, At: at(30)}, Proofs: list(code(1, "app", mfa.TOTP))}, false, "pwd otp mfa", classMFA, 1},

		"B29 a remembered browser":       {mfa.Session{First: password, Proofs: list(remembered)}, false, "pwd", classOne, 0},
		"B29 an administrator's bypass":  {mfa.Session{First: password, Bypassed: true}, false, "pwd", classOne, 0},
		"B6 the app was removed":         {mfa.Session{First: password, Proofs: list(code(1, "gone", mfa.TOTP))}, false, "pwd", classOne, 0},
		"B6 the passkey was removed":     {mfa.Session{First: key(0, "gone", true), Proofs: list(key(0, "gone", true))}, false, "pop user", classOne, 0},
		"another factor under that name": {mfa.Session{First: password, Proofs: list(code(1, "app", mfa.SMS))}, false, "pwd", classOne, 0},
		"a factor of a newer version":    {mfa.Session{First: password, Proofs: list(code(1, "later", "later"))}, false, "pwd", classOne, 0},

		"AC-021 at a source alone":                        {mfa.Session{First: password}, true, source, classOne, 0},
		"AC-021 at a source, and an app":                  {mfa.Session{First: password, Proofs: list(code(1, "app", mfa.TOTP))}, true, source + " otp", classTwoStep, 1},
		"at a source, and a passkey":                      {mfa.Session{First: password, Proofs: list(key(1, "key", true))}, true, source + " pop user mfa", classResistant, 1},
		"at a source that is believed":                    {mfa.Session{First: password, Provided: mfa.Proof{Kind: mfa.Provided, At: at(3)}}, true, source + " " + sourceMFA + " mfa", classMFA, 3},
		"… with a passkey":                                {mfa.Session{First: password, Provided: mfa.Proof{Kind: mfa.Provided, At: at(3), PhishingResistant: true}}, true, source + " " + sourceMFA + " mfa", classResistant, 3},
		"a first factor of a kind that is not known here": {mfa.Session{First: mfa.Proof{Kind: "new", At: at(0)}}, false, source, classOne, 0},
		"no first factor":                                 {mfa.Session{}, false, "", classOne, -1},
	} {
		d := doneIn(&c.s, u, !c.elsewise)
		if got := strings.Join(d.amr, " "); got != c.amr {
			t.Errorf("%s: amr %q, want %q", name, got, c.amr)
		}
		if d.acr != c.acr {
			t.Errorf("%s: acr %s, want %s", name, d.acr, c.acr)
		}
		if want := at(c.minutes); !d.at.Equal(want) && (c.minutes >= 0 || !d.at.IsZero()) {
			t.Errorf("%s: at %s, want %s", name, d.at, want)
		}
	}
}
