package pages

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// sampleUsers are people with everything that a list can show.
func sampleUsers() []mfa.UserInfo {
	day := 24 * time.Hour
	passkey := mfa.FactorInfo{ID: "p1", Kind: mfa.Passkey, Name: "Firefox on Linux", Created: testNow.Add(-90 * day), LastUsed: testNow.Add(-2 * time.Hour), Host: "payroll.example.com"}
	app := mfa.FactorInfo{ID: "t1", Kind: mfa.TOTP, Name: "Authenticator app", Created: testNow.Add(-60 * day), LastUsed: testNow.Add(-9 * day)}
	sms := mfa.FactorInfo{ID: "s1", Kind: mfa.SMS, Name: "+49 ••• 0012", Created: testNow.Add(-8 * day), Locked: true, LockedUntil: testNow.Add(20 * time.Minute)}
	codes := mfa.FactorInfo{ID: mfa.BackupCodesID, Kind: mfa.BackupCode, Created: testNow.Add(-60 * day), Left: 8}
	list := []mfa.UserInfo{
		{ID: "u2", AppTokens: 3, Name: "bob", DisplayName: "Bob Beispiel", Email: "bob@example.com", Verified: true, Phone: "+49 171 3920012", Groups: []string{"staff", "payroll"},
			Organizations: []mfa.OrganizationID{"acme"}, ByAddress: []mfa.OrganizationID{"globex"}, Created: testNow.Add(-400 * day), LastSignIn: testNow.Add(-2 * time.Hour), LastHost: "payroll.example.com",
			Factors: []mfa.FactorInfo{passkey, app, sms, codes}, Sessions: 2, Remembered: 1, Skipped: true},
		{ID: "u1", Name: "alice", DisplayName: "Alice Example", Email: "alice@example.com", Verified: true, Admin: true, Created: testNow.Add(-500 * day), LastSignIn: testNow, LastHost: "console.example.com", Factors: []mfa.FactorInfo{passkey, codes}},
		{ID: "u3", Name: "carol", Created: testNow.Add(-2 * day), Invited: true, Factors: []mfa.FactorInfo{}},
		{ID: "u4", Name: "dave.with.a.rather.long.name@subsidiary.example.com", Email: "dave.with.a.rather.long.name@subsidiary.example.com", Disabled: true, Locked: true, PasswordLocked: true, OptedOut: true,
			Created: testNow.Add(-900 * day), LastSignIn: testNow.Add(-70 * day), LastHost: "wiki.example.com", Factors: []mfa.FactorInfo{sms}},
		{ID: "u5", Name: "erin", DisplayName: "Erin Okonkwo-Featherstonehaugh", Email: "erin@example.com", AdminOf: []mfa.OrganizationID{"acme"}, Organizations: []mfa.OrganizationID{"acme"},
			Created: testNow.Add(-30 * day), LastSignIn: testNow.Add(-26 * time.Hour), LastHost: "payroll.example.com", Factors: []mfa.FactorInfo{app, codes}},
	}
	for i := len(list); i < pageSize; i++ {
		name := fmt.Sprintf("user%02d", i)
		list = append(list, mfa.UserInfo{ID: mfa.UserID(name), Name: name, DisplayName: "Person " + name, Email: name + "@example.com", Created: testNow.Add(-9 * day),
			LastSignIn: testNow.Add(-time.Duration(i) * day), LastHost: "payroll.example.com", Factors: []mfa.FactorInfo{passkey, codes}})
	}
	return list
}

