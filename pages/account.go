package pages

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/secondgate/secondgate/mfa"
)

type accountPage struct {
	frame
	Notices                 []noticeRow // the newest
	NoticesHref             string      // where they can be put away; "": not in this sign-in
	UserName, Email, Phone  string
	Member                  string // the organizations, in words
	Source                  string // where the person signs in, in words; "": here
	Score                   score
	Campaign                *campaignBanner
	Rows                    []factorRow
	Add                     []addition
	CannotAdd               []string
	Sessions                []sessionRow
	OtherSessions           bool
	Devices                 []deviceRow // the newest
	MoreDevices             bool
	Tokens                  string        // how many app tokens, in words
	Activity                []activityRow // the newest
	LocalPassword, Required bool
	Local, CanEmail         bool
	DisplayName             string
	Verified                bool // the address is
	Off, OptedOut           bool
	Return                  string
}

// factorRow is one factor of the account.
type factorRow struct {
	ID              mfa.CredentialID // empty: it has no name to change
	Icon, Name      string
	What, Date, Day string // what it is, and when it was added
	Used            string
	Href, Action    string
	Rename          string
}

type addition struct{ Label, Href string }

type sessionRow struct {
	Handle, Agent, Host, Network, Seen string
	Current                            bool
}

// deviceRow is one browser that stands for a second factor (rule B29).
type deviceRow struct{ ID, Agent, Since, Used string }

type devicesPage struct {
	frame
	Devices []deviceRow
}

type confirmPage struct {
	frame
	Text       []string
	Submit     string
	Credential mfa.CredentialID
}

type renamePage struct {
	frame
	Name       string
	Credential mfa.CredentialID
}

type passwordPage struct {
	frame
	Name                    string
	OldError, PasswordError string
	Tokens                  bool // there are app tokens, which end
}

// account returns what the account page shows, and has answered where it reports
// false. What a route asks is no matter here.
func (v *visit) account() (*mfa.Account, bool) {
	v.at.Asked = mfa.Requirement{}
	if _, err := v.session(); err != nil {
		v.from = fromAccount // whoever has to sign in first comes back
	}
	id, ok := v.id()
	if !ok {
		return nil, false
	}
	a, err := v.p.gate.Account(v.r.Context(), &v.at, id)
	if err == nil {
		return a, true
	}
	v.from = fromAccount
	if !errors.Is(err, mfa.ErrNotAllowed) {
		v.fail(err)
		return nil, false
	}
	// Something is owed before the account: the state says what.
	if st, ok := v.state(); ok {
		v.proceed(&st.Outcome)
	}
	return nil, false
}

// dones are the words for what was just done, by paramDone.
var dones = map[string]string{
	"renamed":  "done.renamed",
	"removed":  "done.removed",
	"password": "done.password",
	"out":      "done.out",
	"in":       "done.in",
	"session":  "done.session",
	"sessions": "done.sessions",
	"device":   "done.device",
	"name":     "done.name",
	"email":    "done.email",
}

func (p *Pages) serveAccount(v *visit) {
	a, ok := v.account()
	if !ok {
		return
	}
	page := accountPage{frame: v.frame(v.T("account.title"))}
	page.Wide, page.Person = true, personName(a.DisplayName, a.UserName)
	page.UserName, page.Email, page.Phone = a.UserName, a.Email, a.Phone
	if len(a.Organizations) > 0 {
		page.Member = v.T("account.member", "list", strings.Join(a.Organizations, ", "))
	}
	if !a.Local && a.Subject != nil {
		page.Source = v.T("account.source", "source", v.sourceNamed(a.Subject.Source))
	}
	page.LocalPassword, page.Required, page.Off, page.OptedOut = a.LocalPassword, a.Required, a.Off, a.OptedOut
	page.Local, page.CanEmail, page.DisplayName, page.Verified = a.Local, a.CanEmail, a.DisplayName, a.EmailVerified
	page.Score = v.score(a)
	if page.Return = v.away(); v.portal && v.rd == "" {
		page.Return = "" // they came from nowhere
	}
	if key, ok := dones[v.query.Get(paramDone)]; ok {
		page.Notice, page.Good = v.T(key), true
	}
	for i := range a.Credentials {
		page.Rows = append(page.Rows, v.factorRow(&a.Credentials[i], a.CodesOffered))
	}
	own := v.returnOnly()
	own.Set(paramFrom, fromAccount)
	page.Notices = v.noticeRows(a.Notices[:min(len(a.Notices), newsShown)])
	if a.PutAway {
		page.NoticesHref = join("notices", own)
	}
	for _, c := range a.Choices {
		switch {
		case !c.Available:
			page.CannotAdd = append(page.CannotAdd, v.T("account.cannot", "factor", v.kind(c.Kind), "why", v.why(c.Why, "", 0)))
		case c.Kind == mfa.Passkey:
			page.Add = append(page.Add, addition{v.T("account.add.passkey"), join(setUpHref(c.Kind), own)})
		case c.Kind == mfa.TOTP:
			page.Add = append(page.Add, addition{v.T("account.add.totp"), join(setUpHref(c.Kind), own)})
		case c.Kind == mfa.Email:
			page.Add = append(page.Add, addition{v.T("account.add.email"), join(setUpHref(c.Kind), own)})
		case c.Kind == mfa.SMS:
			page.Add = append(page.Add, addition{v.T("account.add.sms"), join(setUpHref(c.Kind), own)})
		}
	}
	page.Campaign = v.campaign(a)
	if a.CodesOffered && primaries(a) > 0 && !hasCodes(a) {
		page.Add = append(page.Add, addition{v.T("account.add.codes"), join("set-up/backup-codes", own)})
	}
	for _, s := range a.Sessions {
		row := sessionRow{Handle: s.Handle, Agent: v.agent(s.Agent), Host: s.Host, Network: v.network(s.Network), Seen: v.since(s.LastSeen), Current: s.Current}
		if s.Current {
			row.Seen = v.T("since.now")
		}
		page.Sessions = append(page.Sessions, row)
		page.OtherSessions = page.OtherSessions || !s.Current
	}
	page.Devices = v.deviceRows(a)
	if page.MoreDevices = len(page.Devices) > devicesShown; page.MoreDevices {
		page.Devices = page.Devices[:devicesShown]
	}
	page.Tokens = v.tokensLine(a)
	// The page is worth having without it.
	if list, _, err := p.gate.Activity(v.r.Context(), &v.at, a.Session.ID, "", activityShown); err == nil {
		page.Activity = v.activityRows(list)
	} else {
		v.fault(err)
	}
	v.render(http.StatusOK, "account", page)
}

