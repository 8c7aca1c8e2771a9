package pages

import "github.com/secondgate/secondgate/mfa"

// score says in words how safe an account is, and the one thing that would raise
// it most (rule B33).
type score struct {
	Level        string // "good", "bad" or ""
	Word, Advice string
}

func (v *visit) score(a *mfa.Account) score {
	passkeys, apps, sent := 0, 0, 0
	for _, c := range a.Credentials {
		switch c.Kind {
		case mfa.Passkey:
			passkeys++
		case mfa.TOTP:
			apps++
		case mfa.Email, mfa.SMS:
			sent++
		}
	}
	canPasskey, canApp := false, false
	for _, c := range a.Choices {
		canPasskey = canPasskey || c.Kind == mfa.Passkey && c.Available
		canApp = canApp || c.Kind == mfa.TOTP && c.Available
	}
	switch {
	case a.Off:
		return score{"bad", v.T("score.policy_off"), v.T("score.policy_off.advice")}
	case a.OptedOut:
		return score{"bad", v.T("score.off"), v.T("score.off.advice")}
	case passkeys+apps+sent == 0:
		return score{"bad", v.T("score.none"), v.T("score.none.advice")}
	case passkeys+apps == 0 && canPasskey:
		return score{"", v.T("score.fair"), v.T("score.sent.advice")}
	case passkeys+apps == 0 && canApp:
		return score{"", v.T("score.fair"), v.T("score.sent.advice.app")}
	case a.CodesOffered && a.CodesLeft == 0:
		return score{"", v.T("score.fair"), v.T("score.codes.advice")}
	case a.CodesOffered && a.CodesLeft <= fewCodes:
		return score{"", v.T("score.fair"), v.T("score.few.advice")}
	case passkeys+apps+sent == 1 && !a.CodesOffered:
		return score{"", v.T("score.fair"), v.T("score.second.advice")}
	case passkeys == 0 && canPasskey:
		return score{"good", v.T("score.good"), v.T("score.passkey.advice")}
	case passkeys == 1 && canPasskey:
		return score{"good", v.T("score.good"), v.T("score.passkeys.advice")}
	case passkeys+apps == 0:
		return score{"good", v.T("score.good"), v.T("score.sent.best")}
	}
	return score{"good", v.T("score.best"), v.T("score.best.advice")}
}
