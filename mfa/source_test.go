package mfa_test

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

const callback = "https://app.example.com/.mfa/callback/acme"

// abroad is a world with other identity sources beside the local accounts.
type abroad struct {
	*world
	provider  *mfatest.Provider  // acme
	directory *mfatest.Directory // corp
}

func newAbroad(t *testing.T, change ...configured) *abroad {
	t.Helper()
	a := &abroad{provider: mfatest.NewProvider("acme"), directory: mfatest.NewDirectory("corp")}
	a.world = newWorld(t, append([]configured{func(c *mfa.Config) {
		c.Sources = append(c.Sources,
			mfa.Source{Title: "Acme", Redirect: a.provider, Confirm: 5 * time.Minute, SignOutThere: true},
			mfa.Source{Password: a.directory, Confirm: 5 * time.Minute},
			mfa.Source{Claim: mfatest.Claims{Name: "before"}, Recheck: time.Hour})
	}}, change...)...)
	a.policy.Optional, a.policy.Prompt = true, mfa.PromptNever
	a.provider.Put(mfa.Identity{
		Subject: "S-1", Name: "Erin", DisplayName: "Doe, Erin", Email: "Erin@acme.example", EmailVerified: true,
		Groups: []string{"staff", "ops"}, Session: "there-1",
	})
	a.directory.Add(mfa.Identity{Subject: "uuid-7", Name: "finn", Email: "finn@corp.example"}, goodPassword, "finn", "finn@corp.example", `CORP\finn`)
	t.Cleanup(a.gate.Close)
	return a
}

// begin starts a sign-in at the provider.
func (a *abroad) begin(at *mfa.Place) *mfa.Redirection {
	a.t.Helper()
	return as[*mfa.Redirection](a.t)(a.gate.BeginRedirect(a.t.Context(), at, mfa.RedirectInput{Source: "acme", Callback: callback, Carry: "/wiki?page=1"}))
}

// comes is the person of that subject signing in through the provider.
func (a *abroad) comes(subject string) (*mfa.Outcome, error) {
	a.t.Helper()
	r := a.begin(a.at)
	out, carry, err := a.gate.FinishRedirect(a.t.Context(), a.at, "acme", r.Browser, a.provider.SignIn(r.Location, subject))
	if carry != "/wiki?page=1" {
		a.t.Errorf("carried %q", carry)
	}
	return out, err
}

func (a *abroad) user(source, subject string) *mfa.User {
	a.t.Helper()
	return as[*mfa.User](a.t)(a.store.UserByKey(a.t.Context(), mfa.SubjectKey(source, subject)))
}

// B7, B8: the first sight of somebody makes the record, and what the source says is kept.
func TestGate_FirstSight(t *testing.T) {
	a := newAbroad(t)
	out := a.wantsNext(a.must(a.comes("S-1")), nil, mfa.Allow, "")
	u := a.user("acme", "S-1")
	if u.Name != "erin" || u.DisplayName != "Doe Erin" || u.Email != "erin@acme.example" || !u.EmailVerified || !slices.Equal(u.Groups, []string{"staff", "ops"}) {
		t.Errorf("the record is %+v", u)
	}
	if s := out.Session; !s.Complete || s.First.Kind != mfa.Redirected || s.Source.ID != "there-1" || len(s.Source.Kept) == 0 ||
		!s.Source.Due.Equal(a.clock().Add(5*time.Minute)) || !s.Source.Until.Equal(a.clock().Add(10*time.Minute)) || s.Provided.Kind != "" {
		t.Errorf("the session is %+v", s)
	}
	if u.FirstSignIn.IsZero() || u.Admin || u.Auditor || len(u.AdminOf) > 0 {
		t.Error("a source gives no role, and a first sign-in is one")
	}
	again := a.must(a.comes("S-1"))
	if again.Session.User != u.ID || a.recorded(mfa.EventSignUp, true) != 1 {
		t.Error("the second sight made another record")
	}
	if len(as[*mfa.UserInfo](t)(mfatest.NewDesk(a.gate).Find(t.Context(), "acme:erin")).ID) == 0 {
		t.Error("no administrator finds them")
	}

	claimed := *a.at
	claimed.Established = mfa.Claim{Source: "before", Subject: "gail", Groups: "staff"}
	in := a.wantsNext(a.must(a.gate.SignInEstablished(t.Context(), &claimed)), nil, mfa.Allow, "")
	if s := in.Session; s.First.Kind != mfa.Claimed || !s.Source.Until.Equal(a.clock().Add(time.Hour)) || !s.Source.Due.IsZero() {
		t.Errorf("the session of a claim is %+v", s)
	}
	if _, err := a.gate.SignIn(t.Context(), a.at, "corp", "FINN@corp.example ", goodPassword); err != nil {
		t.Error(err)
	}
	if u := a.user("corp", "uuid-7"); u.Name != "finn" || u.EmailVerified || u.AsSubject().Email != "" {
		t.Errorf("B38: an address that the source does not call verified grants something: %+v", u)
	}
}

