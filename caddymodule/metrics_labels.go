package caddymodule

import (
	"strings"

	"github.com/secondgate/secondgate/mfa"
)

// reasons are the values that a label "reason" may have. A test holds the list against
// the reasons that package mfa declares.
var reasons = set(
	mfa.ReasonNoPolicy, mfa.ReasonUnknownHost, mfa.ReasonDisabled, mfa.ReasonNoSession, mfa.ReasonOtherUser,
	mfa.ReasonExpired, mfa.ReasonNotVerified, mfa.ReasonNothingSetUp, mfa.ReasonPrompt, mfa.ReasonOnlyCodes,
	mfa.ReasonNoCodes, mfa.ReasonHalfDone, mfa.ReasonTooOld, mfa.ReasonTooWeak, mfa.ReasonNeedsFactor,
	mfa.ReasonCannotBeHere, mfa.ReasonBypass, mfa.ReasonNotMember, mfa.ReasonAddAnother, mfa.ReasonSameChannel,
	mfa.ReasonBypassed, mfa.ReasonReportOnly, mfa.ReasonOff, mfa.ReasonLocked, mfa.ReasonLimit, mfa.ReasonClosed,
	mfa.ReasonLoop, mfa.ReasonNoSender, mfa.ReasonNothingAvailable, mfa.ReasonOtherHost, mfa.ReasonPlainHTTP,
	mfa.ReasonIPAddress, mfa.ReasonNotEstablished, mfa.ReasonTokenNotHere, mfa.ReasonTokenNotEnough,
)

// outcomes are the values that a label "outcome" may have besides "ok": the words for
// errors in events. A test holds the list against those that package mfa writes.
var outcomes = set(
	"throttled", "clock", "proof_owed", "invalid", "name_taken", "name", "not_found", "disabled", "rejected", "cloned",
	"expired", "busy", "not_owed", "not_allowed", "limit", "last_factor", "enrollment_closed", "confirm_first",
	"not_sent", "country", "denied", "fault", "password", "lockout", "last_administrator", "self", "role", "no_factor",
	"wrong_user", "other_user",
)

// steps are what can be throttled.
var steps = set(mfa.EventNames...)

// factors are what can be tried.
var factors = set(mfa.Password, mfa.Redirected, mfa.Claimed, mfa.Passkey, mfa.TOTP, mfa.SMS, mfa.Email, mfa.BackupCode)

func set[T comparable](list ...T) map[T]bool {
	m := make(map[T]bool, len(list))
	for _, v := range list {
		m[v] = true
	}
	return m
}

// label returns the value where it is one of the list. Anything else has one name
// together, so that nothing from outside becomes a label, however it got here.
func label[T ~string](list map[T]bool, value T) string {
	switch {
	case value == "":
		return "none"
	case !list[value]:
		return "other"
	}
	return string(value)
}

func reasonLabel(r mfa.Reason) string { return label(reasons, r) }

func factorLabel(k mfa.Kind) string { return label(factors, k) }

// outcomeLabel says how an attempt ended.
func outcomeLabel(e mfa.Event) string {
	if e.OK {
		return "ok"
	}
	if strings.HasPrefix(e.Reason, "password_") {
		return "password" // which rule it broke is of no use to an operator
	}
	return label(outcomes, e.Reason)
}
