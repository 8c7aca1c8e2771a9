package pages

import (
	"strings"

	"github.com/secondgate/secondgate/mfa"
)

// eventWords are the words for an event that went well, and for one that did not.
var eventWords = map[mfa.EventName][2]string{
	mfa.EventSignIn:          {"event.sign_in", "event.sign_in.no"},
	mfa.EventSignedIn:        {"event.signed_in", "event.signed_in"},
	mfa.EventVerify:          {"event.verify", "event.verify.no"},
	mfa.EventEnroll:          {"event.enroll", "event.enroll.no"},
	mfa.EventRemove:          {"event.remove", "event.remove.no"},
	mfa.EventRename:          {"event.rename", "event.rename.no"},
	mfa.EventSkip:            {"event.skip", "event.skip"},
	mfa.EventOptOut:          {"event.opt_out", "event.opt_out.no"},
	mfa.EventOptIn:           {"event.opt_in", "event.opt_in"},
	mfa.EventSignOut:         {"event.sign_out", "event.sign_out"},
	mfa.EventEndSessions:     {"event.end_sessions", "event.end_sessions.no"},
	mfa.EventPassword:        {"event.password", "event.password.no"},
	mfa.EventLink:            {"event.link", "event.link.no"},
	mfa.EventDecision:        {"event.decision", "event.decision"},
	mfa.EventSessionInvalid:  {"event.session_invalid", "event.session_invalid"},
	mfa.EventAdmin:           {"event.admin", "event.admin.no"},
	mfa.EventMFAOff:          {"event.mfa_off", "event.mfa_off"},
	mfa.EventPolicyRepaired:  {"event.policy_repaired", "event.policy_repaired"},
	mfa.EventReportOnly:      {"event.report_only", "event.report_only"},
	mfa.EventSend:            {"event.send", "event.send.no"},
	mfa.EventSendBudget:      {"event.send_budget", "event.send_budget"},
	mfa.EventConfirm:         {"event.confirm", "event.confirm.no"},
	mfa.EventSignUp:          {"event.sign_up", "event.sign_up.no"},
	mfa.EventForgotten:       {"event.forgotten", "event.forgotten"},
	mfa.EventRemember:        {"event.remember", "event.remember"},
	mfa.EventForget:          {"event.forget", "event.forget"},
	mfa.EventCampaign:        {"event.campaign", "event.campaign.no"},
	mfa.EventSource:          {"event.source", "event.source.no"},
	mfa.EventForwardAuth:     {"event.forward_auth", "event.forward_auth"},
	mfa.EventHandOff:         {"event.hand_off", "event.hand_off.no"},
	mfa.EventProfile:         {"event.profile", "event.profile.no"},
	mfa.EventKey:             {"event.api_key", "event.api_key.no"},
	mfa.EventAppToken:        {"event.app_token.no", "event.app_token.no"},
	mfa.EventAppTokenMade:    {"event.app_token.made", "event.app_token.made.no"},
	mfa.EventAppTokenRevoked: {"event.app_token.gone", "event.app_token.gone.no"},
	mfa.EventEventsLost:      {"event.events_lost", "event.events_lost"},
}

// eventText says in plain words what happened.
func (v *visit) eventText(e *mfa.Event) string {
	keys, known := eventWords[e.Name]
	if !known {
		return string(e.Name) // a newer version wrote it
	}
	key := keys[0]
	if !e.OK {
		key = keys[1]
	}
	text := v.T(key)
	switch e.Factor {
	case "":
	case mfa.Password:
		text = v.T("event.with", "event", text, "what", v.T("account.password"))
	case mfa.Redirected, mfa.Claimed: // the source stands beside it
	default:
		text = v.T("event.with", "event", text, "what", v.kind(e.Factor))
	}
	return text
}

