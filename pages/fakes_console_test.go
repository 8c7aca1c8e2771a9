package pages

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// fakeConsole says who somebody is, and is the administration as well. What changes
// something is remembered, and answers err.
type fakeConsole struct {
	who    *mfa.Administrator
	whoErr error

	users     []mfa.UserInfo
	next      string
	sessions  []mfa.SessionInfo
	events    []mfa.Event
	orgs      []*mfa.Organization
	coverage  *mfa.Coverage
	forecast  *mfa.Forecast
	verified  *mfa.Verified
	decision  *mfa.Event
	access    *mfa.Access
	routeErr  error // of an address
	keys      []*mfa.APIKey
	policy    *mfa.PolicyInfo
	campaigns []mfa.CampaignInfo
	readErr   error // of everything that reads
	exportErr error // after the first event

	as      []mfa.OrganizationID // for which the gate was asked
	changes []bool               // whether for a change
	did     []string
	filter  mfa.UserFilter
	query   mfa.AuditQuery
	asked   []string // whose access, and where
	err     error
}

func (g *fakeGate) Administrator(_ context.Context, at *mfa.Place, id mfa.SessionID, of mfa.OrganizationID, change bool) (*mfa.Administrator, error) {
	g.call("Administrator", at, string(id), string(of))
	g.console.as = append(g.console.as, of)
	g.console.changes = append(g.console.changes, change)
	if g.console.whoErr != nil {
		return nil, g.console.whoErr
	}
	return g.console.who, nil
}

func (f *fakeConsole) done(what string, args ...any) error {
	f.did = append(f.did, strings.TrimSpace(what+" "+strings.TrimSpace(fmt.Sprintln(args...))))
	return f.err
}

func (f *fakeConsole) Users(_ context.Context, q mfa.UserFilter, _ string, limit int) ([]mfa.UserInfo, string, error) {
	f.filter = q
	return f.users[:min(len(f.users), limit)], f.next, f.readErr
}

func (f *fakeConsole) User(_ context.Context, id mfa.UserID) (*mfa.UserInfo, error) {
	for i := range f.users {
		if f.users[i].ID == id {
			u := f.users[i]
			return &u, f.readErr
		}
	}
	return nil, mfa.ErrNotFound
}

func (f *fakeConsole) Sessions(context.Context, mfa.UserID) ([]mfa.SessionInfo, error) {
	return f.sessions, f.readErr
}

func (f *fakeConsole) AppTokens(context.Context, mfa.UserID) ([]mfa.AppToken, error) {
	return sampleTokens, f.readErr
}

func (f *fakeConsole) RevokeAppToken(_ context.Context, id mfa.UserID, token string) error {
	return f.done("RevokeAppToken", id, token)
}

func (f *fakeConsole) Activity(context.Context, mfa.UserID, string, int) ([]mfa.Event, string, error) {
	return f.events, f.next, f.readErr
}

func (f *fakeConsole) Invite(_ context.Context, in mfa.InviteInput) (string, *mfa.UserInfo, error) {
	if err := f.done("Invite", in.Name, in.DisplayName, in.Email, in.Groups, in.Role, in.AdminOf, in.Organizations); err != nil {
		return "", nil, err
	}
	return "invitation-token", &mfa.UserInfo{ID: "new", Name: in.Name, DisplayName: in.DisplayName}, nil
}

func (f *fakeConsole) ResetPassword(_ context.Context, id mfa.UserID) (string, error) {
	return "password-token", f.done("ResetPassword", id)
}

func (f *fakeConsole) RemoveFactor(_ context.Context, id mfa.UserID, cred mfa.CredentialID) error {
	return f.done("RemoveFactor", id, cred)
}

func (f *fakeConsole) RemoveFactors(_ context.Context, id mfa.UserID, k mfa.Kind) error {
	return f.done("RemoveFactors", id, k)
}

func (f *fakeConsole) EnrollmentPass(_ context.Context, id mfa.UserID, life time.Duration) (string, time.Time, error) {
	return "ABCD-EFGH-IJKL-MNOP", testNow.Add(life), f.done("EnrollmentPass", id, life)
}

