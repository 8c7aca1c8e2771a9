package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/sender"
)

// scrape returns what Caddy shows of ours at its admin endpoint, by name and labels as
// they are written there.
func (g *gateway) scrape() map[string]float64 {
	g.t.Helper()
	resp, err := http.Get("http://" + g.admin + "/metrics")
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		g.t.Fatalf("%d %v: %s", resp.StatusCode, err, raw)
	}
	values := map[string]float64{}
	for line := range strings.Lines(string(raw)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		if !strings.HasSuffix(name, `"`) {
			name, value, _ = strings.Cut(strings.TrimSpace(line), " ")
		} else {
			name += "}"
		}
		if n, err := strconv.ParseFloat(value, 64); err == nil && strings.HasPrefix(name, "secondgate_") {
			values[name] = n
		}
	}
	return values
}

// grew compares by how much metrics have grown.
func grew(t *testing.T, before, after map[string]float64, want map[string]float64) {
	t.Helper()
	for name, by := range want {
		if got := after[name] - before[name]; got != by {
			t.Errorf("%s grew by %v, want %v", name, got, by)
		}
	}
}

// What the gate does is seen at Caddy's own metrics endpoint, and goes on from there
// after a reload.
func TestMetrics_OfARunningGateway(t *testing.T) {
	g := newGateway(t)
	text := g.text("require on", "mfa\n\tmfa /public/* {\n\t\tbypass\n\t}\n\trespond ok")
	text = strings.Replace(text, "\tmfa\n\tmfa /public/*", "\tmfa /public/*", 1)
	text = strings.Replace(text, "\trespond ok", "\tmfa\n\trespond ok", 1)
	g.mustLoad(text)
	before := g.scrape()
	cookie := g.signIn("alice", time.Minute)
	for range 5 {
		if resp, _ := g.get("/x", cookie); resp.StatusCode != http.StatusOK {
			t.Fatalf("%d", resp.StatusCode)
		}
	}
	g.get("/x", nil)
	g.get("/public/x", nil)
	gate, ctx := g.generation().gate, context.Background()
	at := &mfa.Place{Origin: "http://" + g.host, Host: g.host, Scope: g.host, Network: "192.0.2.0/24"}
	for range 6 {
		if _, err := gate.SignIn(ctx, at, "local", "nobody-of-that-name", "wrong"); err == nil {
			t.Fatal("signed in")
		}
	}
	after := g.scrape()
	grew(t, before, after, map[string]float64{
		`secondgate_decisions_total{action="allow",reason="none",report_only="false"}`:         5,
		`secondgate_decisions_total{action="allow",reason="bypass",report_only="false"}`:       1,
		`secondgate_decisions_total{action="sign_in",reason="no_session",report_only="false"}`: 1,
		`secondgate_sign_ins_total{factor="password",outcome="rejected"}`:                      5,
		`secondgate_sign_ins_total{factor="password",outcome="throttled"}`:                     1,
		`secondgate_throttled_attempts_total{step="sign_in"}`:                                  1,
		`secondgate_store_operation_duration_seconds_count{operation="create_session"}`:        1,
		`secondgate_store_operation_duration_seconds_count{operation="session"}`:               1,
		`secondgate_store_errors_total{operation="session"}`:                                   0,
	})
	if hits := after["secondgate_session_cache_hits_total"]; hits < 4 {
		t.Errorf("%v hits", hits)
	}

	g.mustLoad(strings.Replace(text, "respond ok", "respond again", 1))
	g.get("/x", cookie)
	again := g.scrape()
	grew(t, after, again, map[string]float64{
		`secondgate_decisions_total{action="allow",reason="none",report_only="false"}`: 1,
		`secondgate_sign_ins_total{factor="password",outcome="rejected"}`:              0,
		`secondgate_session_cache_hits_total`:                                          1,
	})
}