// eventGrid is a table of events; people says that they are of several.
func (c *console) eventGrid(list []mfa.Event, people bool) grid {
	g := grid{ID: "events", Columns: []string{c.T("console.column.when"), c.T("console.column.what")}}
	if people {
		g.Columns = append(g.Columns, c.T("console.column.user"))
	}
	g.Columns = append(g.Columns, c.T("console.column.where"))
	for i := range list {
		e := &list[i]
		what := cell{Text: c.eventText(e), Sub: e.Detail}
		if !e.OK && e.Reason != "" {
			if what.Sub != "" {
				what.Sub += " · "
			}
			what.Sub += e.Reason
		}
		if e.Actor != "" {
			what.Tags = []tag{{c.T("event.by", "actor", e.Actor), ""}}
		}
		if e.Decision != "" {
			what.Actions = []rowAction{{Label: c.T("console.explain.this", "id", e.Decision), Name: c.T("console.explain.this", "id", e.Decision), Href: c.link("admin/explain", paramID, e.Decision)}}
		}
		row := []cell{c.exactly(e.At), what}
		if people {
			who := cell{Text: e.UserName}
			if e.User != "" {
				if who.Href = c.userAddress(e.User); who.Text == "" {
					who.Text = string(e.User)
				}
			}
			row = append(row, who)
		}
		where := cell{Text: e.Host, Sub: e.Network}
		if where.Text == "" {
			where.Text, where.Sub = e.Network, ""
		}
		g.Rows = append(g.Rows, gridRow{append(row, where)})
	}
	return g
}

// reasonWords are the words for why a decision was made.
var reasonWords = map[mfa.Reason]string{
	mfa.ReasonNone:             "reason.none",
	mfa.ReasonNoPolicy:         "reason.no_policy",
	mfa.ReasonUnknownHost:      "reason.unknown_host",
	mfa.ReasonDisabled:         "reason.disabled",
	mfa.ReasonNoSession:        "reason.no_session",
	mfa.ReasonOtherUser:        "reason.other_user",
	mfa.ReasonExpired:          "reason.expired",
	mfa.ReasonNotVerified:      "reason.not_verified",
	mfa.ReasonNothingSetUp:     "reason.nothing_set_up",
	mfa.ReasonPrompt:           "reason.prompt",
	mfa.ReasonOnlyCodes:        "reason.only_codes",
	mfa.ReasonNoCodes:          "reason.no_codes",
	mfa.ReasonHalfDone:         "reason.half_done",
	mfa.ReasonTooOld:           "reason.too_old",
	mfa.ReasonTooWeak:          "reason.too_weak",
	mfa.ReasonTokenNotHere:     "reason.token_not_here",
	mfa.ReasonTokenNotEnough:   "reason.token_not_enough",
	mfa.ReasonNeedsFactor:      "reason.needs_factor",
	mfa.ReasonCannotBeHere:     "reason.cannot_be_here",
	mfa.ReasonBypass:           "reason.bypass",
	mfa.ReasonNotMember:        "reason.not_member",
	mfa.ReasonAddAnother:       "reason.add_another",
	mfa.ReasonSameChannel:      "reason.same_channel",
	mfa.ReasonBypassed:         "reason.bypassed",
	mfa.ReasonReportOnly:       "reason.report_only",
	mfa.ReasonOff:              "reason.off",
	mfa.ReasonNotEstablished:   "reason.not_established",
	mfa.ReasonPlainHTTP:        "reason.plain_http",
	mfa.ReasonIPAddress:        "reason.ip_address",
	mfa.ReasonOtherHost:        "reason.other_host",
	mfa.ReasonLocked:           "reason.locked",
	mfa.ReasonLimit:            "reason.limit",
	mfa.ReasonClosed:           "reason.closed",
	mfa.ReasonLoop:             "reason.loop",
	mfa.ReasonNoSender:         "reason.no_sender",
	mfa.ReasonNothingAvailable: "reason.nothing_available",
}

// actionWords say what was decided.
var actionWords = map[string]string{
	mfa.Refuse.String(): "decided.refuse",
	mfa.SignIn.String(): "decided.sign_in",
	mfa.Verify.String(): "decided.verify",
	mfa.SetUp.String():  "decided.set_up",
	mfa.StepUp.String(): "decided.step_up",
	mfa.Allow.String():  "decided.allow",
}

// decisionWords says what was decided, and why.
func (v *visit) decisionWords(e *mfa.Event) (decided, why string) {
	action, reason, _ := strings.Cut(e.Reason, ":")
	person := e.UserName
	if person == "" {
		person = v.T("explain.somebody")
	}
	// In one language at least, where there are no words here.
	x := mfa.ExplainEvent(e)
	decided, why = x.Decided, x.Why
	if key, ok := actionWords[action]; ok {
		decided = v.T(key, "person", person)
	}
	if key, ok := reasonWords[mfa.Reason(reason)]; ok {
		why = v.T(key, "person", person)
	}
	return decided, why
}