func (f *fakeConsole) Bypass(_ context.Context, id mfa.UserID, life time.Duration, why string) (string, time.Time, error) {
	return "QRST-UVWX-YZ23-4567", testNow.Add(life), f.done("Bypass", id, life, why)
}

func (f *fakeConsole) Unlock(_ context.Context, id mfa.UserID) error { return f.done("Unlock", id) }

func (f *fakeConsole) ResetSkip(_ context.Context, id mfa.UserID) error {
	return f.done("ResetSkip", id)
}

func (f *fakeConsole) SetDisabled(_ context.Context, id mfa.UserID, yes bool) error {
	return f.done("SetDisabled", id, yes)
}

func (f *fakeConsole) EndSessions(_ context.Context, id mfa.UserID, handle string) error {
	return f.done("EndSessions", id, handle)
}

func (f *fakeConsole) SetRole(_ context.Context, id mfa.UserID, role mfa.Role, of []mfa.OrganizationID) error {
	return f.done("SetRole", id, role, of)
}

func (f *fakeConsole) SetMember(_ context.Context, id mfa.UserID, of mfa.OrganizationID, member bool) error {
	return f.done("SetMember", id, of, member)
}

func (f *fakeConsole) Organizations() ([]*mfa.Organization, error) { return f.orgs, f.readErr }

func (f *fakeConsole) Organization(id mfa.OrganizationID) (*mfa.Organization, error) {
	for _, o := range f.orgs {
		if o.ID == id {
			return o, nil
		}
	}
	return nil, mfa.ErrNotFound
}

func (f *fakeConsole) SetOrganization(_ context.Context, in mfa.Organization, force bool) error {
	return f.done("SetOrganization", in.ID, in.Name, in.Require, in.Factors, in.Fresh, in.Domains, force)
}

func (f *fakeConsole) RemoveOrganization(_ context.Context, id mfa.OrganizationID) error {
	return f.done("RemoveOrganization", id)
}

func (f *fakeConsole) Coverage(context.Context, mfa.OrganizationID) (*mfa.Coverage, error) {
	return f.coverage, f.readErr
}

func (f *fakeConsole) Forecast(context.Context, mfa.OrganizationID, string, int) (*mfa.Forecast, error) {
	return f.forecast, f.readErr
}

func (f *fakeConsole) Audit(_ context.Context, q mfa.AuditQuery, _ string, _ int) ([]mfa.Event, string, error) {
	f.query = q
	return f.events, f.next, f.readErr
}

func (f *fakeConsole) Export(_ context.Context, _ uint64, each func(mfa.Event) error) error {
	f.did = append(f.did, "Export")
	for _, e := range f.events {
		if err := each(e); err != nil {
			return err
		}
		if f.exportErr != nil {
			return f.exportErr
		}
	}
	return f.readErr
}

func (f *fakeConsole) VerifyAudit(context.Context) (*mfa.Verified, error) {
	return f.verified, f.done("VerifyAudit")
}

func (f *fakeConsole) Decision(_ context.Context, id string) (*mfa.Event, error) {
	if f.decision == nil {
		return nil, mfa.ErrNotFound
	}
	return f.decision, f.readErr
}

func (f *fakeConsole) Find(_ context.Context, name string) (*mfa.UserInfo, error) {
	for i := range f.users {
		if f.users[i].Name == name {
			u := f.users[i]
			return &u, f.readErr
		}
	}
	return nil, mfa.ErrNotFound
}

func (f *fakeConsole) MayExplainAccess() error {
	if f.who.Actor.Organization != "" || !f.who.Actor.Powers.Has(mfa.ReadPolicy) {
		return mfa.ErrNotAllowed
	}
	return nil
}

// ExplainAccess answers for whatever address the gates know.
func (f *fakeConsole) ExplainAccess(_ context.Context, id mfa.UserID, address string, gates mfa.Gates) (*mfa.Access, error) {
	if err := f.MayExplainAccess(); err != nil {
		return nil, err
	}
	f.asked = append(f.asked, string(id)+" "+address)
	if f.routeErr != nil {
		return nil, f.routeErr
	}
	q, err := gates(address)
	if err != nil {
		return nil, err
	}
	x := *f.access
	x.URL = q.URL
	return &x, f.readErr
}