// AC-232: nothing that anybody outside can choose becomes a label, whatever comes, and
// the number of series stays bounded.
func TestMetrics_AC232_LabelsAreBounded(t *testing.T) {
	m := newMetrics()
	registry := prometheus.NewPedanticRegistry()
	for _, c := range m.collectors() {
		registry.MustRegister(c)
	}
	letters := []mfa.LetterKind{"", mfa.LetterVerify, mfa.LetterNotice, mfa.LetterInvitation}
	for i := range 1000 {
		evil := fmt.Sprintf("evil-%d.example", i)
		e := mfa.Event{
			Name: mfa.EventName(evil), Reason: evil, User: mfa.UserID(evil), UserName: evil, Factor: mfa.Kind(evil), Session: evil,
			Network: evil, Host: evil, Decision: evil, Detail: evil,
		}
		for _, name := range append(mfa.EventNames, e.Name) {
			for _, reason := range []string{evil, "throttled", "password_" + evil} {
				e.Name, e.Reason = name, reason
				countEvents{m}.Record(t.Context(), e)
			}
		}
		for a := mfa.Refuse; a < mfa.Allow+3; a++ {
			m.decisions.count(mfa.Decision{Action: a, Reason: mfa.Reason(evil), ID: evil}, i%2 == 0, evil)
			m.decisions.count(mfa.Decision{Action: mfa.Allow, Reason: mfa.ReasonReportOnly, Would: a, Because: mfa.Reason(evil)}, true, evil)
		}
		s := &measuredSender{Sender: refusing{errors.New(evil)}, channel: "sms", name: "log", metrics: m}
		_ = s.Send(t.Context(), &mfa.Message{Kind: letters[i%len(letters)], To: evil})
		measuredPost{metrics: m}.drop(&mfa.Letter{Channel: mfa.Kind(evil), To: evil, Kind: mfa.LetterKind(evil)})
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := 0
	for _, f := range families {
		for _, one := range f.Metric {
			series++
			for _, l := range one.Label {
				if strings.Contains(l.GetValue(), "evil") {
					t.Fatalf("%s: %s=%q", f.GetName(), l.GetName(), l.GetValue())
				}
			}
		}
	}
	if len(families) < 8 || series > 80 {
		t.Errorf("%d families with %d series", len(families), series)
	}
}

type refusing struct{ err error }

func (r refusing) Send(context.Context, *mfa.Message) error { return r.err }

// The lists of labels have every reason and every word for an error that the core has:
// what is missing here would be counted as "other".
func TestMetrics_LabelsKnowEveryReason(t *testing.T) {
	files, err := filepath.Glob("../mfa/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var declared []mfa.Reason
	var words []string
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil || strings.HasSuffix(file, "_test.go") {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.ValueSpec:
				if kind, ok := n.Type.(*ast.Ident); ok && kind.Name == "Reason" && len(n.Values) == 1 {
					text, _ := strconv.Unquote(n.Values[0].(*ast.BasicLit).Value)
					declared = append(declared, mfa.Reason(text))
				}
			case *ast.FuncDecl:
				if n.Name.Name == "reasonOf" {
					ast.Inspect(n, func(n ast.Node) bool {
						if ret, ok := n.(*ast.ReturnStmt); ok {
							if lit, ok := ret.Results[0].(*ast.BasicLit); ok {
								text, _ := strconv.Unquote(lit.Value)
								words = append(words, text)
							}
						}
						return true
					})
				}
			}
			return true
		})
	}
	if len(declared) < 25 || len(words) < 15 {
		t.Fatalf("found %d reasons and %d words, which cannot be all", len(declared), len(words))
	}
	for _, r := range declared {
		if got := reasonLabel(r); r != "" && got != string(r) {
			t.Errorf("the reason %q is counted as %q: add it to reasons", r, got)
		}
	}
	for _, w := range words {
		if got := outcomeLabel(mfa.Event{Reason: w}); w != "" && got != w {
			t.Errorf("the word %q is counted as %q: add it to outcomes", w, got)
		}
	}
}

