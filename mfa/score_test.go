package mfa_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/secondgate/secondgate/mfa"
)

// holding is a subject who has those factors; "codes=4" are backup codes.
func holding(words string) *mfa.Subject {
	u := new(mfa.Subject)
	for i, word := range strings.Fields(words) {
		h := mfa.Held{ID: mfa.CredentialID(fmt.Sprint(i)), Kind: mfa.Kind(word)}
		if n, ok := strings.CutPrefix(word, "codes="); ok {
			h.Kind = mfa.BackupCode
			fmt.Sscan(n, &h.Left)
		}
		u.Held = append(u.Held, h)
	}
	return u
}

func TestScoreOf(t *testing.T) {
	full := mfa.Policy{Factors: everyKind}
	noCodes := mfa.Policy{Factors: everyKind &^ mfa.KindsOf(mfa.BackupCode)}
	optional := mfa.Policy{Factors: everyKind, Optional: true}
	sentOnly := mfa.Policy{Factors: mfa.KindsOf(mfa.SMS, mfa.Email)}
	for _, test := range []struct {
		name   string
		p      *mfa.Policy
		has    string
		out    bool
		can    mfa.Kinds
		points int
		level  mfa.Level
		advice string
	}{
		{"no policy", nil, "passkey passkey codes=10", false, everyKind, 0, mfa.LevelUnprotected, ""},
		{"off for everybody", &mfa.Policy{Off: true, Optional: true}, "passkey", false, everyKind, 0, mfa.LevelUnprotected, ""},
		{"nothing", &full, "", false, everyKind, 0, mfa.LevelUnprotected, "add_factor"},
		{"codes alone", &full, "codes=10", false, everyKind, 0, mfa.LevelUnprotected, "add_factor"},
		{"all switched off", &sentOnly, "passkey totp codes=9", false, everyKind, 0, mfa.LevelUnprotected, "add_factor"},
		{"opted out", &optional, "passkey codes=10", true, everyKind, 10, mfa.LevelUnprotected, "turn_on"},
		{"opted out, and required", &full, "passkey passkey codes=10", true, everyKind, 100, mfa.LevelBest, ""},
		{"a kind of a newer version", &full, "retina", false, everyKind, 0, mfa.LevelUnprotected, "add_factor"},
		{"text messages, codes", &full, "sms codes=10", false, everyKind, 50, mfa.LevelFair, "add_passkey"},
		{"text messages, no passkey can be here", &full, "sms codes=10", false, mfa.KindsOf(mfa.TOTP), 50, mfa.LevelFair, "add_totp"},
		{"text messages, no codes", &full, "sms", false, everyKind, 20, mfa.LevelFair, "add_passkey make_backup_codes"},
		{"text messages are all there is", &sentOnly, "sms email", false, mfa.KindsOf(mfa.SMS, mfa.Email), 80, mfa.LevelGood, ""},
		{"an app, codes", &full, "totp codes=10", false, everyKind, 80, mfa.LevelGood, "add_passkey"},
		{"an app, few codes", &full, "totp codes=3", false, everyKind, 55, mfa.LevelFair, "renew_backup_codes add_passkey"},
		{"an app, spent codes", &full, "totp codes=0", false, everyKind, 50, mfa.LevelFair, "make_backup_codes add_passkey"},
		{"an app, no passkey can be here", &full, "totp codes=10", false, mfa.KindsOf(mfa.TOTP), 100, mfa.LevelBest, ""},
		{"one passkey, codes", &full, "passkey codes=4", false, everyKind, 90, mfa.LevelGood, "add_second_passkey"},
		{"one passkey, there are no codes", &noCodes, "passkey", false, everyKind, 60, mfa.LevelFair, "add_second_factor add_second_passkey"},
		{"two passkeys, codes", &full, "passkey passkey codes=10", false, everyKind, 100, mfa.LevelBest, ""},
		{"passkey and app, there are no codes", &noCodes, "passkey totp", false, everyKind, 90, mfa.LevelGood, "add_second_passkey"},
	} {
		t.Run(test.name, func(t *testing.T) {
			u := holding(test.has)
			u.OptedOut = test.out
			s := mfa.ScoreOf(test.p, u, test.can)
			var advice []string
			for _, h := range s.Advice {
				advice = append(advice, string(h.Advice))
			}
			if got := strings.Join(advice, " "); s.Points != test.points || s.Level != test.level || got != test.advice {
				t.Errorf("%d %s %q, want %d %s %q", s.Points, s.Level, got, test.points, test.level, test.advice)
			}
		})
	}
	if s := mfa.ScoreOf(&full, nil, everyKind); s.Level != mfa.LevelUnprotected || s.Points != 0 {
		t.Errorf("nobody: %+v", s)
	}
}

// A score that went down when somebody added a factor would teach people to remove some.
func TestScoreOf_MoreIsNeverWorse(t *testing.T) {
	kinds := []string{"passkey", "totp", "sms", "email", "codes=10"}
	for _, factors := range []mfa.Kinds{everyKind, everyKind &^ mfa.KindsOf(mfa.BackupCode), mfa.KindsOf(mfa.SMS, mfa.Email), mfa.KindsOf(mfa.TOTP, mfa.BackupCode)} {
		for can := mfa.Kinds(0); can <= everyKind; can++ {
			for n := range 1 << (2 * len(kinds)) {
				var has []string
				for i, k := range kinds {
					for range min(n>>(2*i)&3, 2) {
						has = append(has, k)
					}
				}
				p := &mfa.Policy{Factors: factors}
				before := mfa.ScoreOf(p, holding(strings.Join(has, " ")), can)
				if before.Points < 0 || before.Points > 100 || (before.Level == mfa.LevelBest) != (before.Points == 100) {
					t.Fatalf("%v: %+v", has, before)
				}
				if n%7 != 0 {
					continue // each is somebody's "after" often enough
				}
				for _, k := range kinds {
					if after := mfa.ScoreOf(p, holding(strings.Join(append(has, k), " ")), can); after.Points < before.Points {
						t.Fatalf("factors %s, can %s: %v has %d, with another %s %d", factors, can, has, before.Points, k, after.Points)
					}
				}
			}
		}
	}
}