func (f *fakeConsole) CreateAPIKey(_ context.Context, in mfa.APIKeyInput) (string, *mfa.APIKey, error) {
	if err := f.done("CreateAPIKey", in.Name, in.Powers, in.Organization, in.Life); err != nil {
		return "", nil, err
	}
	return "sg_0011223344556677_c2VjcmV0", &mfa.APIKey{ID: "0011223344556677", Name: in.Name, Expires: testNow.Add(in.Life)}, nil
}

func (f *fakeConsole) APIKeys(context.Context) ([]*mfa.APIKey, error) { return f.keys, f.readErr }

func (f *fakeConsole) RevokeAPIKey(_ context.Context, id string) error {
	return f.done("RevokeAPIKey", id)
}

func (f *fakeConsole) Policy(context.Context) (*mfa.PolicyInfo, error) { return f.policy, f.readErr }

func (f *fakeConsole) SetPolicy(_ context.Context, field string, words []string, force bool) error {
	return f.done("SetPolicy", field, words, force)
}

func (f *fakeConsole) ClearPolicy(_ context.Context, field string, force bool) error {
	return f.done("ClearPolicy", field, force)
}

func (f *fakeConsole) Campaigns(context.Context) ([]mfa.CampaignInfo, error) {
	return f.campaigns, f.readErr
}

func (f *fakeConsole) Campaign(_ context.Context, of mfa.OrganizationID) (*mfa.CampaignInfo, error) {
	for i := range f.campaigns {
		if f.campaigns[i].Organization == of {
			return &f.campaigns[i], nil
		}
	}
	return nil, mfa.ErrNotFound
}

func (f *fakeConsole) SetCampaign(_ context.Context, in mfa.CampaignInput) error {
	return f.done("SetCampaign", in.Organization, in.Factors, in.Deadline.UTC().Format(time.RFC3339), in.Remind, in.Require)
}

func (f *fakeConsole) EndCampaign(_ context.Context, of mfa.OrganizationID) error {
	return f.done("EndCampaign", of)
}

// The powers of the roles, by their names: the core keeps the sets to itself.
func powers(names ...string) mfa.Powers {
	if names == nil {
		names = mfa.PowerNames()
	}
	p, err := mfa.ParsePowers(names)
	if err != nil {
		panic(err)
	}
	return p
}

var (
	asAdmin        = mfa.Administrator{Role: mfa.RoleAdmin, Actor: mfa.Actor{Powers: powers(), User: "u1", Name: "alice"}}
	asAuditor      = mfa.Administrator{Role: mfa.RoleAuditor, Actor: mfa.Actor{Powers: powers("users:read", "organizations:read", "policy:read", "audit:read"), User: "u1", Name: "alice"}}
	asOrganization = mfa.Administrator{
		Organizations: []mfa.OrganizationID{"acme", "globex"},
		Actor:         mfa.Actor{Powers: powers("users:read", "users:write", "organizations:read"), Organization: "acme", User: "u1", Name: "alice"},
	}
)

// administrating signs somebody in who is that.
func (w *world) administrating(who mfa.Administrator) *fakeConsole {
	st := w.signedIn(mfa.Decision{Action: mfa.Allow})
	who.Session, who.Subject = st.Session, st.Subject
	f := w.gate.console
	f.who, f.whoErr = &who, nil
	return f
}

// ask sends a request to the console's host.
func (w *world) ask(r *http.Request) answer {
	rec := httptest.NewRecorder()
	w.pages.Console().ServeHTTP(rec, r)
	return answer{rec.Result(), rec.Body.String()}
}

func (w *world) visitConsole(path string) answer {
	return w.ask(httptest.NewRequest(http.MethodGet, "https://payroll.example.com"+path, nil))
}

func (w *world) postConsole(t testing.TB, path string, form url.Values) answer {
	t.Helper()
	return w.ask(w.postRequest(t, path, form))
}

var errStore = errors.New("store is away")

// gatesOfApp knows every address, as it is written.
func gatesOfApp(address string) (*mfa.AccessQuery, error) {
	return &mfa.AccessQuery{URL: address, Place: new(mfa.Place)}, nil
}
