package caddymodule

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/store"
)

// status asks the running gateway for its keys, as "keys status --json" does.
func (g *gateway) keyStatus() *store.RotationStatus {
	g.t.Helper()
	a, err := ask(g.admin, opKeyStatus, adminRequest{})
	if err != nil {
		g.t.Fatal(err)
	}
	return a.Rotation
}

// sealed waits until no record is left that an old key sealed.
func (g *gateway) sealed() *store.RotationStatus {
	g.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if s := g.keyStatus(); !working(s) {
			return s
		}
	}
	g.t.Fatal("the records are not sealed anew within a minute")
	return nil
}

// AC-197: keys are rotated again and again while 200 requests come each second. Nobody is
// signed out, whenever they signed in, and every app goes on believing what it is sent.
func TestRotation_AC197_whileServing(t *testing.T) {
	g := newGateway(t)
	behind := newApp(t)
	g.mustLoad(g.text("require on", "mfa\n\treverse_proxy "+behind.URL))
	var mu sync.Mutex
	var cookies []*http.Cookie
	more := func(n int) {
		for range n {
			c := g.signIn(fmt.Sprintf("user%d", len(cookies)), time.Minute)
			mu.Lock()
			cookies = append(cookies, c)
			mu.Unlock()
		}
	}
	more(10)
	stop := make(chan struct{})
	var asked, wrong atomic.Int64
	var first sync.Once
	var wg sync.WaitGroup
	work := make(chan *http.Cookie, 64)
	for range 8 {
		wg.Go(func() {
			for c := range work {
				r, _ := http.NewRequest(http.MethodGet, "http://"+g.host+"/page", nil)
				r.Header.Set("Accept", "text/html")
				r.AddCookie(c)
				resp, err := client.Do(r)
				asked.Add(1)
				if err == nil {
					resp.Body.Close()
				}
				if err != nil || resp.StatusCode != http.StatusOK {
					wrong.Add(1)
					first.Do(func() { t.Errorf("a false sign-out: %v, %v", resp, err) })
				}
			}
		})
	}
	wg.Go(func() {
		defer close(work)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			mu.Lock()
			c := cookies[i%len(cookies)]
			mu.Unlock()
			work <- c
		}
	})
	began := time.Now()
	for range 4 {
		if a, err := ask(g.admin, opKeyRotate, adminRequest{}); err != nil || !strings.Contains(a.Done, "Nobody is signed out") {
			t.Fatalf("%+v, %v", a, err)
		}
		more(5) // while it is under way
		s := g.sealed()
		if s.Stage != "overlap" || s.Progress.Damaged != 0 || s.Progress.Sealed == 0 || s.Keys[0].Status != seal.Primary {
			t.Fatalf("%+v", s)
		}
		more(5)
		// A reload in between, with the caches of before.
		g.mustLoad(g.text("require on", "mfa\n\treverse_proxy "+behind.URL))
		time.Sleep(300 * time.Millisecond)
	}
	close(stop)
	wg.Wait()
	t.Logf("%d requests in %s (%.0f/s), %d refused", asked.Load(), time.Since(began).Round(time.Millisecond), float64(asked.Load())/time.Since(began).Seconds(), wrong.Load())
	if wrong.Load() > 0 {
		t.Errorf("%d of %d requests were refused", wrong.Load(), asked.Load())
	}
	s := g.keyStatus()
	if len(s.Keys) != 5 {
		t.Fatalf("%d keys", len(s.Keys))
	}
	for _, k := range s.Keys[1:] {
		if left := time.Until(k.Until); k.Status != seal.DecryptOnly || left < 11*time.Hour {
			t.Errorf("an old key goes before its sessions are over: %+v", k)
		}
	}
	// What one old key signed can be ended alone; the newest goes on.
	if _, err := ask(g.admin, opKeyRotate, adminRequest{Key: s.Keys[0].ID}); err == nil || !strings.Contains(err.Error(), "--compromised") {
		t.Errorf("revoking the key that signs: %v", err)
	}
	oldest := s.Keys[4].ID
	if _, err := ask(g.admin, opKeyRotate, adminRequest{Key: oldest}); err != nil {
		t.Fatal(err)
	}
	if resp, _ := g.get("/page", cookies[0]); resp.StatusCode == http.StatusOK {
		t.Error("a session of a revoked key goes on")
	}
	if resp, _ := g.get("/page", cookies[len(cookies)-1]); resp.StatusCode != http.StatusOK {
		t.Error("a session of the newest key was ended with an old one")
	}
	// The keys were stolen: everything dies at once, what is in memory first of all.
	for _, c := range cookies {
		g.get("/page", c)
	}
	if _, err := ask(g.admin, opKeyRotate, adminRequest{Compromised: true}); err != nil {
		t.Fatal(err)
	}
	hits := behind.hits.Load()
	for _, c := range cookies {
		if resp, _ := g.get("/page", c); resp.StatusCode == http.StatusOK {
			t.Fatal("a session outlives the theft of its key")
		}
	}
	if behind.hits.Load() != hits {
		t.Error("the app was reached")
	}
	g.sealed()
	fresh := g.signIn("alice", time.Minute)
	// And after a restart, with the keys of the file alone.
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	g.mustLoad(g.text("require on", "mfa\n\treverse_proxy "+behind.URL))
	if resp, _ := g.get("/page", fresh); resp.StatusCode != http.StatusOK {
		t.Errorf("after the restart: %d", resp.StatusCode)
	}
	if resp, _ := g.get("/page", cookies[0]); resp.StatusCode == http.StatusOK {
		t.Error("a restart brings a session back that a stolen key signed")
	}
}