// Counting what is allowed makes nothing and meets nobody at a lock.
func TestMetrics_AllowedCostsNothing(t *testing.T) {
	c := &newMetrics().decisions
	d := mfa.Decision{Action: mfa.Allow}
	if n := testing.AllocsPerRun(1000, func() { c.count(d, true, "192.0.2.1:5063") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	for i := range 100 {
		c.count(d, true, "192.0.2.1:"+strconv.Itoa(i))
	}
	spread := 0
	for i := range c.allowed {
		if c.allowed[i].n.Load() > 0 {
			spread++
		}
	}
	if spread < 8 {
		t.Errorf("100 connections are counted in %d places", spread)
	}
}

// What report_only let through is told apart from what was allowed (rule B18), and so
// is what could not be decided.
func TestMetrics_Decisions(t *testing.T) {
	m := newMetrics()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(&m.decisions)
	for _, c := range []struct {
		d       mfa.Decision
		allowed bool
		want    string
	}{
		{mfa.Decision{Action: mfa.Allow}, true, "allow none false"},
		{mfa.Decision{Action: mfa.Allow, Reason: mfa.ReasonOff}, true, "allow off false"},
		{mfa.Decision{Action: mfa.Allow, Reason: mfa.ReasonReportOnly, Would: mfa.SetUp, Because: mfa.ReasonNothingSetUp}, true, "set_up nothing_set_up true"},
		{mfa.Decision{Action: mfa.Refuse, Reason: mfa.ReasonNotMember}, false, "refuse not_member false"},
		{mfa.Decision{}, false, "unavailable none false"},
		// Stale, on a route that asks for a fresh proof.
		{mfa.Decision{Action: mfa.Allow}, false, "unavailable none false"},
	} {
		before := seriesOf(t, registry, "secondgate_decisions_total")
		m.decisions.count(c.d, c.allowed, "")
		after := seriesOf(t, registry, "secondgate_decisions_total")
		if after[c.want]-before[c.want] != 1 {
			t.Errorf("%+v, %v: %q did not grow: %v", c.d, c.allowed, c.want, after)
		}
	}
}

// seriesOf returns one metric by the values of its labels.
func seriesOf(t *testing.T, registry prometheus.Gatherer, name string) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, one := range f.Metric {
			var labels []string
			for _, l := range one.Label {
				labels = append(labels, l.GetValue())
			}
			found[strings.Join(labels, " ")] = one.GetCounter().GetValue() + one.GetGauge().GetValue() + float64(one.GetHistogram().GetSampleCount())
		}
	}
	return found
}

// Two configurations in one registry, or a metric of somebody else's under our name,
// are no reason to go down.
func TestMetrics_RegisteringTwice(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	registry := prometheus.NewPedanticRegistry()
	for range 2 {
		a := &App{logger: zap.New(core)}
		a.registerMetrics(registry)
	}
	if logs.Len() != 0 {
		t.Errorf("%v", logs.All())
	}
	if _, err := registry.Gather(); err != nil {
		t.Error(err)
	}
	taken := prometheus.NewPedanticRegistry()
	taken.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "secondgate_sign_ins_total", Help: "Another."}))
	(&App{logger: zap.New(core)}).registerMetrics(taken)
	if logs.Len() != 1 {
		t.Errorf("%d lines for one that cannot be shown", logs.Len())
	}
}

// faultyStore answers with one error.
type faultyStore struct {
	openStore
	err error
}

func (s faultyStore) User(context.Context, mfa.UserID) (*mfa.User, error) { return nil, s.err }

func (s faultyStore) UpdateUser(_ context.Context, _ mfa.UserID, change func(*mfa.User) error) error {
	if s.err != nil {
		return s.err
	}
	if err := change(new(mfa.User)); err != nil {
		return fmt.Errorf("changing: %w", err)
	}
	return nil
}

// A store that answers "no" works; one that cannot answer does not.
func TestMeasuredStore_CountsErrors(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		change error
		failed float64
	}{
		"it works":                 {nil, nil, 0},
		"nobody of that name":      {fmt.Errorf("reading: %w", mfa.ErrNotFound), nil, 0},
		"the asker went away":      {context.Canceled, nil, 0},
		"a rule said no":           {nil, mfa.ErrRejected, 0},
		"it took too long":         {context.DeadlineExceeded, nil, 1},
		"the disk is gone":         {errors.New("no such device"), nil, 1},
		"an error without a value": {errors.Join(errors.New("a"), errors.New("b")), nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMetrics()
			registry := prometheus.NewPedanticRegistry()
			registry.MustRegister(m.storeTime, m.storeErrors)
			s := measure(faultyStore{err: c.err}, m)
			if _, err := s.User(t.Context(), "alice"); !errors.Is(err, c.err) {
				t.Errorf("the error became %v", err)
			}
			err := s.UpdateUser(t.Context(), "alice", func(*mfa.User) error { return c.change })
			if want := errors.Join(c.err, c.change); want != nil && !errors.Is(err, c.err) && !errors.Is(err, c.change) {
				t.Errorf("the error became %v", err)
			}
			for _, op := range []string{"user", "update_user"} {
				if n := seriesOf(t, registry, "secondgate_store_errors_total")[op]; n != c.failed {
					t.Errorf("%s: %v errors, want %v", op, n, c.failed)
				}
				if n := seriesOf(t, registry, "secondgate_store_operation_duration_seconds")[op]; n != 1 {
					t.Errorf("%s: measured %v times", op, n)
				}
			}
		})
	}
}

