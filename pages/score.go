package pages

import "github.com/secondgate/secondgate/mfa"

// score says in words how safe an account is, what would raise that most, and what
// would raise it besides (rule B33). The core counts; this speaks.
type score struct {
	Level  string // "good", "bad" or ""
	Word   string
	Points string // "80 of 100"; "": there is nothing to count
	Advice advice
	More   []advice
}

// advice is one thing to do, and where; "": nowhere.
type advice struct{ Text, Href, Label string }

func (v *visit) score(a *mfa.Account) score {
	if a.Off {
		return score{Level: "bad", Word: v.T("score.policy_off"), Advice: advice{Text: v.T("score.policy_off.advice")}}
	}
	s := score{Points: v.T("score.points", "points", a.Score.Points)}
	switch a.Score.Level {
	case mfa.LevelBest:
		s.Level, s.Word, s.Advice.Text = "good", v.T("score.best"), v.T("score.best.advice")
	case mfa.LevelGood:
		s.Level, s.Word, s.Advice.Text = "good", v.T("score.good"), v.T("score.sent.best")
	case mfa.LevelFair:
		s.Word = v.T("score.fair")
	default:
		s.Level, s.Word, s.Advice.Text = "bad", v.T("score.none"), v.T("score.none.best")
		if a.OptedOut {
			s.Word = v.T("score.off")
		}
	}
	for i, h := range a.Score.Advice {
		if say := v.advice(a, h); i == 0 {
			s.Advice = say
		} else {
			s.More = append(s.More, say)
		}
	}
	return s
}

func (v *visit) advice(a *mfa.Account, h mfa.Hint) advice {
	own := v.returnOnly()
	own.Set(paramFrom, fromAccount)
	codes := join("set-up/backup-codes", own)
	key := join(setUpHref(mfa.Passkey), own)
	switch h.Advice {
	case mfa.AdviceTurnOn:
		return advice{v.T("score.off.advice"), "#opt", v.T("account.optin")}
	case mfa.AdvicePasskey:
		text := v.T("score.passkey.advice")
		if strong(a) == 0 {
			text = v.T("score.sent.advice")
		}
		return advice{text, key, v.T("account.add.passkey")}
	case mfa.AdviceSecondPasskey:
		return advice{v.T("score.passkeys.advice"), key, v.T("account.add.passkey")}
	case mfa.AdviceApp:
		return advice{v.T("score.sent.advice.app"), join(setUpHref(mfa.TOTP), own), v.T("account.add.totp")}
	case mfa.AdviceBackupCodes:
		return advice{v.T("score.codes.advice"), codes, v.T("account.add.codes")}
	case mfa.AdviceNewCodes:
		return advice{v.T("score.few.advice"), codes, v.T("account.codes.new")}
	}
	own.Set(paramList, "1")
	text := v.T("score.none.advice")
	if h.Advice == mfa.AdviceSecondFactor {
		text = v.T("score.second.advice")
	}
	return advice{text, join("set-up", own), v.T("score.add")}
}

// strong counts what cannot be caught on its way.
func strong(a *mfa.Account) int {
	n := 0
	for _, c := range a.Credentials {
		if c.Kind == mfa.Passkey || c.Kind == mfa.TOTP {
			n++
		}
	}
	return n
}