func (a *abroad) must(out *mfa.Outcome, err error) *mfa.Outcome {
	a.t.Helper()
	return as[*mfa.Outcome](a.t)(out, err)
}

// B7: whoever comes for the first time registers, and is asked to set up what is required.
func TestGate_B7_FirstSightIsARegistration(t *testing.T) {
	a := newAbroad(t)
	a.policy.Optional = false
	out := a.wantsNext(a.must(a.comes("S-1")), nil, mfa.SetUp, mfa.ReasonNothingSetUp)
	if !out.Session.Registering {
		t.Error("the first sight is no registration")
	}
	p, out := a.addPhone(out.Session.ID)
	_, out = a.addCodes(out.Session.ID)
	a.wantsNext(out, nil, mfa.Allow, "")
	a.wait(time.Minute)
	again := a.wantsNext(a.must(a.comes("S-1")), nil, mfa.Verify, mfa.ReasonNotVerified)
	a.wantsNext(a.must(a.gate.VerifyTOTP(t.Context(), a.at, again.Session.ID, p.code(a.clock()))), nil, mfa.Allow, "")
}

// Of many who come for the first time at once, one makes the record.
func TestGate_B8_FirstSightsAtOnce(t *testing.T) {
	a := newAbroad(t)
	var all sync.WaitGroup
	ids := make([]mfa.UserID, 16)
	for i := range ids {
		all.Go(func() {
			at := *a.at
			at.Network = fmt.Sprintf("198.51.%d.0/24", i)
			at.Established = mfa.Claim{Source: "before", Subject: "hana"}
			out, err := a.gate.SignInEstablished(t.Context(), &at)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = out.Session.User
		})
	}
	all.Wait()
	if slices.Sort(ids); len(slices.Compact(ids)) != 1 || a.recorded(mfa.EventSignUp, true) != 1 {
		t.Errorf("the users are %v", ids)
	}
}

// AC-026: the groups and organizations that the source says are those of the next
// decision, at a sign-in and at a confirmation. What an administrator gave by hand stays.
func TestGate_AC026_ClaimsChangeAtTheSource(t *testing.T) {
	a := newAbroad(t)
	a.policy.Organizations = mfa.NewDirectory([]*mfa.Organization{{ID: "red"}, {ID: "blue"}, {ID: "green"}})
	person := mfa.Identity{Subject: "S-1", Name: "erin", Groups: []string{"staff"}, Organizations: []mfa.OrganizationID{"red", "gone", "red"}}
	a.provider.Put(person)
	out := a.must(a.comes("S-1"))
	must(t, mfatest.NewDesk(a.gate).SetMember(t.Context(), "acme:erin", "green", true))
	is := func(what string, groups []string, organizations ...mfa.OrganizationID) {
		t.Helper()
		s := a.user("acme", "S-1").AsSubject()
		if !slices.Equal(s.Groups, groups) || !slices.Equal(s.Organizations, organizations) {
			t.Errorf("%s: groups %v, organizations %v", what, s.Groups, s.Organizations)
		}
		route := a.policy
		for _, id := range []mfa.OrganizationID{"red", "blue", "green"} {
			route.Organization = id
			if _, member := route.For(s); member != slices.Contains(organizations, id) {
				t.Errorf("%s: member of %s: %v", what, id, member)
			}
			if has := slices.Contains(a.user("acme", "S-1").Facets(), mfa.FacetOrganization(id)); has != slices.Contains(organizations, id) {
				t.Errorf("%s: facet of %s: %v", what, id, has)
			}
		}
	}
	is("at first", []string{"staff"}, "green", "red")

	person.Groups, person.Organizations = []string{"guests"}, []mfa.OrganizationID{"blue"}
	a.provider.Put(person)
	a.wait(5 * time.Minute)
	a.confirmed(out.Session.ID)
	is("confirmed", []string{"guests"}, "green", "blue")

	person.Groups, person.Organizations = nil, nil
	a.provider.Put(person)
	a.must(a.comes("S-1"))
	is("at the next sign-in", nil, "green")
}

