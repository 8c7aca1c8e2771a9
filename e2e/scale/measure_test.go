package scale

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// A series is a few steps that belong together; it tells each by its name.
type series struct {
	rounds int // of a run with a million users
	run    func(w *world, number, r, rounds int, told func(step string, took time.Duration)) error
}

// timed runs one step.
func timed(told func(string, time.Duration), step string, do func() error) error {
	began := time.Now()
	err := do()
	told(step, time.Since(began))
	if err != nil {
		return fmt.Errorf("%s: %w", step, err)
	}
	return nil
}

// The steps, in the order of the table. What begins a list's name is a first page.
const (
	stepHashed   = "sign-in up to the second factor"
	stepSignIn   = "… without Argon2"
	stepTOTP     = "verification: authenticator app"
	stepPasskey  = "verification: passkey, both halves"
	stepCode     = "verification: backup code, without Argon2"
	stepHit      = "check, cached (1,000 in use)"
	stepHitMany  = "check, cached (10,000 in use)"
	stepMiss     = "check, missed"
	stepSignOut  = "sign-out"
	stepInvite   = "invite"
	stepCount    = "count: who holds what"
	stepCountOf  = "count: an organization with a domain"
	stepSearch   = "list: search, three letters"
	stepAddress  = "list: search, an address"
	stepList     = "list: everybody"
	stepListBack = "list: … behind a fifth of all"
	stepNone     = "list: no factor"
	stepDisabled = "list: disabled"
	stepMembers  = "list: an organization with a domain"
	stepForecast = "list: forecast"
	stepEvents   = "list: events"
	stepOwn      = "list: events of one user"
)

var steps = []string{
	stepHashed, stepSignIn, stepTOTP, stepPasskey, stepCode, stepMiss, stepHit, stepHitMany, stepSignOut, stepInvite, stepCount, stepCountOf,
	stepList, stepListBack, stepSearch, stepAddress, stepNone, stepDisabled, stepMembers, stepForecast, stepEvents, stepOwn,
}

const seriesCount = 7

// isPage reports whether the step is an administrator's, which has to come within 50 ms.
func isPage(step string) bool {
	return strings.HasPrefix(step, "list: ") || strings.HasPrefix(step, "count: ")
}

var allSeries = [seriesCount]series{
	{15, func(w *world, number, r, rounds int, told func(string, time.Duration)) error {
		i := w.pick(number, r, rounds)
		return timed(told, stepHashed, func() error { return second(w.signIn(w.gate, i)) })
	}},
	{151, visit(stepTOTP, func(w *world, ctx context.Context, at *mfa.Place, i int, id mfa.SessionID) (*mfa.Outcome, error) {
		code, err := w.codeAt(time.Now())
		if err != nil {
			return nil, err
		}
		return w.quick.VerifyTOTP(ctx, at, id, code)
	})},
	{151, visit(stepPasskey, func(w *world, ctx context.Context, at *mfa.Place, i int, id mfa.SessionID) (*mfa.Outcome, error) {
		c, err := w.quick.BeginVerifyPasskey(ctx, at, id)
		if err != nil {
			return nil, err
		}
		answer, err := w.touch(c.Options, i)
		if err != nil {
			return nil, err
		}
		return w.quick.FinishVerifyPasskey(ctx, at, id, c.ID, answer)
	})},
	{101, visit(stepCode, func(w *world, ctx context.Context, at *mfa.Place, _ int, id mfa.SessionID) (*mfa.Outcome, error) {
		return w.quick.VerifyBackupCode(ctx, at, id, w.Code)
	})},
	{101, (*world).checks},
	{151, (*world).invites},
	{51, (*world).administrates},
}

func second[T any](_ T, err error) error { return err }

func (w *world) signIn(g *mfa.Gate, i int) (*mfa.Outcome, error) {
	out, err := g.SignIn(context.Background(), placeOf(i), mfa.LocalSource, w.user(i).Name, goodPassword)
	if err != nil {
		return nil, err
	}
	return out, expect(out.Decision, mfa.Verify)
}

// visit is a sign-in, a verification, and a sign-out.
func visit(step string, verify func(*world, context.Context, *mfa.Place, int, mfa.SessionID) (*mfa.Outcome, error)) func(*world, int, int, int, func(string, time.Duration)) error {
	return func(w *world, number, r, rounds int, told func(string, time.Duration)) error {
		ctx, i := context.Background(), w.pick(number, r, rounds)
		at := placeOf(i)
		var in *mfa.Outcome
		err := timed(told, stepSignIn, func() (err error) { in, err = w.signIn(w.quick, i); return err })
		if err != nil {
			return err
		}
		var out *mfa.Outcome
		err = timed(told, step, func() (err error) {
			if out, err = verify(w, ctx, at, i, in.Session.ID); err != nil {
				return err
			}
			return expect(out.Decision, mfa.Allow)
		})
		if err != nil {
			return err
		}
		return timed(told, stepSignOut, func() error { return second(w.quick.SignOut(ctx, at, out.Session.ID, "")) })
	}
}

