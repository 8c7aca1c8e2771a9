package pages

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// noticeRow is one thing that happened to an account.
type noticeRow struct{ Icon, Text, When string }

type noticesPage struct {
	frame
	Notices   []noticeRow
	Last      string // names the newest of them, for the form that puts them away
	Intro, Go string
}

// paramLast names the newest notice that was shown, in Unix nanoseconds.
const paramLast = "last"

// noticeRows puts notices into words.
func (v *visit) noticeRows(list []mfa.Notice) []noticeRow {
	var rows []noticeRow
	for _, n := range list {
		when := v.since(n.At)
		switch {
		case n.Agent != "":
			when = v.T("notice.by", "when", when, "agent", v.agent(n.Agent))
		case n.Kind == mfa.NoticeReset:
			when = v.T("notice.by_admin", "when", when)
		}
		rows = append(rows, noticeRow{noticeIcon(n), v.noticeText(n), when})
	}
	return rows
}

func noticeIcon(n mfa.Notice) string {
	switch n.Kind {
	case mfa.NoticeEmail:
		return "other"
	case mfa.NoticeAdded, mfa.NoticeRemoved, mfa.NoticeRenamed, mfa.NoticeCodeUsed, mfa.NoticeNewCodes:
		return rowIcon(n.Factor)
	case mfa.NoticePassword:
		return "lock"
	case mfa.NoticeCodesLow:
		return rowIcon(mfa.BackupCode)
	case mfa.NoticeNewDevice:
		return "device"
	}
	return "warn"
}

// rowIcon names the picture of a factor in a list.
func rowIcon(k mfa.Kind) string {
	switch k {
	case mfa.Passkey, mfa.TOTP, mfa.SMS, mfa.BackupCode:
		return string(k)
	}
	return "other"
}

func (v *visit) noticeText(n mfa.Notice) string {
	what := v.kind(n.Factor)
	switch {
	case n.Factor == mfa.Password:
		what = v.T("account.password")
	case n.Factor == "":
		what = v.T("notice.everything")
	case n.Name != "" && n.Name != defaultAppName:
		what = v.T("notice.named", "factor", what, "name", v.agent(n.Name))
	}
	switch n.Kind {
	case mfa.NoticeAdded:
		return v.T("notice.added", "what", what)
	case mfa.NoticeRemoved:
		return v.T("notice.removed", "what", what)
	case mfa.NoticeRenamed:
		return v.T("notice.renamed", "what", what)
	case mfa.NoticeEmail:
		return v.T("notice.email")
	case mfa.NoticeNewCodes:
		return v.T("notice.new_codes")
	case mfa.NoticeCodeUsed:
		return v.T("notice.code_used")
	case mfa.NoticePassword:
		return v.T("notice.password")
	case mfa.NoticeOptedOut:
		return v.T("notice.opted_out")
	case mfa.NoticeCloned:
		return v.T("notice.cloned")
	case mfa.NoticeLocked:
		return v.T("notice.locked", "what", what)
	case mfa.NoticeReset:
		return v.T("notice.reset", "what", what)
	case mfa.NoticeCodesLow:
		return v.T("notice.codes_low")
	case mfa.NoticeNewDevice:
		return v.T("notice.new_device")
	case mfa.NoticeAppToken:
		return v.T("notice.app_token", "name", n.Name)
	case mfa.NoticeAppTokenGone:
		if n.Name == "" {
			return v.T("notice.app_tokens_gone")
		}
		return v.T("notice.app_token_gone", "name", n.Name)
	case mfa.NoticeStolenDevice:
		device := v.agent(n.Name)
		if n.Name == "?" {
			device = v.agent("")
		}
		return v.T("notice.stolen_device", "device", device)
	}
	return what
}

// serveNotices shows what happened before this sign-in, once the person has
// proven who they are and before they go on.
func (p *Pages) serveNotices(v *visit) {
	id, ok := v.id()
	if !ok {
		return
	}
	list, err := p.gate.Notices(v.r.Context(), &v.at, id)
	if !v.noticesAnswered(err, len(list) == 0) {
		return
	}
	page := noticesPage{frame: v.frame(v.T("notices.title")), Intro: v.ifNotYou("notices.intro", "notices.intro.there")}
	list = slices.Clone(list)
	slices.Reverse(list) // the newest first
	page.Notices, page.Last = v.noticeRows(list), strconv.FormatInt(list[0].At.UnixNano(), 10)
	page.Go = v.T("go.on", "place", v.place())
	if v.from == fromAccount {
		page.Go = v.T("back.account")
	}
	v.render(http.StatusOK, "notices", page)
}

// ifNotYou says what happened to an account, and what to do if it was somebody else: a
// password that a source keeps is changed there.
func (v *visit) ifNotYou(here, there string) string {
	if source := v.view.Subject.Source; source != mfa.LocalSource && source != "" {
		return v.T(there, "source", v.sourceNamed(source), "support", v.helper())
	}
	return v.T(here, "support", v.helper())
}

// noticesAnswered reports whether there is something to show, and has answered
// where there is not.
func (v *visit) noticesAnswered(err error, none bool) bool {
	switch {
	case err == nil && !none:
		return true
	case err == nil:
		v.redirect(v.onward())
		return false
	}
	// Something is owed before: the state says what.
	if st, ok := v.state(); ok {
		v.proceed(&st.Outcome)
	}
	return false
}

func (p *Pages) postNotices(v *visit) {
	id, ok := v.id()
	if !ok {
		return
	}
	nanos, err := strconv.ParseInt(v.form(paramLast), 10, 64)
	if err != nil {
		v.redirect(v.Href("notices"))
		return
	}
	switch err := p.gate.SeenNotices(v.r.Context(), &v.at, id, time.Unix(0, nanos)); {
	case err != nil:
		v.fail(err)
	case v.from == fromAccount:
		v.redirect(join("account", v.returnOnly()))
	default:
		v.redirect(v.onward())
	}
}