func sampleEvents() []mfa.Event {
	at := func(ago time.Duration) time.Time { return testNow.Add(-ago) }
	return []mfa.Event{
		{At: at(2 * time.Minute), Name: mfa.EventVerify, OK: true, User: "u2", UserName: "bob", Factor: mfa.Passkey, Host: "payroll.example.com", Network: "192.0.2.0/24", Number: 9},
		{At: at(3 * time.Minute), Name: mfa.EventSignIn, OK: true, User: "u2", UserName: "bob", Factor: mfa.Password, Host: "payroll.example.com", Network: "192.0.2.0/24", Number: 8},
		{At: at(time.Hour), Name: mfa.EventDecision, Reason: "refuse:not_member", User: "u2", UserName: "bob", Host: "wiki.example.com", Network: "192.0.2.0/24", Decision: "K7PQ2M9XTA", Number: 7},
		{At: at(30 * time.Hour), Name: mfa.EventAdmin, OK: true, User: "u2", UserName: "bob", Actor: "alice", ActorID: "u1", Detail: "unlock", Host: "console.example.com", Network: "198.51.100.0/24", Number: 6},
		{At: at(31 * time.Hour), Name: mfa.EventVerify, Reason: "rejected", User: "u2", UserName: "bob", Factor: mfa.SMS, Host: "payroll.example.com", Network: "203.0.113.0/24", Number: 5},
		{At: at(50 * time.Hour), Name: mfa.EventMFAOff, Number: 4},
	}
}

func sampleOrganizations() []*mfa.Organization {
	return []*mfa.Organization{
		{ID: "acme", Name: "Acme Industries", Require: true, Factors: mfa.KindsOf(mfa.Passkey, mfa.TOTP), Fresh: 12 * time.Hour, Domains: []string{"example.com", "example.org"}, Declared: true},
		{ID: "globex", Name: "Globex", PhishingResistant: true, NoRemembering: true, Enrollment: &mfa.Enrollment{Open: true, Window: 14 * 24 * time.Hour}},
		{ID: "initech"},
	}
}

// sampleAccess is what bob meets at an address where everything that can be said is said.
func sampleAccess() *mfa.Access {
	const strict = "mfa /danger/* /danger (server srv0)"
	step := func(stage mfa.AccessStage, action string, why mfa.Reason, gate string, factors ...mfa.Kind) mfa.AccessStep {
		return mfa.AccessStep{Stage: stage, Action: action, Reason: why, Gate: gate, Factors: factors}
	}
	x := &mfa.Access{
		User: "bob", URL: "https://payroll.example.com/danger/quarterly/2026-11/statement-of-everything.pdf", Host: "payroll.example.com",
		Gates: []mfa.AccessGate{{Name: "mfa (server srv0)"}, {Name: strict, Asks: []string{"fresh 5m", "phishing_resistant"}, Organization: "acme"}},
		Asks: []mfa.AccessAsk{
			{What: "factors passkey totp sms backup_code", Source: mfa.FromPolicy, Of: mfa.FromConfiguration}, {What: "require on", Source: mfa.FromPolicy, Of: mfa.FromDefault},
			{What: "remember_device 30d", Source: mfa.FromPolicy, Of: mfa.FromStore}, {What: "fresh 12h", Source: mfa.FromOrganization, Of: "acme"},
			{What: "remember_device off", Source: mfa.FromOrganization, Of: "globex", ByAddress: true}, {What: "fresh 5m", Source: mfa.FromRoute, Of: strict},
			{What: "phishing_resistant", Source: mfa.FromRoute, Of: strict}, {What: "members of umbrella only", Source: mfa.FromRoute, Of: strict, Only: "umbrella", Missing: true},
		},
		Factors: []mfa.AccessFactor{
			{Kind: mfa.Passkey, Name: "Firefox on Linux", Counts: true}, {Kind: mfa.Passkey, Name: "iPhone", Reason: mfa.FactorOtherHost, Host: "wiki.example.com"},
			{Kind: mfa.TOTP, Name: "Authenticator app", Reason: mfa.FactorNotAsked}, {Kind: mfa.SMS, Name: "+49 ••• 0012", Reason: mfa.FactorLocked}, {Kind: mfa.BackupCode, Reason: mfa.FactorUsedUp},
		},
		Steps: []mfa.AccessStep{
			step(mfa.StageNobody, "sign_in", mfa.ReasonNoSession, "mfa (server srv0)"), step(mfa.StagePassword, "verify", mfa.ReasonNotVerified, strict, mfa.Passkey),
			step(mfa.StageFactor, "allow", mfa.ReasonNone, ""), step(mfa.StageFactor, "step_up", mfa.ReasonTooWeak, strict, mfa.Passkey), step(mfa.StageSession, "refuse", mfa.ReasonNotMember, strict),
		},
		Notes: []mfa.AccessNote{{Code: mfa.NoteRewrite}, {Code: mfa.NoteMatcher, Text: "A matcher of mfa on server srv0 cannot be asked."}},
	}
	x.Steps[2].Proven, x.Steps[2].Name = mfa.Passkey, "Firefox on Linux"
	x.Steps[3].Proven, x.Steps[3].Name = mfa.TOTP, "Authenticator app"
	x.Steps[4].Begun, x.Steps[4].Agent = testNow.Add(-5*time.Hour), "Safari on iPhone"
	return x
}