// checks asks for a session that is not at hand, and for some that are.
func (w *world) checks(number, r, rounds int, told func(string, time.Duration)) error {
	ctx := context.Background()
	token, err := w.uncached.Issue(w.session(w.pick(number, r, rounds)))
	if err != nil {
		return err
	}
	if err := timed(told, stepMiss, func() error { return second(w.uncached.Verify(ctx, token, scope)) }); err != nil {
		return err
	}
	if err := w.hits(stepHit, 1000, told); err != nil || w.users < 10_000 {
		return err
	}
	return w.hits(stepHitMany, 10_000, told)
}

// hits asks for so many sessions, spread over all, one after the other.
func (w *world) hits(step string, active int, told func(string, time.Duration)) error {
	ctx := context.Background()
	if w.tokens[active] == nil {
		for n := range active {
			token, err := w.cached.Issue(w.session(n * (w.users / active)))
			if err != nil {
				return err
			}
			w.tokens[active] = append(w.tokens[active], token)
		}
	}
	all := func() error {
		for _, token := range w.tokens[active] {
			if _, err := w.cached.Verify(ctx, token, scope); err != nil {
				return err
			}
		}
		return nil
	}
	if err := all(); err != nil { // now they are in the cache, also where 30 s are over
		return err
	}
	began := time.Now()
	err := all()
	told(step, time.Since(began)/time.Duration(active))
	return err
}

// invites writes three times, and waits for the disk each time: it needs as many rounds as a
// sign-in to say anything.
func (w *world) invites(_, r, _ int, told func(string, time.Duration)) error {
	return timed(told, stepInvite, func() error {
		_, _, err := w.desk.Invite(context.Background(), mfa.InviteInput{Name: fmt.Sprintf("guest-%d-%d", time.Now().UnixNano(), r), DisplayName: "A Guest"})
		return err
	})
}

// administrates asks for what administrators look at.
func (w *world) administrates(number, r, rounds int, told func(string, time.Duration)) error {
	const size = 50
	ctx := context.Background()
	users := func(f mfa.UserFilter, after string) func() error {
		return func() error {
			page, _, err := w.desk.Users(ctx, f, after, size)
			if err == nil && len(page) == 0 {
				err = errors.New("an empty page")
			}
			return err
		}
	}
	for _, s := range []struct {
		step string
		do   func() error
	}{
		{stepCount, func() error { return second(w.desk.Coverage(ctx, "")) }},
		{stepCountOf, func() error { return second(w.desk.Coverage(ctx, "org07")) }},
		{stepList, users(mfa.UserFilter{}, "")},
		{stepListBack, users(mfa.UserFilter{}, w.late)},
		{stepSearch, users(mfa.UserFilter{Search: "mar"}, "")},
		{stepAddress, users(mfa.UserFilter{Search: w.user(w.pick(number, r, rounds)).Email}, "")},
		{stepNone, users(mfa.UserFilter{NoFactor: true, Enabled: true}, "")},
		{stepDisabled, users(mfa.UserFilter{Facet: mfa.FacetDisabled}, "")},
		{stepMembers, users(mfa.UserFilter{Organization: "org07"}, "")},
		{stepForecast, func() error { return second(w.desk.Forecast(ctx, "", "", size)) }},
		{stepEvents, func() error { return third(w.desk.Audit(ctx, mfa.AuditQuery{}, "", size)) }},
		{stepOwn, func() error { return third(w.desk.Activity(ctx, userID(w.pick(number, r, rounds)), "", size)) }},
	} {
		if err := timed(told, s.step, s.do); err != nil {
			return err
		}
	}
	return nil
}

func third[T, U any](_ T, _ U, err error) error { return err }

// seekLate finds the cursor behind a fifth of all names. There is no way but to
// go there; the pages are as large as the store gives them.
func (w *world) seekLate() error {
	for seen := 0; seen < w.users/5; {
		page, next, err := w.store.ListUsers(context.Background(), mfa.UserQuery{}, w.late, 400)
		if err != nil {
			return err
		}
		seen, w.late = seen+len(page), next
	}
	return nil
}

// figures are what was measured of one store.
type figures map[string][]time.Duration

func (f figures) median(step string) time.Duration {
	list := slices.Sorted(slices.Values(f[step]))
	if len(list) == 0 {
		return 0
	}
	return list[len(list)/2]
}

func (f figures) worst(step string) time.Duration {
	if len(f[step]) == 0 {
		return 0
	}
	return slices.Max(f[step])
}

// inTurns measures all of them, round by round in turns and each second round the other way
// round, so that what else happens on the machine falls on all.
func inTurns(t testing.TB, part float64, worlds ...*world) []figures {
	t.Helper()
	of := make([]figures, len(worlds))
	for i := range of {
		of[i] = make(figures)
	}
	for number, s := range allSeries {
		rounds := max(3, int(float64(s.rounds)*part))
		for r := range rounds {
			for turn := range worlds {
				i := turn
				if r%2 == 1 {
					i = len(worlds) - 1 - turn
				}
				err := s.run(worlds[i], number, r, rounds, func(step string, took time.Duration) { of[i][step] = append(of[i][step], took) })
				if err != nil {
					t.Fatalf("%d users, series %d, round %d: %v", worlds[i].users, number, r, err)
				}
			}
		}
	}
	return of
}
