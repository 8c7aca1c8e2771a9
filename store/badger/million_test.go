package badger

import (
	"bytes"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
)

var (
	listUsers = flag.Int("lists", 500, "how many users TestLists_ofManyUsers lists; the figures in docs/benchmarks.md are of 1,000,000")
	listDir   = flag.String("listsdir", "", "where TestLists_ofManyUsers keeps its store; one that is there is used again")
)

var syllables = strings.Fields("an bel cor dan el fer gar hol in jo kar lin mar nor ol per quin ros sam tor ul van wil xa yan zo")

// citizen is a user like those of a large organization.
func citizen(i int) *mfa.User {
	r := rand.New(rand.NewPCG(7, uint64(i)))
	word := func() string {
		return syllables[r.IntN(len(syllables))] + syllables[r.IntN(len(syllables))] + syllables[r.IntN(len(syllables))]
	}
	first, last := word(), word()
	name := fmt.Sprintf("%s.%s%07d", first[:1], last, i)
	u := &mfa.User{
		ID: mfa.UserID(fmt.Sprintf("u-%020d", i)), Handle: fmt.Appendf(nil, "handle-%025d", i), Source: mfa.LocalSource, Subject: name, Name: name,
		DisplayName: strings.ToUpper(first[:1]) + first[1:] + " " + strings.ToUpper(last[:1]) + last[1:],
		Email:       fmt.Sprintf("%s@company%02d.example", name, r.IntN(50)), EmailVerified: r.IntN(20) > 0,
		Password: mfa.Secret("$argon2id$v=19$m=65536,t=3,p=1$" + strings.Repeat("x", 66)), Created: time.Unix(1_700_000_000+int64(i), 0).UTC(),
	}
	hold := func(kinds ...mfa.Kind) {
		for k, kind := range kinds {
			u.Credentials = append(u.Credentials, mfa.Credential{
				ID: mfa.CredentialID(fmt.Sprintf("c%d-%016d", k, i)), Kind: kind, Name: "My phone", Created: u.Created, Data: mfa.Secret(strings.Repeat("x", 120)), Left: 10,
			})
		}
	}
	switch n := r.IntN(100); {
	case n < 35: // nothing
	case n < 37:
		hold(mfa.BackupCode)
	case n < 65:
		hold(mfa.TOTP, mfa.BackupCode)
	case n < 80:
		hold(mfa.Passkey)
	case n < 90:
		hold(mfa.Passkey, mfa.TOTP, mfa.BackupCode)
	case n < 96:
		hold(mfa.Email)
	default:
		hold(mfa.SMS)
	}
	if r.IntN(5) == 0 {
		u.Organizations = []mfa.OrganizationID{mfa.OrganizationID(fmt.Sprintf("org%02d", r.IntN(20)))}
	}
	u.Disabled, u.OptedOut = r.IntN(33) == 0, r.IntN(50) == 0
	if r.IntN(10) == 0 {
		u.SkippedPrompt = "passkey"
	}
	if r.IntN(200) == 0 {
		u.Locked = []mfa.Kind{mfa.TOTP}
	}
	if r.IntN(5) > 0 {
		u.FirstSignIn = u.Created
	}
	if r.IntN(20_000) == 0 {
		u.Auditor = true
	}
	return u
}

// TestLists_ofManyUsers measures lists, counters, the start and the building of the index
// of a large store, each in a process of its own, so that nothing of the filling is left
// in memory. With -lists 1000000 it holds the figures to their limits.
func TestLists_ofManyUsers(t *testing.T) {
	dir := *listDir
	if part := os.Getenv("SECONDGATE_TEST_LISTS"); part != "" {
		listPart(t, dir, part)
		return
	}
	if dir == "" {
		dir = t.TempDir()
	}
	for _, part := range []string{"fill", "build", "measure"} {
		if _, err := os.Stat(filepath.Join(dir, part)); err == nil {
			continue // a run before this one did that
		}
		child := exec.Command(os.Args[0], "-test.run=^TestLists_ofManyUsers$", "-test.v", "-test.timeout=2h",
			"-lists", fmt.Sprint(*listUsers), "-listsdir", dir)
		child.Env = append(os.Environ(), "SECONDGATE_TEST_LISTS="+part)
		out, err := child.CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if _, text, ok := strings.Cut(line, "=> "); ok {
				t.Log(strings.TrimSpace(text))
			}
		}
		if err != nil {
			t.Fatalf("%s: %v\n%s", part, err, out)
		}
		if part != "measure" {
			ok(t, os.WriteFile(filepath.Join(dir, part), nil, 0o600))
		}
	}
}