func samplePolicy() *mfa.PolicyInfo {
	p := &mfa.PolicyInfo{Warnings: []string{"REPORT ONLY: nobody is asked for a second factor, and a password alone opens every protected app."}}
	values := map[string][2]string{
		"factors": {"passkey totp backup_code", mfa.FromConfiguration}, "require": {"on", mfa.FromStore}, "prompt": {"", mfa.FromDefault},
		"organization_required": {"at_access", mfa.FromDefault}, "enrollment": {"open 14d", mfa.FromStore}, "grace": {"0", mfa.FromDefault},
		"remember_device": {"30d", mfa.FromConfiguration}, "auto_enroll": {"off", mfa.FromDefault}, "report_only": {"on", mfa.FromStore},
	}
	for _, f := range mfa.PolicyFields() {
		v := values[f.Name]
		info := mfa.FieldInfo{Field: f.Name, Value: v[0], From: v[1], Values: f.Values, Fixed: v[1] == mfa.FromConfiguration}
		if f.Name == "remember_device" {
			info.Stored = "90d"
		}
		p.Fields = append(p.Fields, info)
	}
	return p
}

// filled puts everything there that a console can show.
func (w *world) filled(who mfa.Administrator) *fakeConsole {
	f := w.administrating(who)
	f.users, f.next, f.events, f.orgs, f.policy = sampleUsers(), "next-cursor", sampleEvents(), sampleOrganizations(), samplePolicy()
	f.sessions = []mfa.SessionInfo{
		{Handle: "a1", Host: "payroll.example.com", Agent: "Firefox on Linux", Network: "192.0.2.0/24", Created: testNow.Add(-5 * time.Hour), LastSeen: testNow},
		{Handle: "b2", Host: "wiki.example.com", Agent: "Safari on iPhone", Created: testNow.Add(-50 * time.Hour), LastSeen: testNow.Add(-3 * time.Hour)},
	}
	f.coverage = &mfa.Coverage{Users: 1284, Factors: map[mfa.Kind]int{mfa.Passkey: 702, mfa.TOTP: 518, mfa.SMS: 77, mfa.Email: 4, mfa.BackupCode: 1002}, None: 143, Stopped: 147, PhishingResistant: 702}
	f.forecast = &mfa.Forecast{Users: 1284, Stopped: 147, Page: f.users[2:5], Next: "next-cursor", Closed: true}
	f.decision = &f.events[2]
	f.access = sampleAccess()
	f.keys = []*mfa.APIKey{
		{ID: "0011223344556677", Name: "deploy", Powers: powers("users:read", "users:write"), Organization: "acme", Created: testNow.Add(-90 * 24 * time.Hour), Expires: testNow.Add(20 * 24 * time.Hour), ByName: "alice", LastUsed: testNow.Add(-time.Hour), LastNetwork: "192.0.2.0/24"},
		{ID: "8899aabbccddeeff", Name: "reports", Powers: powers("users:read", "audit:read"), Created: testNow.Add(-400 * 24 * time.Hour), Expires: testNow.Add(-24 * time.Hour)},
	}
	f.campaigns = []mfa.CampaignInfo{
		{Factors: mfa.KindsOf(mfa.Passkey, mfa.TOTP), Deadline: testNow.Add(12 * 24 * time.Hour), DaysLeft: 12, Running: true, Require: true, Started: testNow.Add(-9 * 24 * time.Hour), Users: 1284, Reached: 1137, Percent: 88, Sent: 301,
			Reminders: []mfa.ReminderInfo{{At: testNow.Add(-2 * 24 * time.Hour), Done: true}, {At: testNow.Add(5 * 24 * time.Hour)}}},
		{Organization: "acme", Title: "Acme Industries", Factors: mfa.KindsOf(mfa.Passkey), Named: true, Deadline: testNow.Add(-24 * time.Hour), Users: 20, Reached: 20, Percent: 100, Note: "the configuration declares it; change it there"},
	}
	f.verified = &mfa.Verified{ChainEnds: mfa.ChainEnds{First: 1, Last: 9, Head: "5f2b7c1de0a94438"}, Count: 9}
	return f
}

