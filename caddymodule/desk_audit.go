package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/secondgate/secondgate/internal/clock"
	"github.com/secondgate/secondgate/mfa"
)

// audit lists kept events, newest first.
func (d desk) audit(ctx context.Context, in adminRequest) (*adminAnswer, error) {
	limit, err := pageOf(in.Limit)
	if err != nil {
		return nil, err
	}
	q := mfa.AuditQuery{User: in.Name}
	if in.Event != "" {
		if q.Name, err = mfa.ParseEventName(in.Event); err != nil {
			return nil, &inputError{err}
		}
	}
	if in.Since != "" {
		ago, err := caddy.ParseDuration(in.Since)
		if err != nil || ago <= 0 {
			return nil, wrong("since: %q is no duration; write how long ago, for example: --since 24h", in.Since)
		}
		q.Since = clock.Now().Add(-ago)
	}
	events, next, err := d.admin.Audit(ctx, q, in.After, limit)
	if err != nil {
		return nil, err
	}
	if events == nil {
		events = []mfa.Event{}
	}
	return &adminAnswer{Events: events, Next: next}, nil
}

// explain says in words what a decision was about.
func (d desk) explain(ctx context.Context, id string) (*adminAnswer, error) {
	e, err := d.admin.Decision(ctx, id)
	if errors.Is(err, mfa.ErrNotFound) {
		return nil, fmt.Errorf("%w among the events that are kept; is the ID as the page showed it?", err)
	}
	if err != nil {
		return nil, err
	}
	return &adminAnswer{Explanation: explain(e)}, nil
}

// explanation is a decision in plain words (rule B32).
type explanation struct {
	Event   mfa.Event `json:"event"`
	Decided string    `json:"decided"`
	Why     string    `json:"why"`
	Help    string    `json:"help"`
}

// explain puts a decision into words.
func explain(e *mfa.Event) *explanation {
	action, reason, _ := strings.Cut(e.Reason, ":")
	x := &explanation{Event: *e, Decided: decided[action]}
	rule := rules[mfa.Reason(reason)]
	if x.Decided == "" {
		x.Decided = "NAME got the answer “" + plain(action) + "”"
	}
	if rule.why == "" {
		rule = words{"This version knows no such reason: " + plain(reason) + ".", "A newer version may have written it."}
	}
	who := plain(e.UserName)
	if who == "" {
		who = "this person"
	}
	name := strings.NewReplacer("NAME", who)
	x.Decided, x.Why, x.Help = name.Replace(x.Decided), name.Replace(rule.why), name.Replace(rule.help)
	return x
}

// decided says what was decided.
var decided = map[string]string{
	mfa.Refuse.String(): "NAME was refused",
	mfa.SignIn.String(): "NAME was sent to sign in",
	mfa.Verify.String(): "NAME was asked for the second factor",
	mfa.SetUp.String():  "NAME was sent to set up a second factor",
	mfa.StepUp.String(): "NAME was asked to verify again",
	mfa.Allow.String():  "NAME was let through",
}

// words are the words for a reason: what the rule says, and what would help.
type words struct{ why, help string }

