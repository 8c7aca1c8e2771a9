package pages

import (
	"errors"
	"net/http"
	"strings"

	"github.com/secondgate/secondgate/mfa"
)

// activityRow is one thing that happened to an account, in words.
type activityRow struct {
	Icon, Text   string
	When, Moment string   // for people, and for programs
	Where        []string // browser, host, network
	Decision     string   // the ID of a refusal
}

type activityPage struct {
	frame
	Intro    string
	Activity []activityRow
	Older    string // where the next page is; "": there is none
	Newest   string // where the first is; "": it is this one
}

// activityShown is how much the account page shows, and activityPerPage how much one
// page of all of it.
const (
	activityShown   = 2
	activityPerPage = 25
)

// serveActivity lists what happened to the person's own account, page by page.
func (p *Pages) serveActivity(v *visit) {
	if _, ok := v.account(); !ok {
		return
	}
	id, ok := v.id()
	if !ok {
		return
	}
	after := v.query.Get(paramAfter)
	list, next, err := p.gate.Activity(v.r.Context(), &v.at, id, after, activityPerPage)
	switch {
	case errors.Is(err, mfa.ErrCursor):
		v.redirect(v.Href("account/activity"))
		return
	case err != nil:
		v.fail(err)
		return
	}
	page := activityPage{frame: v.frame(v.T("activity.title")), Intro: v.ifNotYou("activity.intro", "activity.intro.there"), Activity: v.activityRows(list)}
	page.Wide = true
	if next != "" {
		page.Older = v.href("account/activity", paramAfter, next)
	}
	if after != "" {
		page.Newest = v.Href("account/activity")
	}
	v.render(http.StatusOK, "account_activity", page)
}

func (v *visit) activityRows(list []mfa.Activity) []activityRow {
	var rows []activityRow
	for i := range list {
		a := &list[i]
		row := activityRow{
			Icon: activityIcon(a), Text: v.activityText(a), Decision: a.Decision,
			When: v.since(a.At), Moment: a.At.UTC().Format("2006-01-02T15:04:05Z"),
		}
		if a.Agent != "" {
			row.Where = append(row.Where, v.agent(a.Agent))
		}
		if a.Host != "" && a.Host != v.req.Place.Host && a.Name != mfa.EventDecision {
			row.Where = append(row.Where, a.Host)
		}
		if where := v.network(a.Network); where != "" {
			row.Where = append(row.Where, where)
		}
		rows = append(rows, row)
	}
	return rows
}

// network names the network that something came from; "" where it is not known.
func (v *visit) network(prefix string) string {
	if !strings.ContainsAny(prefix, ".:") {
		return ""
	}
	return v.T("activity.network", "network", prefix)
}

func activityIcon(a *mfa.Activity) string {
	switch a.Name {
	case mfa.EventSignIn, mfa.EventVerify, mfa.EventEnroll, mfa.EventRemove, mfa.EventSend:
		switch {
		case !a.OK:
			return "warn"
		case a.Factor == mfa.Password, a.Factor == mfa.Redirected, a.Factor == mfa.Claimed, a.Factor == "":
			return "lock"
		}
		return rowIcon(a.Factor)
	case mfa.EventProfile:
		if a.OK {
			return "other"
		}
	case mfa.EventPassword, mfa.EventLink, mfa.EventForgotten, mfa.EventConfirm, mfa.EventRename, mfa.EventSkip, mfa.EventAppTokenMade, mfa.EventAppTokenRevoked:
		if a.OK {
			return "lock"
		}
	case mfa.EventSignedIn, mfa.EventSignOut, mfa.EventEndSessions, mfa.EventRemember, mfa.EventSignUp, mfa.EventOptIn:
		return "device"
	case mfa.EventForget:
		if a.Reason != "stolen" {
			return "device"
		}
	}
	return "warn"
}