// AC-197: apps keep the published keys for five minutes. A new key is published at once, and
// assertions are signed with the one before until every app can know it.
func TestRotation_AC197_assertionsThatAppsKnow(t *testing.T) {
	g := newGateway(t)
	behind := newApp(t)
	g.mustLoad(g.text("require on", "mfa\n\treverse_proxy "+behind.URL))
	cookie := g.signIn("alice", time.Minute)
	sent := func() string {
		g.get("/page", cookie)
		return behind.seen().Header.Get("Mfa-Assertion")
	}
	// The first key is older than apps keep keys.
	g.age(t, 10*time.Minute)
	kept := g.keySetAt()
	if _, err := ask(g.admin, opKeyRotate, adminRequest{}); err != nil {
		t.Fatal(err)
	}
	g.sealed()
	if n := len(g.keySetAt()); n != 2 {
		t.Errorf("%d keys are published", n)
	}
	if _, ok := believes(kept, "http://"+g.host, sent()); !ok {
		t.Error("an app that asked for the keys a moment ago refuses what it is sent")
	}
	if _, err := ask(g.admin, opKeyRotate, adminRequest{Compromised: true}); err != nil {
		t.Fatal(err)
	}
	if n := len(g.keySetAt()); n != 1 {
		t.Errorf("after the theft %d keys are published", n)
	}
	cookie = g.signIn("alice", time.Minute)
	if _, ok := believes(kept, "http://"+g.host, sent()); ok {
		t.Error("a stolen key signs assertions")
	}
}

// age makes the key file of a gateway that is stopped for it older.
func (g *gateway) age(t *testing.T, by time.Duration) {
	t.Helper()
	raw, err := os.ReadFile(g.file)
	if err != nil {
		t.Fatal(err)
	}
	g.stopped(string(raw))
	path := g.store + ".keys.json"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]any
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, k := range file["keys"].([]any) {
		k.(map[string]any)["created"] = time.Now().Add(-by).UTC()
	}
	if text, err = json.Marshal(file); err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	g.mustLoad(string(raw))
}