// consoleScene shows a page of the console to somebody.
func consoleScene(path string, who mfa.Administrator, prepare func(*fakeConsole)) func(testing.TB, *world) answer {
	return func(_ testing.TB, w *world) answer {
		f := w.filled(who)
		if prepare != nil {
			prepare(f)
		}
		return w.visitConsole(path)
	}
}

func consolePost(path string, form url.Values, prepare func(*fakeConsole)) func(testing.TB, *world) answer {
	return func(t testing.TB, w *world) answer {
		f := w.filled(asAdmin)
		if prepare != nil {
			prepare(f)
		}
		return w.postConsole(t, path, form)
	}
}

// aboutBob is the address of a change of his.
func aboutBob(do string) string { return "/.mfa/admin/user/change?id=u2&do=" + do }

func init() {
	empty := func(f *fakeConsole) {
		*f = fakeConsole{who: f.who, coverage: &mfa.Coverage{}, forecast: &mfa.Forecast{}, policy: f.policy}
	}
	scenes = append(scenes,
		scene{"console-users", 200, consoleScene("/.mfa/admin", asAdmin, nil)},
		scene{"console-users-filtered", 200, consoleScene("/.mfa/admin?q=bo&factor=passkey&state=skipped&of=acme&after=x", asAuditor, func(f *fakeConsole) { f.users = f.users[:1]; f.next = "" })},
		scene{"console-users-none", 200, consoleScene("/.mfa/admin?q=zz&factor=none", asAdmin, func(f *fakeConsole) { f.users, f.next = nil, "" })},
		scene{"console-users-empty", 200, consoleScene("/.mfa/admin", asAdmin, empty)},
		scene{"console-users-organization", 200, consoleScene("/.mfa/admin", asOrganization, func(f *fakeConsole) { f.users, f.next = f.users[:1], "" })},
		scene{"console-user", 200, consoleScene("/.mfa/admin/user?id=u2", asAdmin, nil)},
		scene{"console-user-done", 200, consoleScene("/.mfa/admin/user?id=u3&done=factors", asAdmin, func(f *fakeConsole) { f.sessions, f.events, f.next = nil, nil, "" })},
		scene{"console-user-own", 200, consoleScene("/.mfa/admin/user?id=u1", asAdmin, nil)},
		scene{"console-user-auditor", 200, consoleScene("/.mfa/admin/user?id=u4", asAuditor, nil)},
		scene{"console-user-missing", 404, consoleScene("/.mfa/admin/user?id=nobody", asAdmin, nil)},
		scene{"console-remove-factor", 200, consoleScene(aboutBob("remove-factor")+"&what=p1", asAdmin, nil)},
		scene{"console-remove-factors", 200, consoleScene(aboutBob("remove-factors"), asAdmin, nil)},
		scene{"console-bypass", 200, consoleScene(aboutBob("bypass"), asAdmin, nil)},
		scene{"console-bypass-why", 422, consolePost(aboutBob("bypass"), url.Values{"life": {"1h0m0s"}}, nil)},
		scene{"console-bypass-made", 200, consolePost(aboutBob("bypass"), url.Values{"why": {"phone lost"}, "life": {"1h0m0s"}}, nil)},
		scene{"console-pass", 200, consoleScene(aboutBob("pass"), asAdmin, nil)},
		scene{"console-roles", 200, consoleScene(aboutBob("roles"), asAdmin, nil)},
		scene{"console-disable-last", 409, consolePost(aboutBob("disable"), nil, func(f *fakeConsole) { f.err = mfa.ErrLastAdministrator })},
		scene{"console-join", 200, consoleScene(aboutBob("join"), asAdmin, nil)},
		scene{"console-invite", 200, consoleScene("/.mfa/admin/invite", asAdmin, nil)},
		scene{"console-invite-taken", 422, consolePost("/.mfa/admin/invite", url.Values{"name": {"bob"}, "role": {"none"}}, func(f *fakeConsole) { f.err = mfa.ErrNameTaken })},
		scene{"console-invite-made", 200, consolePost("/.mfa/admin/invite", url.Values{"name": {"frank"}, "display": {"Frank"}, "role": {"none"}}, nil)},
		scene{"console-organizations", 200, consoleScene("/.mfa/admin/organizations", asAdmin, nil)},
		scene{"console-organizations-empty", 200, consoleScene("/.mfa/admin/organizations", asAdmin, empty)},
		scene{"console-organization", 200, consoleScene("/.mfa/admin/organization?id=globex", asAdmin, nil)},
		scene{"console-organization-declared", 200, consoleScene("/.mfa/admin/organization?id=acme", asAdmin, nil)},
		scene{"console-organization-edit", 200, consoleScene("/.mfa/admin/organization/edit?id=globex", asAdmin, nil)},
		scene{"console-organization-remove", 200, consoleScene("/.mfa/admin/organization/remove?id=globex", asAdmin, nil)},
		scene{"console-coverage", 200, consoleScene("/.mfa/admin/coverage", asAdmin, nil)},
		scene{"console-coverage-empty", 200, consoleScene("/.mfa/admin/coverage", asAdmin, empty)},
		scene{"console-forecast", 200, consoleScene("/.mfa/admin/forecast?of=acme", asAdmin, nil)},
		scene{"console-forecast-nobody", 200, consoleScene("/.mfa/admin/forecast", asAdmin, func(f *fakeConsole) { f.forecast = &mfa.Forecast{Users: 12} })},
		scene{"console-policy", 200, consoleScene("/.mfa/admin/policy", asAdmin, nil)},
		scene{"console-policy-auditor", 200, consoleScene("/.mfa/admin/policy", asAuditor, nil)},
		scene{"console-policy-change", 200, consoleScene("/.mfa/admin/policy/change?id=require", asAdmin, nil)},
		scene{"console-policy-wrong", 422, consolePost("/.mfa/admin/policy/change?id=enrollment", url.Values{"do": {"set"}, "enrollment": {"sometimes"}}, func(f *fakeConsole) {
			f.err = &mfa.PolicyError{Err: fmt.Errorf("enrollment: write one of: open, open 14d, confirm, pass")}
		})},
		scene{"console-policy-lockout", 409, consolePost("/.mfa/admin/policy/change?id=require", url.Values{"do": {"set"}, "require": {"on"}}, func(f *fakeConsole) {
			f.err = &mfa.LockoutError{Reason: "no administrator would have a second step that counts."}
		})},
		scene{"console-campaigns", 200, consoleScene("/.mfa/admin/campaigns", asAdmin, nil)},
		scene{"console-campaigns-empty", 200, consoleScene("/.mfa/admin/campaigns", asAdmin, empty)},
		scene{"console-campaign", 200, consoleScene("/.mfa/admin/campaign", asAdmin, nil)},
		scene{"console-campaign-end", 200, consoleScene("/.mfa/admin/campaign/end?id=acme", asAdmin, nil)},
		scene{"console-audit", 200, consoleScene("/.mfa/admin/audit", asAdmin, nil)},
		scene{"console-audit-wrong", 422, consoleScene("/.mfa/admin/audit?since=yesterday", asAdmin, nil)},
		scene{"console-audit-none", 200, consoleScene("/.mfa/admin/audit?event=sign_up&until=2026-11-01", asAdmin, func(f *fakeConsole) { f.events, f.next = nil, "" })},
		scene{"console-audit-good", 200, consolePost("/.mfa/admin/audit", nil, nil)},
		scene{"console-audit-broken", 200, consolePost("/.mfa/admin/audit", nil, func(f *fakeConsole) { f.verified.Broken, f.verified.What = 5, "changed" })},
		scene{"console-keys", 200, consoleScene("/.mfa/admin/keys", asAdmin, nil)},
		scene{"console-keys-empty", 200, consoleScene("/.mfa/admin/keys", asAdmin, empty)},
		scene{"console-key-make", 200, consoleScene("/.mfa/admin/key/make", asAdmin, nil)},
		scene{"console-key-none", 422, consolePost("/.mfa/admin/key/make", url.Values{"name": {"deploy"}}, nil)},
		scene{"console-key-made", 200, consolePost("/.mfa/admin/key/make", url.Values{"name": {"deploy"}, "scope": {"users:read"}}, nil)},
		scene{"console-key-revoke", 200, consoleScene("/.mfa/admin/key/revoke?id=0011223344556677", asAdmin, nil)},
		scene{"console-explain", 200, consoleScene("/.mfa/admin/explain", asAdmin, nil)},
		scene{"console-explain-found", 200, consoleScene("/.mfa/admin/explain?id=K7PQ2M9XTA", asAdmin, nil)},
		scene{"console-explain-none", 404, consoleScene("/.mfa/admin/explain?id=AAAAAAAAAA", asAdmin, func(f *fakeConsole) { f.decision = nil })},
		scene{"console-explain-organization", 200, consoleScene("/.mfa/admin/explain?as=acme", asOrganization, nil)},
		scene{"console-explain-access", 200, consoleScene("/.mfa/admin/explain/access?user=u2&at=https%3A%2F%2Fpayroll.example.com%2Fdanger%2Fquarterly%2F2026-11%2Fstatement-of-everything.pdf", asAuditor, nil)},
		scene{"console-explain-access-open", 200, consoleScene(consoleURL(pageAccess), asAdmin, func(f *fakeConsole) {
			f.access = &mfa.Access{User: "bob", Notes: []mfa.AccessNote{{Code: mfa.NoteOpen}}}
		})},
		scene{"console-explain-access-fresh", 200, consoleScene(consoleURL(pageAccess), asAdmin, func(f *fakeConsole) {
			f.access.Factors, f.access.Asks, f.access.Notes = nil, f.access.Asks[:2], []mfa.AccessNote{{Code: mfa.NoteNoSession}}
			f.access.Steps = f.access.Steps[:2]
			f.access.Steps[1].Action, f.access.Steps[1].Reason = "set_up", mfa.ReasonNothingSetUp
		})},
		scene{"console-explain-access-nobody", 404, consolePost("/.mfa/admin/explain/access", url.Values{"user": {"zoe"}, "at": {"https://app.example.com/x"}}, nil)},
		scene{"console-explain-access-wrong", 422, consolePost("/.mfa/admin/explain/access", url.Values{"user": {"bob"}, "at": {"app.example.com"}}, func(f *fakeConsole) {
			f.routeErr = &mfa.RouteError{Reason: mfa.RouteUnreadable, Err: errStore}
		})},
		scene{"console-doctor", 200, consoleScene("/.mfa/doctor?proxy=traefik", asAdmin, nil)},
		scene{"console-doctor-good", 200, func(_ testing.TB, w *world) answer {
			w.filled(asAuditor)
			w.report = sampleReport()
			w.report.Findings, w.report.Facts.Trusted = nil, true
			return w.visitConsole("/.mfa/doctor")
		}},
		scene{"console-not-administrator", 403, func(_ testing.TB, w *world) answer {
			w.administrating(asAdmin).whoErr = mfa.ErrNotOwed
			return w.visitConsole("/.mfa/admin")
		}},
		scene{"console-elsewhere", 404, func(_ testing.TB, w *world) answer {
			return w.ask(httptest.NewRequest("GET", "https://payroll.example.com/reports", nil))
		}},
	)
}