// confirmed has the session's source asked, and waits for it.
func (a *abroad) confirmed(id mfa.SessionID) {
	a.t.Helper()
	a.gate.ConfirmSession(id)
	a.gate.AwaitConfirmations()
}

// AC-055, AC-135, AC-213: what a source calls somebody goes into headers, logs and
// placeholders of apps. A name that could be anything but a name is nobody's.
func TestGate_AC213_NamesOfSources(t *testing.T) {
	for _, test := range []struct {
		name, want string
	}{
		{"Erin", "erin"}, {"erin.doe@Acme.example", "erin.doe@acme.example"}, {"e_r-i+n@x", "e_r-i+n@x"}, {"0", "0"}, {strings.Repeat("a", 128), strings.Repeat("a", 128)},
		{"", ""}, {".", ""}, {".erin", ""}, {"erin.", ""}, {"erin ", ""}, {" erin", ""}, {"er in", ""}, {"users,admin", ""}, {"users|admin", ""}, {"a;b", ""},
		{"{env.SECRET}", ""}, {"{{.}}", ""}, {"%s%n", ""}, {"${jndi:x}", ""}, {"erin\n", ""}, {"erin\x00", ""}, {"acme:erin", ""}, {"CORP\\erin", ""},
		{"ｅｒｉｎ", ""}, {"erin\u200b", ""}, {"\u0435rin", ""}, {"er\u0131n", ""}, {"ER\u0130N", ""}, {"e\u0301rin", ""}, {"\u202eerin", ""}, {"a/b", ""}, {"a\"b", ""}, {strings.Repeat("a", 129), ""},
	} {
		got, err := mfa.SourceName(test.name)
		if got != test.want || (err == nil) != (test.want != "") || err != nil && !errors.Is(err, mfa.ErrName) {
			t.Errorf("%q: %q, %v; want %q", test.name, got, err, test.want)
		}
	}
	a := newAbroad(t)
	a.provider.Put(mfa.Identity{Subject: "S-9", Name: "{env.SECRET}"})
	_, err := a.comes("S-9")
	wants(t, err, mfa.ErrName)
	if n := a.recorded(mfa.EventSignIn, false); n != 1 {
		t.Errorf("%d events of refused sign-ins", n)
	}
	// A group that apps would read as two is left out, and nobody is kept out for it.
	a.provider.Put(mfa.Identity{Subject: "S-9", Name: "nine", Groups: []string{"users,admin", "a|b", "staff", "staff", "x\r\nX-Admin: 1", ""}})
	a.must(a.comes("S-9"))
	if u := a.user("acme", "S-9"); !slices.Equal(u.Groups, []string{"staff"}) {
		t.Errorf("groups %q", u.Groups)
	}
	if e := a.events.Named(mfa.EventSignUp); len(e) != 1 || !strings.Contains(e[0].Detail, "4 groups") {
		t.Errorf("what was left out is not said: %+v", e)
	}
}