// The commands, in a running gateway and on its store while it is down.
func TestRotation_Commands(t *testing.T) {
	g := newGateway(t)
	text := g.text("require on", "mfa\n\trespond ok")
	g.mustLoad(text)
	cookie := g.signIn("alice", time.Minute)
	run := func(want int, words ...string) string {
		t.Helper()
		out, errs, code := program(t, append(append([]string{"mfa", "keys"}, words...), "--config", g.file)...)
		if code != want {
			t.Fatalf("%v: exit %d, want %d\n%s%s", words, code, want, out, errs)
		}
		return out + errs
	}
	rotation := func(words ...string) *store.RotationStatus {
		t.Helper()
		out, errs, code := program(t, append(append([]string{"mfa", "keys"}, words...), "--json", "--config", g.file)...)
		var a adminAnswer
		if err := json.Unmarshal([]byte(out), &a); err != nil || code != 0 || a.Rotation == nil {
			t.Fatalf("%v: exit %d, %v\n%s%s", words, code, err, out, errs)
		}
		return a.Rotation
	}
	if out := run(0, "status"); !strings.Contains(out, "seals and signs") || !strings.Contains(out, "No rotation is under way") {
		t.Error(out)
	}
	out := run(0, "rotate")
	for _, want := range []string{"Nobody is signed out", "verifies what it signed", "All records are sealed with the new key"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	for _, words := range [][]string{{"--compromised"}, {"--revoke", "00000000"}} {
		if out := run(4, append([]string{"rotate"}, words...)...); !strings.Contains(out, "--yes") {
			t.Errorf("%v: %s", words, out)
		}
	}
	if out := run(3, "rotate", "--revoke", "00000000", "--yes"); !strings.Contains(out, "keys status") {
		t.Error(out)
	}
	if resp, _ := g.get("/page", cookie); resp.StatusCode != http.StatusOK {
		t.Errorf("after the rotation: %d", resp.StatusCode)
	}
	// Every change of the keys is in the record.
	g.eventually(t, "rotate keys", "audit", "--json")

	g.mustLoad(strings.Replace(text, "admin "+g.admin, "admin off", 1)) // Stop leaves it to the process
	g.stopped(text)
	if s := rotation("rotate"); s.Stage != "overlap" || len(s.Keys) != 3 || s.Progress.Looked != s.Progress.Total {
		t.Errorf("while it is down: %+v", s)
	}
	if s := rotation("rotate", "--compromised", "--yes"); s.Stage != "overlap" || s.Keys[0].Status != seal.Primary || s.Keys[1].Status != seal.Retired {
		t.Errorf("while it is down: %+v", s)
	}
	g.mustLoad(text)
	if resp, _ := g.get("/page", cookie); resp.StatusCode == http.StatusOK {
		t.Error("a session outlives the theft of its key")
	}
	if _, err := ask(g.admin, opShow, adminRequest{Name: "alice"}); err != nil {
		t.Errorf("the people are gone: %v", err)
	}
	// What prints a master key needs neither gateway nor store, and prints nothing else.
	one, errs, code := program(t, "mfa", "keys", "master")
	other, _, _ := program(t, "mfa", "keys", "master")
	if _, err := seal.ParseMaster(one); err != nil || code != 0 || errs != "" || one == other || strings.Count(one, "\n") != 1 {
		t.Errorf("%q %q %d %v", one, errs, code, err)
	}
}

// AC-190, AC-202: a master key that is missing, wrong, or no master key keeps the gateway
// from starting, each in its own words, and is never shown.
func TestMasterKey(t *testing.T) {
	g := newGateway(t)
	one, two := seal.NewMaster(), seal.NewMaster()
	file := filepath.Join(g.dir, "master-key")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	with := func(options string) string {
		return strings.Replace(g.text("require on", "mfa\n\trespond ok"), "store badger "+g.store, "store badger "+g.store+" {\n"+options+"\n}", 1)
	}
	t.Setenv("OLD_MASTER", one)
	t.Setenv("EMPTY_MASTER", "")
	keyed, plain := with("master_key {file."+file+"}"), g.text("require on", "mfa\n\trespond ok")
	refuses := func(what, text, want string) {
		t.Helper()
		err := g.load(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), one) || strings.Contains(err.Error(), two)) {
			t.Errorf("%s: the master key is shown: %v", what, err)
		}
	}
	g.mustLoad(plain)
	cookie := g.signIn("alice", time.Minute)
	write(one + "\n")
	g.mustLoad(keyed) // a reload takes it, and seals the file at once
	keys, err := os.ReadFile(g.store + ".keys.json")
	if err != nil || strings.Contains(string(keys), `"keys"`) || !strings.Contains(string(keys), `"sealed"`) {
		t.Fatalf("the key file is not sealed: %v", err)
	}
	cfg, err := http.Get("http://" + g.admin + "/config/")
	if err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	_ = cfg.Write(&shown)
	if strings.Contains(shown.String(), one) || !strings.Contains(shown.String(), "{file."+file+"}") {
		t.Error("the configuration shows the master key, or not where it is")
	}
	refuses("a reload without it", plain, "sealed with a master key, and the configuration gives none")
	g.stopped(plain)
	refuses("a start without it", plain, "sealed with a master key, and the configuration gives none")
	write(two)
	refuses("another one", keyed, "sealed with another master key")
	write("hunter2")
	refuses("none", keyed, "not a master key")
	write("")
	refuses("an empty file", keyed, "there is nothing in")
	refuses("an empty variable", with("master_key {env.EMPTY_MASTER}"), "there is nothing in")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	refuses("no file", keyed, "master_key")
	// It is changed: the new one, with the one before.
	write(two)
	changing := with("master_key {file." + file + "} {\nprevious {env.OLD_MASTER}\n}")
	g.mustLoad(changing)
	g.mustLoad(keyed)
	if resp, _ := g.get("/page", cookie); resp.StatusCode != http.StatusOK {
		t.Errorf("after the change of the master key: %d", resp.StatusCode)
	}
	// Rotations seal with it as well.
	if _, err := ask(g.admin, opKeyRotate, adminRequest{}); err != nil {
		t.Fatal(err)
	}
	g.sealed()
	g.stopped(keyed)
	write(one)
	refuses("the one before", keyed, "sealed with another master key")
	write(two)
	g.mustLoad(keyed)
	if resp, _ := g.get("/page", cookie); resp.StatusCode != http.StatusOK {
		t.Errorf("after a rotation and a restart: %d", resp.StatusCode)
	}
}