// rules are the words for every reason. NAME stands for who it was.
var rules = map[mfa.Reason]words{
	mfa.ReasonNone: {
		"Everything that is asked there was met.",
		"Nothing is needed.",
	},
	mfa.ReasonNoPolicy: {
		"There was no valid policy, and without one nobody is let in.",
		"The log says what is wrong with the configuration or the store. See also: secondgate mfa policy show",
	},
	mfa.ReasonUnknownHost: {
		"The host that the request names is none that the gateway protects.",
		"Open the app under one of its own addresses, or add the host to the configuration.",
	},
	mfa.ReasonDisabled: {
		"An administrator has disabled NAME.",
		"To let NAME in again: secondgate mfa users enable NAME",
	},
	mfa.ReasonNoSession: {
		"Nobody was signed in.",
		"Sign in.",
	},
	mfa.ReasonOtherUser: {
		"The session belonged to another user than the one who came with it. A proof counts for whoever made it, and for nobody else.",
		"NAME signs in.",
	},
	mfa.ReasonExpired: {
		"The session was over: its time had passed, or a new password, an administrator or “sign out everywhere” had ended it.",
		"NAME signs in again.",
	},
	mfa.ReasonNotVerified: {
		"NAME has a second factor and had not proven it in this session.",
		"NAME verifies. Where the factor is lost, for this once: secondgate mfa users bypass NAME --why TEXT; for good: secondgate mfa users remove-factors NAME",
	},
	mfa.ReasonNothingSetUp: {
		"A second factor is required there, and NAME had none.",
		"NAME sets one up; the page that follows leads to it. Where it does not, because the policy wants more than the password for that: secondgate mfa users enrollment-pass NAME",
	},
	mfa.ReasonPrompt: {
		"The policy asks people without a second factor to set one up. Nothing requires it.",
		"NAME sets one up, or skips it.",
	},
	mfa.ReasonOnlyCodes: {
		"NAME had nothing that the policy takes for a second factor but backup codes, or nothing at all: what NAME has is switched off.",
		"NAME sets up one of the factors that are enabled: secondgate mfa policy show",
	},
	mfa.ReasonNoCodes: {
		"The policy enables backup codes, and NAME had none that were unused.",
		"NAME saves the ones that the page shows.",
	},
	mfa.ReasonHalfDone: {
		"The sign-in had not been finished.",
		"NAME finishes it, or signs in again.",
	},
	mfa.ReasonTooOld: {
		"The page wants a second factor that was proven more recently than in this session (fresh).",
		"NAME verifies again.",
	},
	mfa.ReasonTooWeak: {
		"The page takes only some factors, or only passkeys, and this session had proven none of them (factors, phishing_resistant).",
		"NAME verifies with one of them. Which NAME has: secondgate mfa users show NAME",
	},
	mfa.ReasonNeedsFactor: {
		"The page takes only some factors, or only passkeys, and NAME had set up none of them (factors, phishing_resistant).",
		"NAME sets one of them up; the page that follows leads to it.",
	},
	mfa.ReasonCannotBeHere: {
		"What the page asks for cannot exist at that address: passkeys need https and the name of a host, codes need a sender, and what the gateway has switched off is no factor there either.",
		"Change what the route or the organization asks, or what the gateway enables: secondgate mfa policy show, secondgate mfa orgs list",
	},
	mfa.ReasonBypass: {
		"The route asks nothing of anybody (bypass).",
		"Nothing is needed.",
	},
	mfa.ReasonNotMember: {
		"The page belongs to an organization that NAME is no member of, or that does not exist.",
		"Make NAME a member of the one that the configuration names for this page: secondgate mfa orgs add <org> NAME",
	},
	mfa.ReasonAddAnother: {
		"The second factor of NAME took no effort or is the address that signed in, and one more is asked for beside it.",
		"NAME sets another one up.",
	},
	mfa.ReasonSameChannel: {
		"The address with which NAME signed in proves nothing more as a second factor, and no other factor is enabled.",
		"Enable another factor: secondgate mfa policy set factors …",
	},
	mfa.ReasonBypassed: {
		"NAME came in by an administrator's bypass, which leads to the set-up of a new factor.",
		"NAME sets one up.",
	},
	mfa.ReasonReportOnly: {
		"The policy only reports what it would ask (report_only).",
		"To have it asked: secondgate mfa policy set report_only off",
	},
	mfa.ReasonOff: {
		"2-step verification is switched off.",
		"To switch it on: secondgate mfa policy set factors passkey totp backup_code",
	},
	mfa.ReasonPlainHTTP: {
		"Passkeys do not work over plain http.",
		"Open the app with https.",
	},
	mfa.ReasonIPAddress: {
		"Passkeys do not work at an address that is a number.",
		"Open the app under a name.",
	},
	mfa.ReasonOtherHost: {
		"The passkeys of NAME were made for another host.",
		"NAME verifies otherwise, and makes a passkey here. For which host theirs are: secondgate mfa users show NAME",
	},
	mfa.ReasonLocked: {
		"There were too many wrong tries.",
		"NAME waits, or: secondgate mfa users unlock NAME",
	},
	mfa.ReasonLimit: {
		"NAME has as many factors of that kind as there may be.",
		"NAME removes one on the account page.",
	},
	mfa.ReasonClosed: {
		"The policy lets nobody set up a first factor with the password alone (enrollment).",
		"Be sure whom you talk to, and make a pass: secondgate mfa users enrollment-pass NAME",
	},
	mfa.ReasonLoop: {
		"A page of the gateway and the app sent NAME to and fro, and the gateway stopped it.",
		"Look for what takes the cookie away between the two: another proxy, a path that the app redirects, two hosts that share no domain.",
	},
	mfa.ReasonNoSender: {
		"There is nothing to send codes with.",
		"Add a sender to the configuration.",
	},
	mfa.ReasonNothingAvailable: {
		"NAME has second factors, and none was of use there and then: locked, made for another host, or without a sender.",
		"Which are locked, and for which host passkeys are: secondgate mfa users show NAME. For this once: secondgate mfa users bypass NAME --why TEXT",
	},
}