// An app knows people by their names. Of two sources that call somebody "alice", the
// second is refused, whoever came first; the one who is refused becomes nobody.
func TestGate_NameTaken(t *testing.T) {
	a := newAbroad(t)
	a.invited("alice")
	a.provider.Put(mfa.Identity{Subject: "S-2", Name: "Alice"})
	_, err := a.comes("S-2")
	wants(t, err, mfa.ErrNameTaken)
	if _, err := a.store.UserByKey(t.Context(), mfa.SubjectKey("acme", "S-2")); !errors.Is(err, mfa.ErrNotFound) {
		t.Errorf("a record was made: %v", err)
	}
	if e := a.events.Named(mfa.EventSignIn); e[len(e)-1].Reason != "name_taken" || e[len(e)-1].UserName != "Alice" || e[len(e)-1].Detail != "acme" {
		t.Errorf("the event is %+v", e[len(e)-1])
	}

	a.must(a.comes("S-1")) // erin
	a.directory.Add(mfa.Identity{Subject: "uuid-8", Name: "erin"}, goodPassword, "erin")
	_, err = a.gate.SignIn(t.Context(), a.at, "corp", "erin", goodPassword)
	wants(t, err, mfa.ErrNameTaken)
	_, _, err = a.gate.BeginSignUp(t.Context(), a.at, mfa.SignUpInput{Name: "erin", Password: goodPassword})
	wants(t, err, mfa.ErrNameTaken)
	_, err = mfatest.NewDesk(a.gate).Invite(t.Context(), mfa.InviteInput{Name: "Erin"})
	wants(t, err, mfa.ErrNameTaken)

	// The source calls her by another name now: a free one, and a taken one.
	a.provider.Put(mfa.Identity{Subject: "S-1", Name: "erin.doe"})
	a.must(a.comes("S-1"))
	a.must(a.gate.SignIn(t.Context(), a.at, "corp", "erin", goodPassword)) // the old one is free again
	a.provider.Put(mfa.Identity{Subject: "S-1", Name: "alice"})
	_, err = a.comes("S-1")
	wants(t, err, mfa.ErrNameTaken)
	if u := a.user("acme", "S-1"); u.Name != "erin.doe" {
		t.Errorf("she is called %q", u.Name)
	}

	// Nobody signs in to a local account by the name of another source's user.
	_, err = a.gate.SignIn(t.Context(), a.at, "local", "erin.doe", goodPassword)
	wants(t, err, mfa.ErrRejected)
}

// AC-030: the person is issuer and subject. A name or an address that was given to
// somebody else opens nothing of the one who had it before.
func TestGate_AC030_RecycledNames(t *testing.T) {
	a := newAbroad(t)
	erin := a.must(a.comes("S-1")).Session.User
	a.provider.Put(mfa.Identity{Subject: "S-1", Name: "erin.old"})
	a.must(a.comes("S-1"))
	a.provider.Put(mfa.Identity{Subject: "S-77", Name: "erin", Email: "erin@acme.example", EmailVerified: true})
	if other := a.must(a.comes("S-77")).Session.User; other == erin {
		t.Error("whoever is called erin now got the record of who was")
	}
	// … and the same subject at two sources is two people (AC-176).
	a.directory.Add(mfa.Identity{Subject: "S-1", Name: "elsewhere"}, goodPassword, "elsewhere")
	if other := a.must(a.gate.SignIn(t.Context(), a.at, "corp", "elsewhere", goodPassword)).Session.User; other == erin {
		t.Error("one subject at two sources is one user")
	}
	for _, subject := range []string{"", strings.Repeat("s", 513), "a\x00b", "a\nb", "\xff"} {
		a.provider.Put(mfa.Identity{Subject: subject, Name: "zoe"})
		if _, err := a.comes(subject); !errors.Is(err, mfa.ErrRejected) {
			t.Errorf("AC-176 the subject %q: %v", subject, err)
		}
	}
}

// AC-165: a thief has the password of somebody at the source, where no address was on file,
// and not their authenticator app. They write an address of their own there: it must not
// become a second factor by itself, nor recover anything, for a while.
func TestGate_AC165_AnAddressThatComesLater(t *testing.T) {
	a := newAbroad(t)
	a.policy.AutoEnroll, a.policy.Factors = true, mfa.KindsOf(mfa.TOTP, mfa.Email)
	a.provider.Put(mfa.Identity{Subject: "S-9", Name: "nine"})
	a.addPhone(a.must(a.comes("S-9")).Session.ID)
	a.provider.Put(mfa.Identity{Subject: "S-9", Name: "nine", Email: "thief@evil.example", EmailVerified: true})
	out := a.must(a.comes("S-9"))
	if u := a.user("acme", "S-9"); len(u.Credentials) != 1 || !u.EmailChanged.Equal(a.clock()) || out.Decision.Kinds.Has(mfa.Email) {
		t.Errorf("AC-165 she has %+v, changed %s; %s may answer", u.Credentials, u.EmailChanged, out.Decision.Kinds)
	}
	// At the first sight there is nothing to take over.
	a.provider.Put(mfa.Identity{Subject: "S-8", Name: "eight", Email: "eight@acme.example", EmailVerified: true})
	a.must(a.comes("S-8"))
	if u := a.user("acme", "S-8"); len(u.Credentials) != 1 || !u.EmailChanged.IsZero() {
		t.Errorf("the first sight: %+v, changed %s", u.Credentials, u.EmailChanged)
	}
}