// Each method of the store that takes a context is measured, under its own name. Whoever
// adds one to mfa.Store adds it to metrics_store_methods.go.
func TestMeasuredStore_MeasuresEveryMethod(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "metrics_store_methods.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	measured := map[string]string{}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		ast.Inspect(fn, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "begin" {
				measured[fn.Name.Name], _ = strconv.Unquote(call.Args[1].(*ast.BasicLit).Value)
			}
			return true
		})
	}
	snake := regexp.MustCompile(`([a-z]|[A-Z]{2,})([A-Z])`) // "APIKey" is "api_key"
	kind := reflect.TypeFor[mfa.Store]()
	n := 0
	for i := range kind.NumMethod() {
		m := kind.Method(i)
		if m.Type.NumIn() == 0 || m.Type.In(0) != reflect.TypeFor[context.Context]() {
			continue
		}
		n++
		want := strings.ToLower(snake.ReplaceAllString(m.Name, "${1}_$2"))
		if measured[m.Name] != want {
			t.Errorf("%s is measured as %q, want %q", m.Name, measured[m.Name], want)
		}
	}
	if n < 20 {
		t.Errorf("the store has %d methods, which cannot be all", n)
	}
}

// Users are counted by the function that the store has for it, every 30 seconds at
// most; where it fails no old number is shown.
func TestUsersCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counts, asked, fail := map[mfa.Kinds]int{
			0:                               7,
			mfa.KindsOf(mfa.BackupCode):     2,
			mfa.KindsOf(mfa.TOTP):           3,
			mfa.KindsOf(mfa.Passkey):        4,
			mfa.KindsOf("of the year 2040"): 5,
			mfa.KindsOf(mfa.Passkey, mfa.TOTP, mfa.BackupCode): 6,
		}, 0, error(nil)
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(newUsersCollector(func(ctx context.Context) (map[mfa.Kinds]int, error) {
			if _, limited := ctx.Deadline(); !limited {
				t.Error("a scrape may wait for ever")
			}
			asked++
			return counts, fail
		}))
		show := func() string {
			var list []string
			for _, name := range []string{"secondgate_users", "secondgate_users_without_factor", "secondgate_users_with_factor"} {
				for labels, n := range seriesOf(t, registry, name) {
					list = append(list, strings.TrimSpace(fmt.Sprintf("%s %s", strings.TrimPrefix(name, "secondgate_"), labels))+fmt.Sprint(" ", n))
				}
			}
			slices.Sort(list)
			return strings.Join(list, ", ")
		}
		const want = "users 27, users_with_factor backup_code 8, users_with_factor email 0, users_with_factor passkey 10, " +
			"users_with_factor sms 0, users_with_factor totp 9, users_without_factor 9"
		for range 10 {
			if got := show(); got != want {
				t.Fatalf("%s\nwant %s", got, want)
			}
			time.Sleep(time.Second)
		}
		if asked != 1 {
			t.Errorf("asked %d times in ten seconds", asked)
		}
		fail = errors.New("the store is down")
		time.Sleep(coverageEvery)
		if got := show(); got != "" {
			t.Errorf("while the store is down: %s", got)
		}
		show()
		if asked != 2 {
			t.Errorf("a store that fails is asked at every scrape: %d", asked)
		}
		fail = nil
		time.Sleep(coverageEvery)
		if got := show(); got != want {
			t.Errorf("when it is back: %s", got)
		}
	})
}

// Before the store is open, and where it cannot count, there is nothing to show.
func TestUsersCollector_NobodyToAsk(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(newUsersCollector(new(App).coverage))
	if n := seriesOf(t, registry, "secondgate_users"); len(n) != 0 {
		t.Errorf("%v", n)
	}
}

