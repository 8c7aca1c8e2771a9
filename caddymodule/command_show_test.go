package caddymodule

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/doctor"
	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/mfa"
)

// Each answer as people see it, in testdata/show (-update rewrites them).
func TestShow_Golden(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.FixedZone("", 3600))
	alice := &mfa.UserInfo{
		Name: "alice", DisplayName: "Alice Ng", Email: "alice@example.com", Verified: true, Phone: "+4915112345678",
		Groups: []string{"staff", "ops"}, Organizations: []mfa.OrganizationID{"acme", "beta"}, ByAddress: []mfa.OrganizationID{"beta", "gamma"},
		Admin: true, OptedOut: true, Skipped: true, Created: at, LastSignIn: at.Add(time.Hour), Sessions: 2, Remembered: 3,
		PasswordLocked: true, PasswordLockedUntil: at,
		Factors: []mfa.FactorInfo{
			{Kind: mfa.Passkey, Name: "Firefox on Linux", Created: at, LastUsed: at, Host: "app.example.com"},
			{Kind: mfa.TOTP, Name: "Phone", Created: at, Locked: true},
			{Kind: mfa.SMS, Name: "•••• 78", Created: at},
			{Kind: mfa.Email, Name: "al****@example.com", Created: at},
			{Kind: mfa.BackupCode, Created: at, Left: 7},
		},
	}
	acme := orgInfo{
		ID: "acme", OrganizationSettings: mfa.OrganizationSettings{
			Name: "Acme & Co", Require: true, Factors: []mfa.Kind{mfa.Passkey, mfa.TOTP}, Fresh: "12h", PhishingResistant: true,
			Enrollment: "open 14d", ForbidRemembering: true, Domains: []string{"example.com", "acme.example"},
		}, Created: at,
	}
	for _, c := range []struct {
		name, op string
		answer   adminAnswer
	}{
		{"user", opShow, adminAnswer{User: alice}},
		{"user_nothing", opUnlock, adminAnswer{Done: "Failed attempts are forgotten: bob can try again at once.", User: &mfa.UserInfo{Name: "bob", Invited: true, Created: at}}},
		{"pass", opEnrollmentPass, adminAnswer{Secret: "ABCD-EFGH-IJKL-MNOP", Expires: at, Note: "A note."}},
		{"bypass", opBypass, adminAnswer{Secret: "ABCD-EFGH-IJKL-MNOP", Expires: at}},
		{"orgs", opOrgList, adminAnswer{Organizations: []orgInfo{acme, {ID: "beta", Declared: true}}}},
		{"orgs_none", opOrgList, adminAnswer{Organizations: []orgInfo{}}},
		{"org", opOrgSet, adminAnswer{Done: "The organization acme is made.", Organization: &acme}},
		{"org_declared", opOrgShow, adminAnswer{Organization: &orgInfo{ID: "beta", Declared: true}}},
		{"org_removed", opOrgRemove, adminAnswer{Done: "The organization acme is removed."}},
		{"policy", opPolicyShow, adminAnswer{Policy: &mfa.PolicyInfo{
			Warnings: []string{"REPORT ONLY: nobody is asked."},
			Fields: []mfa.FieldInfo{
				{Field: "factors", Value: "passkey totp", From: mfa.FromConfiguration, Stored: "email"},
				{Field: "prompt", From: mfa.FromDefault},
				{Field: "report_only", Value: "on", From: mfa.FromStore},
			},
		}}},
		{"campaigns", opCampaignList, adminAnswer{Campaigns: []mfa.CampaignInfo{
			{Factors: mfa.KindsOf(mfa.Passkey, mfa.TOTP), Deadline: at, DaysLeft: 14, Running: true, Users: 1000, Reached: 250, Percent: 25, Sent: 750, Require: true},
			{Organization: "acme", Deadline: at, DaysLeft: 1, Running: true, Users: 3, Note: "no reminder goes out"},
			{Organization: "beta", Deadline: at, Done: at, Require: true},
			{Organization: "gamma", Deadline: at},
		}}},
		{"campaigns_none", opCampaignList, adminAnswer{Campaigns: []mfa.CampaignInfo{}}},
		{"campaign", opCampaignStart, adminAnswer{Done: "The campaign for acme runs.", Campaign: &mfa.CampaignInfo{
			Organization: "acme", Factors: mfa.KindsOf(mfa.Passkey, mfa.TOTP), Deadline: at, DaysLeft: 6, Running: true, Started: at, By: "alice", Users: 40, Reached: 10, Percent: 25,
			Reminders: []mfa.ReminderInfo{{At: at, Done: true}, {At: at.Add(24 * time.Hour)}}, Sent: 30, Require: true,
		}}},
		{"audit", opAudit, adminAnswer{Next: "abc", Events: []mfa.Event{
			{At: at, Name: mfa.EventVerify, OK: true, UserName: "alice", Factor: mfa.TOTP, Network: "192.0.2.0/24", Host: "app.example.com"},
			{At: at, Name: mfa.EventDecision, UserName: "alice", Reason: "refuse:not_member", Network: "192.0.2.0/24", Host: "app.example.com", Decision: "K7QX2MPLDN4A"},
			{At: at, Name: mfa.EventAdmin, Reason: "not_found", UserName: "nobody", Detail: "unlock"},
		}}},
		{"audit_none", opAudit, adminAnswer{Events: []mfa.Event{}}},
		{"sessions", opSessions, adminAnswer{Sessions: []sessionInfo{{Handle: "4f1c9a", Host: "app.example.com", Agent: "Firefox on Linux", Network: "192.0.2.0/24", Created: at, LastSeen: at}}}},
		{"sessions_none", opEndSessions, adminAnswer{Done: "Every session of alice has ended.", Sessions: []sessionInfo{}}},
		{"key", opKeyCreate, adminAnswer{Secret: "sg_0123456789abcdef_secret", Expires: at, Key: &keyInfo{ID: "0123456789abcdef", Scopes: []string{"users:read", "users:write"}, Organization: "acme"}}},
		{"keys", opKeyList, adminAnswer{Keys: []keyInfo{{ID: "0123456789abcdef", Name: "on boarding", Scopes: []string{"users:read"}, By: "alice", Created: at, Expires: at, LastUsed: at, LastNetwork: "192.0.2.0/24"}}}},
		{"keys_none", opKeyList, adminAnswer{Keys: []keyInfo{}}},
		{"coverage", opCoverage, adminAnswer{Coverage: &mfa.Coverage{Users: 240, Factors: map[mfa.Kind]int{mfa.Passkey: 90, mfa.TOTP: 160, mfa.BackupCode: 230}, None: 3, Stopped: 3, PhishingResistant: 90}}},
		{"coverage_none", opCoverage, adminAnswer{Coverage: &mfa.Coverage{Organization: "acme"}}},
		{"forecast", opForecast, adminAnswer{Forecast: &mfa.Forecast{
			Organization: "acme", Users: 240, Stopped: 3, Closed: true, Next: "b", Page: []mfa.UserInfo{{Name: "bob", DisplayName: "Bob B.", LastSignIn: at, LastHost: "app.example.com"}},
		}}},
		{"policy_test", opPolicyTest, adminAnswer{Test: &mfa.PolicyTest{
			Changes: []mfa.FieldChange{{Field: "factors", Before: "passkey totp", After: "passkey"}}, Users: 240, Stopped: 3, WouldStop: 97, Closed: true,
		}}},
		{"policy_test_lockout", opPolicyTest, adminAnswer{Test: &mfa.PolicyTest{Refused: "no administrator could sign in any more: alice has no second factor", Lockout: true, Changes: []mfa.FieldChange{{Field: "grace", Before: "0", After: "7d"}}}}},
		{"doctor", opDoctor, adminAnswer{Doctor: &doctor.Report{
			At: at, URL: "https://app.example.com", Facts: &guard.Facts{
				At: at, Protocol: "HTTP/1.1", Sent: "app.example.com", Host: "app.example.com", Peer: "10.0.0.5", Client: "10.0.0.5", Scheme: "https", Scope: "example.com", RPID: "example.com",
				CookieName: "__Secure-mfa", CookieDomain: "example.com", Headers: []guard.Shape{{Name: "Cookie", Lines: 1, Length: 99}, {Name: "X-Forwarded-For", Lines: 1, Length: 3, Value: "\x1b[31m"}},
			},
			Findings: []doctor.Finding{
				{Code: "untrusted_peer", Severity: doctor.Wrong, Text: "A proxy at 10.0.0.5 hands requests on.", For: "Caddyfile", Snippet: "{\n\tservers {\n\t\ttrusted_proxies static 10.0.0.5\n\t}\n}\n"},
				{Code: "early_data", Severity: doctor.Note, Text: "The request came as early data of TLS."},
			},
		}}},
		{"doctor_good", opDoctor, adminAnswer{Doctor: &doctor.Report{At: at, Findings: []doctor.Finding{}}}},
		{"access", opAccess, adminAnswer{Access: &mfa.Access{
			User: "alice", URL: "https://app.example.com/x", Asks: []mfa.AccessAsk{{What: "require on", From: "policy: default"}, {What: "fresh 5m", From: "route: mfa /x (server srv0)"}},
			Factors: []mfa.AccessFactor{{Kind: mfa.TOTP, Name: "Phone", Counts: true}, {Kind: mfa.Passkey, Why: "it was made for other.example.com"}},
			Steps:   []mfa.AccessStep{{With: "the password", Action: "verify", Reason: mfa.ReasonNotVerified, Factors: []mfa.Kind{mfa.TOTP}, Why: "Because."}},
			Notes:   []mfa.AccessNote{{Code: mfa.NoteNoSession, Text: "A note."}},
		}}},
		{"explain", opExplain, adminAnswer{Explanation: mfa.ExplainEvent(&mfa.Event{
			At: at, Name: mfa.EventDecision, UserName: "alice", Reason: "refuse:not_member", Network: "192.0.2.0/24", Host: "app.example.com",
			Decision: "K7QX2MPLDN4A", Session: "0123456789ab",
		})}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			show(&b, c.op, &c.answer)
			file := filepath.Join("testdata", "show", c.name+".txt")
			if flag.Lookup("update").Value.String() == "true" {
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want := readFile(t, file); b.String() != want {
				t.Errorf("got\n%s\nwant\n%s", b.String(), want)
			}
		})
	}
}