// AC-021: a source whose MFA is believed stands for the second factor; nothing else that a
// source says raises anything.
func TestGate_AC021_OnlyWhatIsBelievedRaises(t *testing.T) {
	a := newAbroad(t)
	a.policy.Optional = false
	believed := mfa.Proof{Kind: mfa.Provided, At: a.clock().Add(-time.Minute), Credential: "x", Remembered: true, Address: "a@b.example"}
	for _, test := range []struct {
		name     string
		provided mfa.Proof
		want     mfa.Action
	}{
		{"nothing is said", mfa.Proof{}, mfa.SetUp},
		{"it is believed", believed, mfa.Allow},
		{"it calls itself a passkey of ours", mfa.Proof{Kind: mfa.Passkey, At: a.clock(), PhishingResistant: true, UserVerified: true}, mfa.SetUp},
		{"it calls itself a password", mfa.Proof{Kind: mfa.Password, At: a.clock()}, mfa.SetUp},
	} {
		a.provider.Put(mfa.Identity{Subject: "S-1", Name: "erin", Provided: test.provided})
		out := a.must(a.comes("S-1"))
		if out.Decision.Action != test.want {
			t.Errorf("%s: %s, want %s", test.name, out.Decision.Action, test.want)
		}
		if p := out.Session.Provided; p.Credential != "" || p.Remembered || p.Address != "" || (p.Kind != "" && p.Kind != mfa.Provided) {
			t.Errorf("%s: kept %+v", test.name, p)
		}
	}
	// A time of the future is none.
	believed.At = a.clock().Add(time.Hour)
	a.provider.Put(mfa.Identity{Subject: "S-1", Name: "erin", Provided: believed})
	if p := a.must(a.comes("S-1")).Session.Provided; !p.At.IsZero() || p.Kind != mfa.Provided {
		t.Errorf("kept %+v", p)
	}
}

// AC-173, AC-174: an answer without a start, of another browser's, used before, too late,
// for another source or another host, signs nobody in.
func TestGate_AC173_AC174_FinishRedirect(t *testing.T) {
	other := "https://other.example.com"
	for _, test := range []struct {
		name    string
		change  func(a *abroad, r *mfa.Redirection, at *mfa.Place, source *string, answer url.Values)
		want    error
		carries bool
	}{
		{"AC-173 no start", func(_ *abroad, _ *mfa.Redirection, _ *mfa.Place, _ *string, answer url.Values) {
			answer.Set("state", strings.Repeat("A", 43))
		}, mfa.ErrExpired, false},
		{"AC-173 no state", func(_ *abroad, _ *mfa.Redirection, _ *mfa.Place, _ *string, answer url.Values) { answer.Del("state") }, mfa.ErrExpired, false},
		{"AC-173 two states", func(_ *abroad, _ *mfa.Redirection, _ *mfa.Place, _ *string, answer url.Values) {
			answer.Add("state", answer.Get("state"))
		}, mfa.ErrExpired, false},
		{"AC-173 the cookie is missing", func(_ *abroad, r *mfa.Redirection, _ *mfa.Place, _ *string, _ url.Values) { r.Browser = "" }, mfa.ErrExpired, false},
		{"AC-173 another browser's", func(a *abroad, r *mfa.Redirection, at *mfa.Place, _ *string, _ url.Values) {
			r.Browser = a.begin(at).Browser
		}, mfa.ErrExpired, false},
		{"AC-174 at another source", func(_ *abroad, _ *mfa.Redirection, _ *mfa.Place, source *string, _ url.Values) { *source = "corp" }, mfa.ErrExpired, true},
		{"AC-174 at another host", func(_ *abroad, _ *mfa.Redirection, at *mfa.Place, _ *string, _ url.Values) { at.Origin = other }, mfa.ErrExpired, true},
		{"AC-174 for another audience", func(_ *abroad, _ *mfa.Redirection, at *mfa.Place, _ *string, _ url.Values) { at.Scope = "x" }, mfa.ErrExpired, true},
		{"AC-174 too late", func(a *abroad, _ *mfa.Redirection, _ *mfa.Place, _ *string, _ url.Values) { a.wait(mfa.RedirectLife) }, mfa.ErrExpired, true},
		{"the code is another's", func(_ *abroad, _ *mfa.Redirection, _ *mfa.Place, _ *string, answer url.Values) {
			answer.Set("code", "made up")
		}, mfa.ErrRejected, true},
		{"the person said no", func(_ *abroad, _ *mfa.Redirection, _ *mfa.Place, _ *string, answer url.Values) {
			answer.Set("error", "access_denied")
		}, mfa.ErrDenied, true},
		{"AC-179 disabled at the source", func(a *abroad, _ *mfa.Redirection, _ *mfa.Place, _ *string, _ url.Values) {
			a.provider.Disable("S-1", true)
		}, mfa.ErrRejected, true},
		{"the source is away", func(a *abroad, _ *mfa.Redirection, _ *mfa.Place, _ *string, _ url.Values) { a.provider.Down(true) }, mfatest.ErrDown, true},
		{"all is well", func(*abroad, *mfa.Redirection, *mfa.Place, *string, url.Values) {}, nil, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newAbroad(t)
			at, source, r := *a.at, "acme", a.begin(a.at)
			answer := a.provider.SignIn(r.Location, "S-1")
			real := url.Values{"state": answer["state"], "code": answer["code"]}
			browser := r.Browser
			test.change(a, r, &at, &source, answer)
			out, carry, err := a.gate.FinishRedirect(t.Context(), &at, source, r.Browser, answer)
			if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) || (out == nil) != (err != nil) || (carry != "") != test.carries {
				t.Errorf("got %v, %q, %v", out, carry, err)
			}
			if a.recorded(mfa.EventSignIn, err == nil) != 1 {
				t.Error("no event")
			}
			if strings.Contains(test.name, "no start") || strings.Contains(test.name, "no state") || strings.Contains(test.name, "two states") {
				return
			}
			// However it ended, the start is spent: AC-174.
			if _, _, err := a.gate.FinishRedirect(t.Context(), a.at, "acme", browser, real); !errors.Is(err, mfa.ErrExpired) {
				t.Errorf("a second answer: %v", err)
			}
		})
	}
}

