package caddymodule

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/secondgate/secondgate/internal/seal"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/store/badger"
)

// backups are what a test of backups needs: a gateway that runs, and a second machine,
// which is a configuration of its own.
type backups struct {
	*gateway
	t       *testing.T
	file    string // of a backup that is not made yet
	other   string // configuration of the second machine
	newDir  string // … and its store
	keys    string // key file of the first
	newKeys string
}

func newBackups(t *testing.T) *backups {
	g := newGateway(t)
	b := &backups{gateway: g, t: t, file: filepath.Join(g.dir, "backup"), other: filepath.Join(g.dir, "Caddyfile.new"), newDir: filepath.Join(g.dir, "new", "store")}
	b.keys, b.newKeys = g.store+".keys.json", b.newDir+".keys.json"
	g.mustLoad(g.text("require on", "mfa\n\trespond ok"))
	text := strings.ReplaceAll(g.text("require on", "mfa\n\trespond ok"), g.store, b.newDir)
	text = strings.ReplaceAll(text, g.admin, "localhost:"+freePort(t))
	if err := os.WriteFile(b.other, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

// run runs a command with a configuration.
func (b *backups) run(want int, config string, args ...string) (out, errs string) {
	b.t.Helper()
	out, errs, code := program(b.t, append(append([]string{"mfa"}, args...), "--config", config)...)
	if code != want {
		b.t.Fatalf("%v: exit code %d, want %d\n%s%s", args, code, want, out, errs)
	}
	return out, errs
}

func (b *backups) says(want int, config, words string, args ...string) {
	b.t.Helper()
	out, errs := b.run(want, config, args...)
	if !strings.Contains(out+errs, words) {
		b.t.Errorf("%v does not say %q:\n%s%s", args, words, out, errs)
	}
}

// down ends the gateway and leaves it with that configuration; Caddy's admin endpoint
// outlives a stop in this process, so it names another.
func (b *backups) down(text string) {
	b.t.Helper()
	b.stopped(strings.ReplaceAll(text, "admin localhost:", "admin localhost:"+freePort(b.t)+" # "))
}

func (b *backups) none(path string) {
	b.t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		b.t.Errorf("%s is there: %v", path, err)
	}
}

// A backup through the running gateway, and on the store while it is down, goes into a new
// store on another machine; every wrong turn is refused and says what to do.
func TestBackup(t *testing.T) {
	b := newBackups(t)
	cookie := b.signIn("alice", 0)
	b.signIn("bob", 0)
	if _, body := b.get("/", cookie); body != "ok" {
		t.Fatalf("alice is not signed in: %q", body)
	}
	b.says(0, b.gateway.file, "is whole and sealed", "backup", b.file)
	if info, err := os.Stat(b.file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	b.none(b.file + ".partial")
	raw := readFile(t, b.file)
	for _, plain := range []string{"alice", "id-bob", "handle-"} {
		if strings.Contains(raw, plain) {
			t.Errorf("%q stands in the file", plain)
		}
	}
	b.says(0, b.gateway.file, "backup", "audit", "list", "--event", "admin")
	b.says(exitRefused, b.gateway.file, "--force", "backup", b.file)
	if readFile(t, b.file) != raw {
		t.Error("it was replaced")
	}
	b.says(0, b.gateway.file, "is whole and sealed", "backup", b.file, "--force")
	out, _ := b.run(0, b.gateway.file, "backup", b.file+"2", "--json")
	var answer adminAnswer
	if err := json.Unmarshal([]byte(out), &answer); err != nil || answer.Backup == nil || answer.Backup.Tables["user"].Rows != 2 || answer.Backup.Store != "badger" {
		t.Errorf("for programs: %s", out)
	}
	piped, _ := b.run(0, b.gateway.file, "backup", "-")
	if err := os.WriteFile(b.file+"3", []byte(piped), 0o600); err != nil {
		t.Fatal(err)
	}
	b.says(0, b.gateway.file, "is whole", "backup", "verify", b.file+"3")
	b.says(exitRefused, b.gateway.file, "no such file or directory", "backup", filepath.Join(b.dir, "nowhere", "b"))
	b.says(exitRefused, b.gateway.file, "which file", "backup")
	b.says(exitRefused, b.gateway.file, "one word too many", "backup", "a", "b")

	t.Run("verify", func(t *testing.T) {
		b.says(0, b.gateway.file, "users", "backup", "verify", b.file)
		b.says(0, b.other, "users", "backup", "verify", b.file, "--keys", b.keys)
		b.says(exitRefused, b.other, "--keys FILE", "backup", "verify", b.file)
		b.says(exitRefused, b.other, "no such file", "backup", "verify", b.file+"9")
		b.says(exitFailed, b.other, "no backup of secondgate", "backup", "verify", b.keys)
		wrong := filepath.Join(b.dir, "wrong.json")
		if _, err := seal.CreateKeys(t.Context(), seal.FileVault(wrong), nil); err != nil {
			t.Fatal(err)
		}
		b.says(exitRefused, b.other, "sealed with another key", "backup", "verify", b.file, "--keys", wrong)
		b.says(exitRefused, b.other, "sealed with another key", "restore", b.file, "--keys", wrong)
		damaged := []byte(raw)
		damaged[len(damaged)-40] ^= 1
		newer := bytes.Replace([]byte(raw), []byte(`"format":1`), []byte(`"format":9`), 1)
		for name, file := range map[string][]byte{"changed or cut": damaged, "newer version": newer, "its end is missing": []byte(raw)[:len(raw)-10]} {
			path := filepath.Join(b.dir, "bad")
			if err := os.WriteFile(path, file, 0o600); err != nil {
				t.Fatal(err)
			}
			want := exitFailed
			if name == "newer version" {
				want = exitRefused
			}
			b.says(want, b.other, name, "backup", "verify", path, "--keys", b.keys)
			// AC-189, AC-205: it is checked before anything is written.
			b.says(want, b.other, name, "restore", path, "--keys", b.keys)
			b.none(b.newDir)
			b.none(b.newKeys)
		}
	})

	t.Run("restore", func(t *testing.T) {
		b.says(exitRefused, b.gateway.file, "stop it first", "restore", b.file)
		b.says(exitRefused, b.other, "--keys FILE", "restore", b.file)
		b.says(0, b.other, "It was compared row by row", "restore", b.file, "--keys", b.keys)
		b.says(exitRefused, b.other, "not empty", "restore", b.file, "--keys", b.keys)
		if readFile(t, b.newKeys) != readFile(t, b.keys) {
			t.Error("the keys are others")
		}
		if info, err := os.Stat(b.newKeys); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		b.says(0, b.other, "alice", "users", "list")
		b.says(0, b.other, "restore of backup", "audit", "list")
		b.says(0, b.other, "Whole", "audit", "verify")
	})

	t.Run("a gateway on the new store", func(t *testing.T) {
		b.mustLoad(readFile(t, b.other))
		// AC-025: alice may have signed out since the backup was made.
		if _, body := b.get("/", cookie); body == "ok" {
			t.Error("a session of the old store goes on")
		}
		again := b.signIn("alice", 0)
		if _, body := b.get("/", again); body != "ok" {
			t.Errorf("alice cannot come in: %q", body)
		}
	})

	t.Run("while the gateway is down", func(t *testing.T) {
		b.down(readFile(t, b.other))
		_, errs := b.run(0, b.gateway.file, "backup", b.file+"4")
		if !strings.Contains(errs, "Made of the store badger:") {
			t.Errorf("who made it: %q", errs)
		}
		b.says(0, b.gateway.file, "is whole", "backup", "verify", b.file+"4")
		moved := filepath.Join(b.dir, "moved", "store")
		config := b.other + ".moved"
		if err := os.WriteFile(config, []byte(strings.ReplaceAll(readFile(t, b.other), b.newDir, moved)), 0o600); err != nil {
			t.Fatal(err)
		}
		b.says(0, config, "Sessions go on", "restore", b.file+"4", "--keys", b.keys, "--keep-sessions", "--json")
		b.mustLoad(readFile(t, config))
		if _, err := b.generation().pooled.store.store.UserSessions(t.Context(), "id-alice"); err != nil {
			t.Error(err)
		}
		if list, err := b.generation().pooled.store.store.UserSessions(t.Context(), "id-alice"); err != nil || len(list) == 0 {
			t.Errorf("no session went on: %v", err)
		}
	})
}

// One backup at a time: two that read everything at once are twice as slow for everybody.
func TestBackup_oneAtATime(t *testing.T) {
	b := newBackups(t)
	held, release := make(chan struct{}), make(chan struct{})
	go func() {
		_ = b.generation().pooled.store.store.Exclusively(context.Background(), "backup", func(context.Context) error {
			close(held)
			<-release
			return nil
		})
	}()
	<-held
	defer close(release)
	b.says(exitRefused, b.gateway.file, "another backup is being made", "backup", b.file)
	b.none(b.file)
	b.none(b.file + ".partial")
}

// A line that breaks, a gateway that ends in the middle, and something else that answers:
// there is no file then that looks like a backup.
func TestBackup_brokenStreamLeavesNoFile(t *testing.T) {
	b := newBackups(t)
	b.signIn("alice", 0)
	var whole bytes.Buffer
	if _, err := askBackup(t.Context(), b.admin, &whole, func(copyProgress) {}); err != nil {
		t.Fatal(err)
	}
	part := func(kind byte, text string) string {
		return string([]byte{kind, 0, 0, byte(len(text) >> 8), byte(len(text))}) + text
	}
	data := part(partData, whole.String())
	for name, c := range map[string]struct{ kind, body, want string }{
		"nothing":                {backupType, "", "stopped in the middle"},
		"no end":                 {backupType, data, "stopped in the middle"},
		"half a part":            {backupType, data[:len(data)/2], "stopped in the middle"},
		"half a length":          {backupType, data + "z\x00", "stopped in the middle"},
		"an error in the middle": {backupType, data + part(partError, `{"error":"the disk burns"}`), "the disk burns"},
		"a part of a new kind":   {backupType, data + part('?', `{}`), "unknown kind"},
		"a part of gigabytes":    {backupType, "d\xff\xff\xff\xff", "sends no backup"},
		"another answer":         {"application/json", `{"done":"x"}`, "sends no backup"},
	} {
		t.Run(name, func(t *testing.T) {
			fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.kind)
				_, _ = io.WriteString(w, c.body)
			}))
			defer fake.Close()
			out, errs, code := program(t, "mfa", "backup", b.file, "--address", strings.TrimPrefix(fake.URL, "http://"), "--config", b.gateway.file)
			if code == 0 || !strings.Contains(errs, c.want) {
				t.Errorf("%d\n%s%s", code, out, errs)
			}
			b.none(b.file)
			b.none(b.file + ".partial")
		})
	}
}

