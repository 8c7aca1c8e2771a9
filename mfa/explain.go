package mfa

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Explanation is a decision in plain words for administrators (rule B32).
type Explanation struct {
	Event   Event  `json:"event"`
	Decided string `json:"decided"`
	Why     string `json:"why"`
	Help    string `json:"help"`
}

// Explain returns the decision of that ID in words. ErrNotFound, ErrNotAllowed.
func (a *Administration) Explain(ctx context.Context, decision string) (*Explanation, error) {
	e, err := a.Decision(ctx, decision)
	if err != nil {
		return nil, err
	}
	return ExplainEvent(e), nil
}

// ExplainEvent puts the event of a decision into words.
func ExplainEvent(e *Event) *Explanation {
	action, reason, _ := strings.Cut(e.Reason, ":")
	x := explain(action, Reason(reason), e.UserName)
	x.Event = *e
	return &x
}

// explain puts a decision about somebody into words. What a newer version wrote is no
// reason to fail.
func explain(action string, reason Reason, name string) Explanation {
	x := Explanation{Decided: decided[action]}
	rule := rules[reason]
	if x.Decided == "" {
		x.Decided = fmt.Sprintf("NAME got the answer “%s”", strings.ToValidUTF8(action, "?"))
	}
	if rule.why == "" {
		rule = words{"This version knows no such reason: " + strings.ToValidUTF8(string(reason), "?") + ".", "A newer version may have written it."}
	}
	if name == "" {
		name = "this person"
	}
	put := strings.NewReplacer("NAME", name)
	x.Decided, x.Why, x.Help = put.Replace(x.Decided), put.Replace(rule.why), put.Replace(rule.help)
	return x
}

// Reasons returns every reason that a decision can have.
func Reasons() []Reason { return slices.Sorted(maps.Keys(rules)) }

// decided says what was decided.
var decided = map[string]string{
	Refuse.String(): "NAME was refused",
	SignIn.String(): "NAME was sent to sign in",
	Verify.String(): "NAME was asked for the second factor",
	SetUp.String():  "NAME was sent to set up a second factor",
	StepUp.String(): "NAME was asked to verify again",
	Allow.String():  "NAME was let through",
}

// words are the words for a reason: what the rule says, and what would help.
type words struct{ why, help string }

