package mfa

import "slices"

// Score says how well an account is protected, and what would raise it (rule B33). It
// is about what this user can do here: whoever has followed all advice has 100.
type Score struct {
	Points int    `json:"points"` // 0 to 100
	Level  Level  `json:"level"`
	Advice []Hint `json:"advice"` // what raises it most comes first
}

// Level is a score in one word.
type Level string

// The levels. Pages have words for each.
const (
	LevelUnprotected Level = "unprotected" // nothing but the first factor stands between a stranger and the account
	LevelFair        Level = "fair"        // protected, with a gap worth closing
	LevelGood        Level = "good"        // protected; one thing would be better
	LevelBest        Level = "best"        // as well as it can be here
)

// Advice is one thing to do, by a name that stays.
type Advice string

// The pieces of advice.
const (
	AdviceTurnOn        Advice = "turn_on"            // end the opt-out
	AdviceFirstFactor   Advice = "add_factor"         // nothing is enrolled that the policy enables
	AdvicePasskey       Advice = "add_passkey"        // no passkey yet
	AdviceApp           Advice = "add_totp"           // codes that are sent, where an app can be
	AdviceBackupCodes   Advice = "make_backup_codes"  // none is unused
	AdviceNewCodes      Advice = "renew_backup_codes" // few are left
	AdviceSecondFactor  Advice = "add_second_factor"  // one factor, and no codes to fall back on
	AdviceSecondPasskey Advice = "add_second_passkey"
)

// Hint is a piece of advice with the factor that it is about; "" where any will do.
type Hint struct {
	Advice Advice `json:"advice"`
	Factor Kind   `json:"factor,omitempty"`
	Gain   int    `json:"gain"` // the points that it is worth
}

// FewCodes is from how many backup codes on people are told that few are left.
const FewCodes = 3

// optedOutPoints is for what would protect, were it asked for.
const optedOutPoints = 10

// ScoreOf returns the score of a user under the policy that holds for them. can are
// the factors that can be set up where the user is; an administrator who looks at the
// user passes the policy's. It is pure and total; a nil policy or user is unprotected.
func ScoreOf(p *Policy, u *Subject, can Kinds) Score {
	s := Score{Level: LevelUnprotected, Advice: []Hint{}}
	if p == nil || u == nil || p.Off {
		return s // there is nothing that the user could do
	}
	can &= p.Factors
	held := map[Kind]int{}
	left := 0
	for _, h := range u.Held {
		if !p.Factors.Has(h.Kind) || !h.Enrolled() {
			continue // what is switched off protects nothing
		}
		held[h.Kind]++
		left += h.Left
	}
	strong, sent := held[Passkey]+held[TOTP], held[SMS]+held[Email]
	hint := func(a Advice, factor Kind, gain int) { s.Advice = append(s.Advice, Hint{a, factor, gain}) }
	switch {
	case strong+sent == 0:
		if can&PrimaryKinds != 0 {
			hint(AdviceFirstFactor, "", 60)
		}
		return s
	case u.OptedOut && !p.required():
		s.Points = optedOutPoints
		hint(AdviceTurnOn, "", 60)
		return s
	}
	lost := 0
	switch {
	case strong == 0 && can.Has(Passkey):
		hint(AdvicePasskey, Passkey, 50)
	case strong == 0 && can.Has(TOTP):
		hint(AdviceApp, TOTP, 50)
	case strong == 0:
		lost = 20 // codes that are sent can be caught; nothing better can be had here
	case held[Passkey] == 0 && can.Has(Passkey):
		hint(AdvicePasskey, Passkey, 20)
	}
	switch codes := p.Factors.Has(BackupCode); {
	case codes && left == 0:
		hint(AdviceBackupCodes, BackupCode, 30)
	case codes && left <= FewCodes:
		hint(AdviceNewCodes, BackupCode, 25)
	case !codes && strong+sent == 1 && can&PrimaryKinds != 0:
		hint(AdviceSecondFactor, "", 30)
	}
	if held[Passkey] == 1 && can.Has(Passkey) {
		hint(AdviceSecondPasskey, Passkey, 10)
	}
	slices.SortStableFunc(s.Advice, func(a, b Hint) int { return b.Gain - a.Gain })
	for _, h := range s.Advice {
		lost += h.Gain
	}
	s.Points = max(100-lost, 2*optedOutPoints)
	switch {
	case s.Points < 80:
		s.Level = LevelFair
	case s.Points < 100:
		s.Level = LevelGood
	default:
		s.Level = LevelBest
	}
	return s
}

// canSetUp returns what the choices of an account page can set up.
func canSetUp(list []Choice) Kinds {
	var s Kinds
	for _, c := range list {
		if c.Available {
			s |= c.Kind.set()
		}
	}
	return s
}