// newsShown is how many notices the account page has room for, and devicesShown how
// many browsers that are not asked again.
const (
	newsShown    = 3
	devicesShown = 5
)

// deviceRows lists the browsers that stand for a second factor, the newest first.
func (v *visit) deviceRows(a *mfa.Account) []deviceRow {
	var rows []deviceRow
	for _, d := range slices.Backward(a.Remembered) {
		row := deviceRow{ID: d.ID, Agent: v.agent(d.Agent), Since: v.T("account.device.since", "when", v.since(d.Proven))}
		if !d.LastUsed.IsZero() {
			row.Used = v.T("account.used", "when", v.since(d.LastUsed))
		}
		rows = append(rows, row)
	}
	return rows
}

// serveDevices lists all browsers that are not asked again.
func (p *Pages) serveDevices(v *visit) {
	a, ok := v.account()
	if !ok {
		return
	}
	if len(a.Remembered) == 0 {
		v.redirect(v.Href("account"))
		return
	}
	page := devicesPage{frame: v.frame(v.T("account.devices")), Devices: v.deviceRows(a)}
	page.Wide = true
	v.render(http.StatusOK, "account_devices", page)
}

func (p *Pages) postForgetDevice(v *visit) {
	if id, ok := v.id(); ok {
		v.changed(p.gate.ForgetDevice(v.r.Context(), &v.at, id, v.form("device")), "device", "account")
	}
}

func (v *visit) factorRow(c *mfa.Credential, codesOffered bool) factorRow {
	row := factorRow{
		ID: c.ID, Icon: rowIcon(c.Kind), Name: c.Name, Date: c.Created.UTC().Format("2006-01-02T15:04:05Z"), Day: v.day(c.Created),
		Action: v.T("account.remove"), Href: v.href("account/remove", "credential", string(c.ID)),
		Rename: v.href("account/rename", "credential", string(c.ID)),
	}
	switch {
	case row.Name == "", row.Name == defaultAppName:
		row.Name = v.kind(c.Kind)
	case c.Kind == mfa.Passkey:
		row.Name = v.agent(row.Name)
	}
	if !c.LastUsed.IsZero() {
		row.Used = v.T("account.used", "when", v.since(c.LastUsed))
	}
	switch {
	case c.Kind == mfa.BackupCode:
		own := v.returnOnly()
		own.Set(paramFrom, fromAccount)
		row.ID, row.Name = "", v.T("account.codes")
		row.What = v.words.count("codes.count", c.Left)
		row.Action, row.Href = v.T("account.codes.new"), join("set-up/backup-codes", own)
		if !codesOffered {
			row.Action = ""
		}
	case c.Kind == mfa.Email, c.Kind == mfa.SMS:
		// Called by its address, which is masked: another name could hide whose it is.
		row.What, row.Rename = v.kind(c.Kind), ""
	case c.Kind == mfa.Passkey && c.RPID != v.at.RPID:
		row.What = v.T("account.other_host", "place", c.RPID)
	case row.Name != v.kind(c.Kind):
		row.What = v.kind(c.Kind)
	}
	return row
}

// systems are the endings of the browser names that the edge makes.
var systems = []string{"iPhone", "iPad", "Android", "Windows", "ChromeOS", "macOS", "Linux", "FreeBSD"}

// agent names a browser in the visitor's language. The edge writes "Firefox on
// Linux", and a passkey is called so until somebody gives it another name, which
// stays as it is. The second of one browser has a number after it.
func (v *visit) agent(name string) string {
	called, number := name, ""
	if i := strings.LastIndexByte(name, ' '); i > 0 {
		if n, err := strconv.Atoi(name[i+1:]); err == nil && n > 1 {
			called, number = name[:i], name[i:]
		}
	}
	if called == "" || called == "Unknown browser" {
		return v.T("account.session.unknown") + number
	}
	browser, system, ok := strings.Cut(called, " on ")
	if !ok || !slices.Contains(systems, system) {
		return name
	}
	return v.T("account.agent", "browser", browser, "system", system) + number
}

// defaultAppName is what the core calls a first authenticator app that nobody
// named; the pages say it in the visitor's language.
const defaultAppName = "Authenticator app"

func primaries(a *mfa.Account) int {
	n := 0
	for _, c := range a.Credentials {
		if c.Kind.Primary() {
			n++
		}
	}
	return n
}

func hasCodes(a *mfa.Account) bool {
	return slices.ContainsFunc(a.Credentials, func(c mfa.Credential) bool { return c.Kind == mfa.BackupCode })
}