// AC-192: the key file is put away, or an old one in its place, while the gateway runs. It
// goes on with the keys that it has, and a rotation says what is wrong and changes nothing.
func TestRotation_RejectsAnotherKeyFile(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("require on", "mfa\n\trespond ok"))
	cookie := g.signIn("alice", time.Minute)
	path := g.store + ".keys.json"
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ask(g.admin, opKeyRotate, adminRequest{}); err != nil {
		t.Fatal(err)
	}
	g.sealed()
	newest, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(g.dir, "other.json")
	if _, err := seal.CreateKeys(context.Background(), seal.FileVault(other), nil); err != nil {
		t.Fatal(err)
	}
	foreign, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct{ text, want string }{
		"an older one":           {string(old), "older key set"},
		"another installation's": {string(foreign), "another installation"},
		"an empty one":           {"", "empty"},
		"half of one":            {string(newest[:len(newest)/2]), "damaged"},
	} {
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ask(g.admin, opKeyRotate, adminRequest{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", what, err, c.want)
		}
		if now, _ := os.ReadFile(path); string(now) != c.text {
			t.Errorf("%s: it was written over", what)
		}
		if resp, _ := g.get("/page", cookie); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: the gateway answers %d", what, resp.StatusCode)
		}
	}
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(g.file)
	g.stopped(string(text))
	if err := g.load(string(text)); err == nil || !strings.Contains(err.Error(), "key file") {
		t.Errorf("a start with the old key file: %v", err)
	}
	if err := os.WriteFile(path, newest, 0o600); err != nil {
		t.Fatal(err)
	}
	g.mustLoad(string(text))
	if resp, _ := g.get("/page", cookie); resp.StatusCode != http.StatusOK {
		t.Errorf("with the newest one again: %d", resp.StatusCode)
	}
}