func listPart(t *testing.T, dir, part string) {
	n := *listUsers
	if dir == "" {
		t.Fatal("-listsdir is missing: it would fill the folder of the sources")
	}
	keys, err := seal.OpenOrCreateKeys(ctx, seal.FileVault(filepath.Join(dir, "keys")), nil)
	ok(t, err)
	o := Options{Dir: filepath.Join(dir, "store"), Keys: keys}
	if part == "fill" {
		s, err := Open(o)
		ok(t, err)
		began := time.Now()
		ok(t, loadOld(s, n))
		ok(t, s.writeAnchor())
		makeOld(t, s)
		ok(t, s.Close())
		t.Logf("=> %d users without index in %s", n, time.Since(began).Round(time.Second))
		return
	}
	var log bytes.Buffer
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	began := time.Now()
	s := openAt(t, o)
	took := time.Since(began)
	if part == "build" {
		t.Logf("=> building the index: %s (%s); then %s", took.Round(time.Millisecond), regexp.MustCompile(`took=\S+`).FindString(log.String()), ownMemory())
		return
	}
	time.Sleep(2 * time.Second)
	t.Logf("=> opening: %s; two seconds later %s", took.Round(time.Millisecond), ownMemory())
	if n >= 1_000_000 && took > time.Second {
		t.Errorf("opening took %s", took)
	}
	measureLists(t, s, n)
	t.Logf("=> in the end %s", ownMemory())
}

// loadOld writes users the fast way, as programs of format 1 did.
func loadOld(s *Store, n int) error {
	batch := s.db.NewWriteBatch()
	defer batch.Cancel()
	for i := range n {
		u := citizen(i)
		set := func(r row, v any) error {
			record, err := s.codec.Encode(r.table, r.id, v)
			if err != nil {
				return err
			}
			return batch.Set(r.key(), record)
		}
		if err := set(userRow(u.ID), u); err != nil {
			return err
		}
		for _, key := range u.UniqueKeys() {
			if err := set(keyRow(key), holder{User: u.ID}); err != nil {
				return err
			}
		}
		if err := batch.Set([]byte(namePrefix+u.Name+separator+string(u.ID)), nil); err != nil {
			return err
		}
	}
	return batch.Flush()
}

// ownMemory is what this process uses, where the system says so.
func ownMemory() string {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "unknown memory"
	}
	find := func(name string) string {
		m := regexp.MustCompile(name + `:\s+(\d+) kB`).FindSubmatch(raw)
		if m == nil {
			return "?"
		}
		var kb int
		_, _ = fmt.Sscan(string(m[1]), &kb)
		return fmt.Sprintf("%d MiB", kb>>10)
	}
	return find("VmRSS") + " resident, " + find("RssAnon") + " of it anonymous"
}