// The running store says how many people hold what, and stays open while it is asked.
func TestMetrics_UsersOfARunningGateway(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("require on", "mfa\n\trespond ok"))
	g.signIn("alice", time.Minute)
	for i := range 3 {
		name := fmt.Sprint("bob-", i)
		u := &mfa.User{ID: mfa.UserID(name), Handle: []byte(name), Source: "local", Subject: name, Name: name, Disabled: i == 2}
		if err := g.generation().pooled.store.store.CreateUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
	}
	held, ask := false, g.generation().coverage
	g.generation().coverage = func(ctx context.Context) (map[mfa.Kinds]int, error) {
		held = g.generation().uses.Load() > 1
		return ask(ctx)
	}
	for name, want := range map[string]float64{
		"secondgate_users": 3, "secondgate_users_without_factor": 2, `secondgate_users_with_factor{factor="totp"}`: 1,
		`secondgate_users_with_factor{factor="passkey"}`: 0,
	} {
		if n, there := g.scrape()[name]; !there || n != want {
			t.Errorf("%s: %v (%v), want %v", name, n, there, want)
		}
	}
	if !held {
		t.Error("nobody held the store open")
	}
}

// What was sent is counted by how it ended, and costs what the configuration says,
// once for each message that the provider took.
func TestMeasuredSender(t *testing.T) {
	m := newMetrics()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m.messages, m.cost)
	for _, err := range []error{nil, nil, &mfa.SendError{Temporary: true, Err: errors.New("busy")}, &mfa.SendError{Err: errors.New("no")}, errors.New("no")} {
		s := &measuredSender{Sender: refusing{err}, channel: "sms", name: "twilio", price: 0.075, metrics: m}
		if got := s.Send(t.Context(), &mfa.Message{Kind: mfa.LetterVerify}); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
	free := &measuredSender{Sender: refusing{}, channel: "email", name: "smtp", metrics: m}
	_ = free.Send(t.Context(), &mfa.Message{Kind: mfa.LetterNotice})
	_ = free.Send(t.Context(), &mfa.Message{Kind: mfa.LetterInvitation})
	want := map[string]float64{
		"sms code sent twilio": 2, "sms code retry twilio": 1, "sms code error twilio": 2, "email notice sent smtp": 1, "email link sent smtp": 1,
	}
	got := seriesOf(t, registry, "secondgate_messages_total")
	for labels, n := range want {
		part := strings.Fields(labels) // labels come in the order of their names
		if key := strings.Join([]string{part[0], part[1], part[2], part[3]}, " "); got[key] != n {
			t.Errorf("%s: %v, want %v", key, got[key], n)
		}
	}
	if cost := seriesOf(t, registry, "secondgate_messages_cost_total"); len(cost) != 1 || cost["sms twilio"] != 0.15 {
		t.Errorf("cost: %v", cost)
	}
}

// A letter that never came as far as a sender is counted, too.
func TestMeasuredPost_CountsWhatIsDropped(t *testing.T) {
	m := newMetrics()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m.dropped)
	post, err := sender.New(sender.Config{Senders: map[mfa.Kind]mfa.Sender{mfa.Email: refusing{}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := post.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if (measuredPost{post, m}).Queue(&mfa.Letter{Channel: mfa.Email, Kind: mfa.LetterNotice}) {
		t.Error("queued by a post that is closed")
	}
	if n := seriesOf(t, registry, "secondgate_messages_dropped_total")["email notice"]; n != 1 {
		t.Errorf("%v", n)
	}
}

// The price of a message comes from the configuration, and is a number.
func TestPrice(t *testing.T) {
	g := newGateway(t)
	twilio := "sms {\n\t\t\tcountries DE\n\t\t}\n\t\tsender sms twilio {\n\t\t\taccount AC0123456789abcdef0123456789abcdef\n\t\t\ttoken secret\n\t\t\tfrom +15005550006\n\t\t\tprice 0.075\n\t\t}"
	g.mustLoad(g.text(twilio, "mfa\n\trespond ok"))
	running, err := caddy.ActiveContext().AppIfConfigured("mfa")
	if err != nil {
		t.Fatal(err)
	}
	s, ok := running.(*App).senders[mfa.SMS].(*measuredSender)
	if !ok || s.price != 0.075 || s.name != "twilio" || s.channel != "sms" {
		t.Errorf("%+v", s)
	}
	for _, bad := range []float64{-1, 1e9} {
		if checkPrice(bad) == nil {
			t.Errorf("%v is accepted", bad)
		}
	}
}