// rules are the words for every reason. NAME stands for who it was.
var rules = map[Reason]words{
	ReasonNone: {
		"Everything that is asked there was met.",
		"Nothing is needed.",
	},
	ReasonNoPolicy: {
		"There was no valid policy, and without one nobody is let in.",
		"The log says what is wrong with the configuration or the store. See also: secondgate mfa policy show",
	},
	ReasonUnknownHost: {
		"The host that the request names is none that the gateway protects.",
		"Open the app under one of its own addresses, or add the host to the configuration.",
	},
	ReasonDisabled: {
		"An administrator has disabled NAME.",
		"To let NAME in again: secondgate mfa users enable NAME",
	},
	ReasonNoSession: {
		"Nobody was signed in.",
		"Sign in.",
	},
	ReasonNotEstablished: {
		"People are signed in there by what stands before the gateway, which had established nobody.",
		"Look why it did not: an authenticator that is missing, stands behind mfa, or lets requests pass without an identity.",
	},
	ReasonOtherUser: {
		"The session belonged to another user than the one who came with it. A proof counts for whoever made it, and for nobody else.",
		"NAME signs in.",
	},
	ReasonExpired: {
		"The session was over: its time had passed, or a new password, an administrator or “sign out everywhere” had ended it.",
		"NAME signs in again.",
	},
	ReasonNotVerified: {
		"NAME has a second factor and had not proven it in this session.",
		"NAME verifies. Where the factor is lost, for this once: secondgate mfa users bypass NAME --why TEXT; for good: secondgate mfa users remove-factors NAME",
	},
	ReasonNothingSetUp: {
		"A second factor is required there, and NAME had none.",
		"NAME sets one up; the page that follows leads to it. Where it does not, because the policy wants more than the password for that: secondgate mfa users enrollment-pass NAME",
	},
	ReasonPrompt: {
		"The policy asks people without a second factor to set one up. Nothing requires it.",
		"NAME sets one up, or skips it.",
	},
	ReasonOnlyCodes: {
		"NAME had nothing that the policy takes for a second factor but backup codes, or nothing at all: what NAME has is switched off.",
		"NAME sets up one of the factors that are enabled: secondgate mfa policy show",
	},
	ReasonNoCodes: {
		"The policy enables backup codes, and NAME had none that were unused.",
		"NAME saves the ones that the page shows.",
	},
	ReasonHalfDone: {
		"The sign-in had not been finished.",
		"NAME finishes it, or signs in again.",
	},
	ReasonTooOld: {
		"The page wants a second factor that was proven more recently than in this session (fresh).",
		"NAME verifies again.",
	},
	ReasonTooWeak: {
		"The page takes only some factors, or only passkeys, and this session had proven none of them (factors, phishing_resistant).",
		"NAME verifies with one of them. Which NAME has: secondgate mfa users show NAME",
	},
	ReasonNeedsFactor: {
		"The page takes only some factors, or only passkeys, and NAME had set up none of them (factors, phishing_resistant).",
		"NAME sets one of them up; the page that follows leads to it.",
	},
	ReasonCannotBeHere: {
		"What the page asks for cannot exist at that address: passkeys need https and the name of a host, codes need a sender, and what the gateway has switched off is no factor there either.",
		"Change what the route or the organization asks, or what the gateway enables: secondgate mfa policy show, secondgate mfa orgs list",
	},
	ReasonBypass: {
		"The route asks nothing of anybody (bypass).",
		"Nothing is needed.",
	},
	ReasonNotMember: {
		"The page belongs to an organization that NAME is no member of, or that does not exist.",
		"Make NAME a member of the one that the configuration names for this page: secondgate mfa orgs add <org> NAME",
	},
	ReasonAddAnother: {
		"The second factor of NAME took no effort or is the address that signed in, and one more is asked for beside it.",
		"NAME sets another one up.",
	},
	ReasonSameChannel: {
		"The address with which NAME signed in proves nothing more as a second factor, and no other factor is enabled.",
		"Enable another factor: secondgate mfa policy set factors …",
	},
	ReasonBypassed: {
		"NAME came in by an administrator's bypass, which leads to the set-up of a new factor.",
		"NAME sets one up.",
	},
	ReasonReportOnly: {
		"The policy only reports what it would ask (report_only).",
		"To have it asked: secondgate mfa policy set report_only off",
	},
	ReasonOff: {
		"2-step verification is switched off.",
		"To switch it on: secondgate mfa policy set factors passkey totp backup_code",
	},
	ReasonTokenNotHere: {
		"A program came with an app token of NAME, and the route takes none.",
		"NAME opens the page in a browser, or the route gets the option app_tokens: each mfa directive there that asks for something of its own has to say so.",
	},
	ReasonTokenNotEnough: {
		"A program came with an app token of NAME, and the route asks for more than one stands for: a recent proof (fresh), certain factors (factors, phishing_resistant), or a second factor that NAME no longer has.",
		"NAME opens the page in a browser. Where NAME lost the last second factor: set one up, and make another token.",
	},
	ReasonPlainHTTP: {
		"Passkeys do not work over plain http.",
		"Open the app with https.",
	},
	ReasonIPAddress: {
		"Passkeys do not work at an address that is a number.",
		"Open the app under a name.",
	},
	ReasonOtherHost: {
		"The passkeys of NAME were made for another host.",
		"NAME verifies otherwise, and makes a passkey here. For which host theirs are: secondgate mfa users show NAME",
	},
	ReasonLocked: {
		"There were too many wrong tries.",
		"NAME waits, or: secondgate mfa users unlock NAME",
	},
	ReasonLimit: {
		"NAME has as many factors of that kind as there may be.",
		"NAME removes one on the account page.",
	},
	ReasonClosed: {
		"The policy lets nobody set up a first factor with the password alone (enrollment).",
		"Be sure whom you talk to, and make a pass: secondgate mfa users enrollment-pass NAME",
	},
	ReasonLoop: {
		"A page of the gateway and the app sent NAME to and fro, and the gateway stopped it.",
		"Look for what takes the cookie away between the two: another proxy, a path that the app redirects, two hosts that share no domain.",
	},
	ReasonNoSender: {
		"There is nothing to send codes with.",
		"Add a sender to the configuration.",
	},
	ReasonNothingAvailable: {
		"NAME has second factors, and none was of use there and then: locked, made for another host, or without a sender.",
		"Which are locked, and for which host passkeys are: secondgate mfa users show NAME. For this once: secondgate mfa users bypass NAME --why TEXT",
	},
}