// populate fills the store of a gateway that is down with so many users.
func (b *backups) populate(n int) {
	b.t.Helper()
	keys, err := seal.OpenKeys(context.Background(), seal.FileVault(b.keys), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	s, err := badger.Open(badger.Options{Dir: b.store, Keys: keys, MinFree: 1, Fill: ""})
	if err != nil {
		b.t.Fatal(err)
	}
	defer s.Close()
	work := make(chan int)
	done := make(chan error, 8)
	for range cap(done) {
		go func() {
			var err error
			for i := range work {
				id := fmt.Sprintf("many-%06d", i)
				u := &mfa.User{ID: mfa.UserID(id), Source: "local", Subject: id, Name: id, Created: time.Now(), Credentials: []mfa.Credential{{ID: "app", Kind: mfa.TOTP, Data: mfa.Secret("JBSWY3DPEHPK3PXP")}}}
				if e := s.CreateUser(context.Background(), u); e != nil {
					err = e
				}
			}
			done <- err
		}()
	}
	for i := range n {
		work <- i
	}
	close(work)
	for range cap(done) {
		if err := <-done; err != nil {
			b.t.Fatal(err)
		}
	}
}

// killed runs a command and kills it, again and again, until it comes to its end: when due
// says so, which is told how often it was killed already, or where it is nil after a while
// that grows. check looks at what each left.
func (b *backups) killed(check func() (whole bool), due func(kills int) bool, args ...string) (kills int) {
	b.t.Helper()
	binary, err := plainProgram()
	if err != nil {
		b.t.Fatal(err)
	}
	for wait := 100 * time.Millisecond; ; wait += 60 * time.Millisecond {
		cmd := exec.Command(binary, append([]string{"mfa"}, args...)...)
		var errs safeBuffer
		cmd.Stderr = &errs
		if err := cmd.Start(); err != nil {
			b.t.Fatal(err)
		}
		began, ended, kill := time.Now(), make(chan struct{}), kills
		until := wait
		go func() {
			for due == nil && time.Since(began) < until || due != nil && !due(kill) {
				select {
				case <-ended:
					return
				case <-time.After(5 * time.Millisecond):
				}
			}
			_ = cmd.Process.Signal(syscall.SIGKILL)
		}()
		err := cmd.Wait()
		close(ended)
		if err == nil {
			return kills
		}
		if cmd.ProcessState.ExitCode() >= 0 {
			b.t.Fatalf("%v: %v\n%s", args, err, errs.String())
		}
		kills++
		if check() {
			return kills // the kill came when all was done
		}
	}
}

// AC-189: a restore that is killed leaves a store that no gateway opens, and no command; the
// same command goes on, and the store is whole in the end. So does a migration.
func TestRestore_AC189_killedAgainAndAgain(t *testing.T) {
	b := newBackups(t)
	b.signIn("alice", 0)
	b.down(readFile(t, b.gateway.file))
	b.populate(3000)
	b.run(0, b.gateway.file, "backup", b.file)
	half := 0
	// What can be opened has to be whole: it is the last thing that a copy says, and what the
	// rest of the test counts.
	unopened := func(config, dir string) func() bool {
		return func() bool {
			out, errs, code := program(t, "mfa", "users", "list", "--config", config)
			if code == 0 {
				return true
			}
			if strings.Contains(out, "many-") {
				t.Fatalf("a store that is not whole was opened:\n%s", out)
			}
			if strings.Contains(errs, "not finished") {
				half++
			}
			if _, err := os.Stat(filepath.Join(dir, "MANIFEST")); err == nil && code != exitUnreachable {
				t.Errorf("exit code %d\n%s", code, errs)
			}
			return false
		}
	}
	kills := b.killed(unopened(b.other, b.newDir), nil, "restore", b.file, "--keys", b.keys, "--config", b.other)
	t.Logf("the restore was killed %d times, %d times with half of the store there", kills, half)
	if half == 0 {
		t.Error("it was never killed in the middle")
	}
	b.says(0, b.other, "3,001", "backup", b.file+"2")
	half = 0
	moved := filepath.Join(b.dir, "moved", "store")
	config := b.other + ".moved"
	if err := os.WriteFile(config, []byte(strings.ReplaceAll(readFile(t, b.other), b.newDir, moved)), 0o600); err != nil {
		t.Fatal(err)
	}
	kills = b.killed(unopened(config, moved), nil, "migrate", "--to", config, "--config", b.gateway.file)
	t.Logf("the migration was killed %d times, %d times with half of the store there", kills, half)
	if half == 0 {
		t.Error("it was never killed in the middle")
	}
	b.says(0, config, "Whole", "audit", "verify")
	b.says(0, config, "3,001", "backup", b.file+"3")
	b.says(0, config, "migrate of the store of kind badger", "audit", "list")
	b.says(0, b.gateway.file, "alice", "users", "list", "--search", "alice") // the old store is as it was
	b.says(exitRefused, b.gateway.file, "not empty", "migrate", "--to", config)
	b.says(exitRefused, b.gateway.file, "the same store", "migrate", "--to", b.gateway.file)
	b.says(exitRefused, b.gateway.file, "into which store", "migrate")
}

// AC-189: a restore that is killed before the store has its keys leaves nothing that a
// gateway takes for a first start, in which nobody has a second factor; and it goes on.
func TestRestore_AC189_killedBeforeTheKeys(t *testing.T) {
	b := newBackups(t)
	b.signIn("alice", 0)
	b.run(0, b.gateway.file, "backup", b.file)
	h, err := headerOf(b.file)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := seal.OpenKeys(t.Context(), seal.FileVault(b.keys), nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &BadgerStore{dir: b.newDir}
	o := s.options(keys, toStderr())
	o.Fill = ofBackup(h, true)
	begun, err := badger.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := begun.Close(); err != nil {
		t.Fatal(err)
	}
	if opened, _, err := s.open(t.Context(), toStderr()); err == nil {
		_ = opened.Close()
		t.Fatal("a gateway opened it")
	}
	b.none(b.newKeys)
	b.says(exitRefused, b.other, "--keys FILE", "restore", b.file) // and not with others
	b.says(0, b.other, "It was compared row by row", "restore", b.file, "--keys", b.keys)
	b.says(0, b.other, "alice", "users", "list")
}

// A backup that is interrupted takes what it wrote with it, also where the gateway answers
// nothing at all.
func TestBackup_interrupted(t *testing.T) {
	for name, sent := range map[string]string{"in the middle": "d\x00\x00\x00\x05hello", "before an answer": ""} {
		t.Run(name, func(t *testing.T) {
			b := newBackups(t)
			asked, gone := make(chan struct{}), make(chan struct{})
			fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				// Read to its end: until then the server does not notice who has gone.
				_, _ = io.Copy(io.Discard, r.Body)
				if sent != "" {
					w.Header().Set("Content-Type", backupType)
					_, _ = io.WriteString(w, sent)
					_ = http.NewResponseController(w).Flush()
				}
				close(asked)
				<-r.Context().Done()
				close(gone)
			}))
			defer fake.Close()
			binary, err := plainProgram()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(binary, "mfa", "backup", b.file, "--address", strings.TrimPrefix(fake.URL, "http://"), "--config", b.gateway.file)
			var errs safeBuffer
			cmd.Stderr = &errs
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			<-asked
			for end := time.Now().Add(30 * time.Second); sent != ""; time.Sleep(20 * time.Millisecond) {
				if raw, err := os.ReadFile(b.file + ".partial"); err == nil && string(raw) == "hello" {
					break
				}
				if time.Now().After(end) {
					t.Fatal("nothing was written")
				}
			}
			_ = cmd.Process.Signal(os.Interrupt)
			if err := cmd.Wait(); err == nil || !strings.Contains(errs.String(), "interrupted") {
				t.Errorf("%v: %s", err, errs.String())
			}
			b.none(b.file)
			b.none(b.file + ".partial")
			<-gone
		})
	}
}