func (v *visit) activityText(a *mfa.Activity) string {
	what := v.activityFactor(a)
	if !a.OK {
		return v.activityRefused(a, what)
	}
	switch a.Name {
	case mfa.EventSignIn:
		return v.T("activity.first", "what", what)
	case mfa.EventSignedIn:
		return v.T("activity.signed_in")
	case mfa.EventVerify:
		if a.Did == string(mfa.ForBypass) {
			return v.T("activity.bypass")
		}
		return v.T("activity.second", "what", what)
	case mfa.EventEnroll:
		if a.Factor == mfa.BackupCode {
			return v.T("notice.new_codes")
		}
		return v.T("notice.added", "what", what)
	case mfa.EventRemove:
		if a.Did == "last_factor" {
			return v.T("activity.removed_last", "what", what)
		}
		return v.T("notice.removed", "what", what)
	case mfa.EventRename:
		return v.T("activity.renamed")
	case mfa.EventSkip:
		return v.T("activity.skipped")
	case mfa.EventOptOut:
		return v.T("notice.opted_out")
	case mfa.EventOptIn:
		return v.T("activity.opted_in")
	case mfa.EventSignOut:
		return v.T("activity.signed_out")
	case mfa.EventEndSessions:
		return v.T("activity.ended")
	case mfa.EventPassword:
		return v.T("notice.password")
	case mfa.EventLink:
		if a.Did == string(mfa.ForPass) {
			return v.T("activity.pass")
		}
		return v.T("activity.link")
	case mfa.EventAdmin:
		return v.activityAdmin(a, what)
	case mfa.EventSend:
		return v.T("activity.sent", "what", what)
	case mfa.EventConfirm:
		return v.T("activity.confirmed")
	case mfa.EventSignUp:
		return v.T("activity.made")
	case mfa.EventForgotten:
		return v.T("activity.forgotten")
	case mfa.EventProfile:
		if a.Did == "email" {
			return v.T("notice.email")
		}
		return v.T("activity.name")
	case mfa.EventAppTokenMade:
		return v.T("activity.token.made")
	case mfa.EventAppTokenRevoked:
		return v.T("activity.token.gone")
	case mfa.EventRemember:
		return v.T("activity.remembered")
	case mfa.EventForget:
		if a.Reason == "stolen" {
			return v.T("activity.stolen")
		}
		return v.T("activity.forgot")
	}
	return v.T("activity.other")
}

// activityFactor names what an activity is about.
func (v *visit) activityFactor(a *mfa.Activity) string {
	switch a.Factor {
	case mfa.Password:
		return v.T("account.password")
	case "":
		return v.T("notice.everything")
	case mfa.Redirected, mfa.Claimed:
		return v.T("activity.source")
	}
	return v.kind(a.Factor)
}

// activityAdmin says what an administrator did. What this version has no words for is
// a change all the same.
func (v *visit) activityAdmin(a *mfa.Activity, what string) string {
	switch a.Did {
	case "remove-factors":
		return v.T("activity.admin.remove", "what", what)
	case "remove-factor":
		return v.T("activity.admin.factor")
	case "end-session", "end-sessions":
		return v.T("activity.admin.ended")
	case "role":
		return v.T("activity.admin.role")
	case "reset-password":
		return v.T("activity.admin.password")
	case "invite":
		return v.T("activity.admin.invite")
	case "unlock":
		return v.T("activity.admin.unlock")
	case "disable":
		return v.T("activity.admin.disable")
	case "enable":
		return v.T("activity.admin.enable")
	case "enrollment-pass":
		return v.T("activity.admin.pass")
	case "add", "remove":
		return v.T("activity.admin.member")
	case "bypass":
		return v.T("activity.admin.bypass")
	case "revoke-app-token", "revoke-app-tokens":
		return v.T("activity.admin.token")
	}
	return v.T("activity.admin")
}

// activityRefused says what was tried and not done.
func (v *visit) activityRefused(a *mfa.Activity, what string) string {
	switch a.Name {
	case mfa.EventSignIn, mfa.EventVerify:
		if a.Did == string(mfa.ForBypass) {
			what = v.T("activity.no.bypass")
		}
		if a.Reason == "throttled" {
			return v.T("activity.throttled", "what", what)
		}
	case mfa.EventEnroll:
		return v.T("activity.no.added", "what", what)
	case mfa.EventRemove:
		return v.T("activity.no.removed", "what", what)
	case mfa.EventProfile:
		what = v.T("activity.no.profile")
	case mfa.EventPassword:
		what = v.T("activity.no.password")
	case mfa.EventOptOut:
		what = v.T("activity.no.opted_out")
	case mfa.EventAppTokenMade, mfa.EventAppTokenRevoked:
		what = v.T("activity.no.token")
	case mfa.EventLink, mfa.EventConfirm:
		what = v.T("activity.no.link")
	case mfa.EventSend:
		return v.T("activity.no.sent", "what", what)
	case mfa.EventForgotten:
		return v.T("activity.forgotten") // nothing was sent; that it was asked for is the news
	case mfa.EventAdmin:
		return v.T("activity.no.admin")
	case mfa.EventDecision:
		return v.T("activity.no.access", "place", a.Host)
	default:
		what = v.T("activity.no.other")
	}
	return v.T("activity.no", "what", what)
}