func measureLists(t *testing.T, s *Store, n int) {
	// holding are the facets of all sets of factors without these.
	holding := func(without mfa.Kinds, groups ...mfa.Facet) (list []mfa.Facet) {
		for k := range mfa.Kinds(1 << 5) {
			switch {
			case k&without != 0:
			case len(groups) == 0:
				list = append(list, mfa.FacetHolds(k))
			default:
				for _, g := range groups {
					list = append(list, mfa.FacetBoth(g, mfa.FacetHolds(k)))
				}
			}
		}
		return list
	}
	passkey := mfa.KindsOf(mfa.Passkey)
	org, domain := mfa.FacetOrganization("org07"), mfa.FacetDomain("company07.example")
	forecast := mfa.UserQuery{Where: where(holding(mfa.PrimaryKinds)), Not: []mfa.Facet{mfa.FacetDisabled}}
	queries := []struct {
		what string
		q    mfa.UserQuery
		full bool // there are more than fifty, also behind nine tenths of the names
	}{
		{"everybody", mfa.UserQuery{}, true},
		{"search, one letter", mfa.UserQuery{Search: "m"}, true},
		{"search, three letters", mfa.UserQuery{Search: "mar"}, true},
		{"search, a whole word", mfa.UserQuery{Search: "marlinros"}, false},
		{"search, an address", mfa.UserQuery{Search: citizen(n / 2).Email}, false},
		{"search, nobody", mfa.UserQuery{Search: "qqq"}, false},
		{"without a factor (forecast)", forecast, true},
		{"forecast of an organization", mfa.UserQuery{Where: where(holding(mfa.PrimaryKinds, org)), Not: forecast.Not}, false},
		{"forecast of an organization with a domain", mfa.UserQuery{Where: where(holding(mfa.PrimaryKinds, org, domain)), Not: forecast.Not}, true},
		{"… where passkeys alone count (32 facets)", mfa.UserQuery{Where: where(holding(passkey, org, domain)), Not: forecast.Not}, true},
		{"… of everybody, where passkeys alone count (16 facets)", mfa.UserQuery{Where: where(holding(passkey)), Not: forecast.Not}, true},
		{"exactly no factor", mfa.UserQuery{Where: [][]mfa.Facet{{mfa.FacetHolds(0)}}}, true},
		{"passkey alone", mfa.UserQuery{Where: [][]mfa.Facet{{mfa.FacetHolds(passkey)}}}, true},
		{"disabled", mfa.UserQuery{Where: [][]mfa.Facet{{mfa.FacetDisabled}}}, true},
		{"skipped", mfa.UserQuery{Where: [][]mfa.Facet{{mfa.FacetSkipped}}}, true},
		{"opted out", mfa.UserQuery{Where: [][]mfa.Facet{{mfa.FacetOptedOut}}}, true},
		{"locked", mfa.UserQuery{Where: [][]mfa.Facet{{mfa.FacetLocked}}}, true},
		{"never signed in", mfa.UserQuery{Where: [][]mfa.Facet{{mfa.FacetNewcomer}}}, true},
		{"role", mfa.UserQuery{Where: [][]mfa.Facet{{mfa.FacetRole}}}, false},
		{"organization", mfa.UserQuery{Where: [][]mfa.Facet{{mfa.FacetOrganization("org07")}}}, true},
		{"domain", mfa.UserQuery{Where: [][]mfa.Facet{{mfa.FacetDomain("company07.example")}}}, true},
		{"next to nobody matches: as many looked at as one call does", mfa.UserQuery{Where: [][]mfa.Facet{{mfa.FacetNewcomer}, {mfa.FacetRole}}}, false},
	}
	// The name behind which one tenth of all stand.
	names := make([]string, 0, n)
	for i := range n {
		names = append(names, citizen(i).Name)
	}
	slices.Sort(names)
	late := names[n*9/10]
	const size = 50
	large, runs := n >= 1_000_000, 5
	if large {
		runs = 101
	}
	for _, c := range queries {
		page := func(after string) (time.Duration, int) {
			t.Helper()
			began := time.Now()
			page, _, err := s.ListUsers(ctx, c.q, after, size)
			took := time.Since(began)
			ok(t, err)
			return took, len(page)
		}
		behind := late + separator
		if c.q.Search != "" {
			behind = "s" // of what follows what is searched for
			if len(c.q.Search) == 1 {
				behind = "ars"
			}
		}
		after, err := s.sealCursor(c.q, behind)
		ok(t, err)
		var first, later []time.Duration
		var found, foundLater int
		for range runs {
			took, len := page("")
			first, found = append(first, took), len
			took, len = page(after)
			later, foundLater = append(later, took), len
		}
		slices.Sort(first)
		slices.Sort(later)
		t.Logf("=> %-60s %3d users: median %7.2f ms, worst %7.2f ms", c.what, found, ms(first[runs/2]), ms(first[runs-1]))
		if c.full {
			t.Logf("=> %-60s %3d users: median %7.2f ms, worst %7.2f ms, ratio %.2f", "  … behind nine tenths", foundLater, ms(later[runs/2]), ms(later[runs-1]), float64(later[runs/2])/float64(first[runs/2]))
		}
		if large && (first[runs/2] > 50*time.Millisecond || later[runs/2] > 50*time.Millisecond) {
			t.Errorf("%s: %s and %s", c.what, first[runs/2], later[runs/2])
		}
		if large && c.full && (found != size || foundLater != size) {
			t.Errorf("%s: pages of %d and %d", c.what, found, foundLater)
		}
	}
	for what, facets := range map[string][]mfa.Facet{
		"count everybody": nil, "count an organization": {mfa.FacetOrganization("org07")}, "count a domain": {mfa.FacetDomain("company07.example")},
		"count who is in both": {mfa.FacetDomain("company07.example"), mfa.FacetOrganization("org07")},
	} {
		var all []time.Duration
		sum := 0
		for range runs {
			began := time.Now()
			got, err := s.CountUsers(ctx, facets...)
			all = append(all, time.Since(began))
			ok(t, err)
			sum = 0
			for _, n := range got {
				sum += n
			}
		}
		slices.Sort(all)
		t.Logf("=> %-60s %d: median %.2f ms, worst %.2f ms", what, sum, ms(all[runs/2]), ms(all[runs-1]))
		if large && all[runs/2] > 50*time.Millisecond {
			t.Errorf("%s: %s", what, all[runs/2])
		}
	}
	// They are right, too.
	want := 0
	for i := range n {
		if !citizen(i).Disabled {
			want++
		}
	}
	got, err := s.CountUsers(ctx)
	ok(t, err)
	sum := 0
	for _, n := range got {
		sum += n
	}
	if sum != want {
		t.Errorf("counted are %d, want %d", sum, want)
	}
	if !large {
		ok(t, s.CheckIndex(ctx))
	}
}

func where(any []mfa.Facet) [][]mfa.Facet { return [][]mfa.Facet{any} }

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