// AC-174: of many who come with one answer at once, one gets in.
func TestGate_AC174_OneAnswerOnce(t *testing.T) {
	a := newAbroad(t)
	r := a.begin(a.at)
	answer := a.provider.SignIn(r.Location, "S-1")
	var all sync.WaitGroup
	won := make(chan bool, 20)
	for range 20 {
		all.Go(func() {
			_, _, err := a.gate.FinishRedirect(t.Context(), a.at, "acme", r.Browser, answer)
			won <- err == nil
		})
	}
	all.Wait()
	close(won)
	n := 0
	for ok := range won {
		if ok {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d got in", n)
	}
}

// AC-182: two hundred sign-ins at once. Each ends as who began it (run with -race).
func TestGate_AC182_ParallelSignIns(t *testing.T) {
	a := newAbroad(t)
	const people = 200
	for i := range people {
		a.provider.Put(mfa.Identity{Subject: fmt.Sprint("P-", i), Name: fmt.Sprint("person", i)})
	}
	var all sync.WaitGroup
	for i := range people {
		all.Go(func() {
			at := *a.at
			at.Network = fmt.Sprintf("198.51.%d.0/24", i)
			r, err := a.gate.BeginRedirect(t.Context(), &at, mfa.RedirectInput{Source: "acme", Callback: callback, Carry: fmt.Sprint("/", i)})
			if err != nil {
				t.Error(err)
				return
			}
			out, carry, err := a.gate.FinishRedirect(t.Context(), &at, "acme", r.Browser, a.provider.SignIn(r.Location, fmt.Sprint("P-", i)))
			if err != nil || out.Subject.Name != fmt.Sprint("person", i) || carry != fmt.Sprint("/", i) {
				t.Errorf("%d: %+v, %q, %v", i, out, carry, err)
			}
		})
	}
	all.Wait()
}

// AC-209: starts are kept until they expire, and strangers may begin so many of one
// network and no more.
func TestGate_AC209_StartsAreBudgeted(t *testing.T) {
	a := newAbroad(t)
	begun := 0
	for range 200 {
		_, err := a.gate.BeginRedirect(t.Context(), a.at, mfa.RedirectInput{Source: "acme", Callback: callback})
		var throttled *mfa.ThrottledError
		if errors.As(err, &throttled) {
			break
		}
		must(t, err)
		begun++
	}
	if begun != 120 {
		t.Errorf("%d starts in a minute", begun)
	}
	a.begin(a.elsewhere("198.51.100.0/24"))
	a.wait(time.Minute)
	a.begin(a.at)
	_, err := a.gate.BeginRedirect(t.Context(), a.at, mfa.RedirectInput{Source: "corp", Callback: callback})
	wants(t, err, mfa.ErrNotAllowed)
	_, err = a.gate.BeginRedirect(t.Context(), a.at, mfa.RedirectInput{Source: "acme", Callback: callback, Carry: strings.Repeat("x", 5000)})
	wants(t, err, mfa.ErrNotAllowed)
	a.provider.Down(true)
	_, err = a.gate.BeginRedirect(t.Context(), a.at, mfa.RedirectInput{Source: "acme", Callback: callback})
	wants(t, err, mfatest.ErrDown)
}

// AC-179: disabled here, and still active at the source.
func TestGate_AC179_DisabledHere(t *testing.T) {
	a := newAbroad(t)
	out := a.must(a.comes("S-1"))
	r := a.begin(a.at)
	must(t, mfatest.NewDesk(a.gate).SetDisabled(t.Context(), "acme:erin", true))
	_, _, err := a.gate.FinishRedirect(t.Context(), a.at, "acme", r.Browser, a.provider.SignIn(r.Location, "S-1"))
	wants(t, err, mfa.ErrRejected)
	_, err = a.gate.State(t.Context(), a.at, out.Session.ID)
	wants(t, err, mfa.ErrNoSession)
	must(t, mfatest.NewDesk(a.gate).SetDisabled(t.Context(), "erin", false))
	a.must(a.comes("S-1"))
}

// AC-183: nothing was established, or something that no source takes. Nobody is nobody.
func TestGate_AC183_EmptyClaims(t *testing.T) {
	a := newAbroad(t)
	for name, test := range map[string]struct {
		claim mfa.Claim
		want  error
	}{
		"nothing":                  {mfa.Claim{}, mfa.ErrRejected},
		"no subject":               {mfa.Claim{Source: "before"}, mfa.ErrRejected},
		"no source":                {mfa.Claim{Subject: "erin"}, mfa.ErrRejected},
		"a source that is none":    {mfa.Claim{Source: "behind", Subject: "erin"}, mfa.ErrRejected},
		"a source of another kind": {mfa.Claim{Source: "acme", Subject: "S-1"}, mfa.ErrRejected},
		"the local accounts":       {mfa.Claim{Source: "local", Subject: "alice"}, mfa.ErrRejected},
		"not replaced":             {mfa.Claim{Source: "before", Subject: "{http.auth.user.id}"}, mfa.ErrName},
	} {
		at := *a.at
		at.Established = test.claim
		if out, err := a.gate.SignInEstablished(t.Context(), &at); out != nil || !errors.Is(err, test.want) {
			t.Errorf("%s: %v, %v", name, out, err)
		}
	}
	if n := a.recorded(mfa.EventSignUp, true); n != 0 {
		t.Errorf("%d records were made", n)
	}
}

// Session fixation: what a browser held before a sign-in at a source ends with it.
func TestGate_RedirectReplacesTheSession(t *testing.T) {
	a := newAbroad(t)
	planted := a.must(a.comes("S-1"))
	at := *a.at
	at.Replaces = planted.Session.ID
	r := a.begin(&at)
	if _, _, err := a.gate.FinishRedirect(t.Context(), &at, "acme", r.Browser, a.provider.SignIn(r.Location, "S-1")); err != nil {
		t.Fatal(err)
	}
	_, err := a.gate.State(t.Context(), a.at, planted.Session.ID)
	wants(t, err, mfa.ErrNoSession)
}

func TestGate_SignInSources(t *testing.T) {
	want := []mfa.SourceInfo{
		{Name: "local", Title: "local", Kind: mfa.ByPassword}, {Name: "acme", Title: "Acme", Kind: mfa.ByRedirect},
		{Name: "corp", Title: "corp", Kind: mfa.ByPassword}, {Name: "before", Title: "before", Kind: mfa.ByClaim},
	}
	if got := newAbroad(t).gate.SignInSources(); !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
}