// AC-124: a page in a browser on the machine gets no backup, and imports nobody.
func TestAdminEndpoint_AC124_NoBackupForPages(t *testing.T) {
	b := newBackups(t)
	for _, op := range []string{opBackup, opImport} {
		for name, header := range map[string]http.Header{
			"a simple request": {"Content-Type": {"text/plain"}},
			"a form":           {"Content-Type": {"application/x-www-form-urlencoded"}},
			"another origin":   {"Content-Type": {"application/json"}, "Origin": {"https://evil.test"}},
			"a rebound name":   {"Content-Type": {"application/json"}, "Host": {"evil.test:2019"}},
		} {
			req, err := http.NewRequest(http.MethodPost, "http://"+b.admin+adminBase+op, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header, req.Host = header, header.Get("Host")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode/100 != 4 || resp.StatusCode == http.StatusBadRequest || strings.Contains(string(body), "secondgate backup") || resp.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s, %s: %d %v", op, name, resp.StatusCode, resp.Header)
			}
		}
	}
	if out, _ := b.run(0, b.gateway.file, "audit", "list", "--event", "admin"); strings.Contains(out, "backup") {
		t.Errorf("one was made:\n%s", out)
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d is %q", n, got)
		}
	}
}

// A bar on a terminal, a line now and then elsewhere, and nothing for programs.
func TestProgress(t *testing.T) {
	var out strings.Builder
	p := new(flags).newCounting(&out, "Copying")
	p.at(copyProgress{Rows: 5, Of: 10})
	if out.Len() > 0 {
		t.Errorf("a line at once: %q", out.String())
	}
	p.told = time.Time{}
	p.at(copyProgress{Rows: 1500, Of: 3000})
	p.done()
	if out.String() != "Copying: 1,500 rows of about 3,000 (50 %)\n" {
		t.Errorf("%q", out.String())
	}
	out.Reset()
	p.terminal, p.told = true, time.Time{}
	p.at(copyProgress{Rows: 4000, Of: 3000})
	if !strings.Contains(out.String(), "(100 %)  [========================]") {
		t.Errorf("%q", out.String())
	}
	out.Reset()
	p = (&flags{json: true}).newCounting(&out, "Copying")
	p.at(copyProgress{Rows: 5})
	p.done()
	if out.Len() > 0 {
		t.Errorf("for programs: %q", out.String())
	}
}
