package caddymodule

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"github.com/secondgate/secondgate/internal/pgtest"
	"github.com/secondgate/secondgate/mfa"
	"github.com/secondgate/secondgate/mfa/factor/passkey"
	"github.com/secondgate/secondgate/mfa/mfatest"
)

// What htpasswd, Python and others made of this password stands in moving/testdata.
const (
	movedPassword = "a walrus eats 9 kites"
	movedHash     = "$2y$05$HfPtaJ4edC3ITHHyIy3jy.VDjFtm1vU2CxLdGfn2jA1PalaUE21A2"
)

func movedFile(name string) string { return filepath.Join("..", "moving", "testdata", name) }

// importing runs the command and returns its output, the one for programs as well.
func (g *gateway) importing(t *testing.T, want int, args ...string) (string, importReport) {
	t.Helper()
	args = append([]string{"mfa", "import"}, append(args, "--config", g.file)...)
	out, errs, code := program(t, args...)
	if code != want {
		t.Fatalf("%q: exit code %d, want %d\n%s%s", args, code, want, out, errs)
	}
	var report importReport
	if strings.HasPrefix(out, "{") {
		g.must(json.Unmarshal([]byte(out), &report))
	}
	return out + errs, report
}

// passes signs somebody in with the password of the old system and, where there is a
// secret, with the app that was set up there, a minute from now.
func (g *gateway) passes(t testing.TB, name string, secret string, opts totp.ValidateOpts) {
	t.Helper()
	gate, place, ctx := g.generation().gate, g.place(), t.Context()
	in, err := gate.SignIn(ctx, place, mfa.LocalSource, name, movedPassword)
	if err != nil {
		t.Fatalf("%s, password: %v", name, err)
	}
	if in.Decision.Action != mfa.Verify {
		t.Fatalf("%s, after the password: %s %s", name, in.Decision.Action, in.Decision.Reason)
	}
	// The codes of this minute count as used; the clock of the test is the real one, so
	// that the step is moved back instead.
	g.update(name, func(u *mfa.User) {
		for i := range u.Credentials {
			if u.Credentials[i].Step == 0 {
				t.Errorf("%s: a code of this minute is not used", name)
			}
			u.Credentials[i].Step = 0
		}
	})
	code, err := totp.GenerateCodeCustom(base32Text(secret), time.Now(), opts)
	g.must(err)
	if _, err := gate.VerifyTOTP(ctx, place, in.Session.ID, code); err != nil {
		t.Errorf("%s, app: %v", name, err)
	}
}

func base32Text(secret string) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(secret))
}

// elsewhereKey is a passkey of another system whose relying party is localhost, and what
// Authelia exports of it.
func elsewhereKey(t *testing.T, origin, user string) (*mfatest.Authenticator, string) {
	t.Helper()
	auth := &mfatest.Authenticator{Origin: origin, Synced: true}
	f, at := passkey.New(passkey.Config{}), &mfa.Place{Origin: origin, Host: "localhost", RPID: "localhost"}
	them := &mfa.User{ID: "theirs", Handle: []byte("the handle of the other system"), Name: user}
	options, state, err := f.BeginEnrollment(at, them)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := auth.Enroll(options, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := f.FinishEnrollment(at, them, state, answer)
	if err != nil {
		t.Fatal(err)
	}
	var record webauthn.Credential
	if err := json.Unmarshal(c.Data, &record); err != nil {
		t.Fatal(err)
	}
	b64 := base64.StdEncoding.EncodeToString
	return auth, fmt.Sprintf("webauthn_credentials:\n    - {rpid: localhost, username: %s, description: Key, kid: %s, public_key: %s, verified: true, sign_count: 0, backup_eligible: false, attestation_type: none, transports: [internal]}\n",
		user, b64(record.ID), b64(record.PublicKey))
}

// Everybody of Authelia's files signs in at the gateway with what they had there, whether
// it ran while they moved in or not; what cannot move is said, and a second run changes
// nothing.
func TestImport_Authelia(t *testing.T) {
	for _, running := range []bool{true, false} {
		t.Run(fmt.Sprintf("running %t", running), func(t *testing.T) {
			g := newGateway(t)
			text := g.text("require on", "mfa\n\trespond ok")
			g.mustLoad(text)
			auth, export := elsewhereKey(t, "http://"+g.host, "erin")
			keys := filepath.Join(g.dir, "webauthn.yml")
			g.must(os.WriteFile(keys, []byte(export), 0o600))
			files := []string{"authelia", movedFile("authelia-users.yml"), movedFile("authelia-totp.yml"), keys}
			if !running {
				// Caddy keeps its admin endpoint over a stop; a configuration without one ends it.
				g.mustLoad(strings.Replace(text, "admin "+g.admin, "admin off", 1))
				g.must(caddy.Stop())
				g.must(os.WriteFile(g.file, []byte(text), 0o600))
			}

			out, _ := g.importing(t, exitFailed, append(files, "--dry-run")...)
			for _, want := range []string{
				"alice (../moving/testdata/authelia-users.yml, line 4): new\n",
				"  password moves: SHA-512 crypt; it is hashed anew with Argon2id at the first sign-in\n",
				"  authenticator app moves\n",
				"dave", "CANNOT MOVE: the Argon2id hash needs 1024 MiB", "secondgate mfa users invite dave",
				"profile (given_name, locale, address) CANNOT MOVE",
				`passkey "Key" moves`,
				"zoe (../moving/testdata/authelia-totp.yml", "NOT IMPORTED: only a factor of theirs",
				"People: 6; would be imported: 5, here already: 0, not imported: 1.",
			} {
				if !strings.Contains(out, want) {
					t.Errorf("the dry run does not say %q:\n%s", want, out)
				}
			}
			if list := g.run(t, 0, "users", "list"); !strings.Contains(list, "No users.") {
				t.Fatalf("a dry run made users:\n%s", list)
			}
			if out, _ := g.importing(t, exitRefused, files...); !strings.Contains(out, "Say --yes") {
				t.Errorf("without --yes: %s", out)
			}
			_, report := g.importing(t, 0, append(files, "--yes", "--json", "--accept-losses")...)
			if c := report.Counts; c.New != 5 || c.Refused != 1 || c.Lost != 4 || c.Here != 0 {
				t.Errorf("counts: %+v", c)
			}
			_, report = g.importing(t, exitFailed, append(files, "--yes", "--json")...)
			if c := report.Counts; c.New != 0 || c.Here != 5 || c.Lost != 0 {
				t.Errorf("the second run: %+v", c)
			}
			if list := g.run(t, 0, "users", "list"); strings.Count(list, "\n") != 6 {
				t.Errorf("the list:\n%s", list)
			}
			// The events of the accounts are kept a moment after the batch.
			record := ""
			for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
				if record = g.run(t, 0, "audit", "list", "--event", "admin"); strings.Count(record, "import from authelia") == 5 {
					break
				}
			}
			if strings.Count(record, "import 5 people from authelia") != 1 || strings.Count(record, "import from authelia") != 5 || strings.Contains(record, "$6$") {
				t.Errorf("the record:\n%s", record)
			}
			if !running {
				g.mustLoad(text)
			}

			g.passes(t, "alice", "12345678901234567890", totp.ValidateOpts{Digits: 6, Period: 30, Algorithm: otp.AlgorithmSHA1})
			g.passes(t, "bob", "12345678901234567890123456789012", totp.ValidateOpts{Digits: 8, Period: 30, Algorithm: otp.AlgorithmSHA256})
			gate, place, ctx := g.generation().gate, g.place(), t.Context()
			if _, err := gate.SignIn(ctx, place, mfa.LocalSource, "carol", movedPassword); err == nil {
				t.Error("carol was disabled, and signs in")
			}
			g.run(t, 0, "users", "enable", "carol")
			g.passes(t, "carol", "1234567890123456789012345678901234567890123456789012345678901234", totp.ValidateOpts{Digits: 6, Period: 60, Algorithm: otp.AlgorithmSHA512})
			in, err := gate.SignIn(ctx, place, mfa.LocalSource, "erin", movedPassword)
			g.must(err)
			c, err := gate.BeginVerifyPasskey(ctx, place, in.Session.ID)
			g.must(err)
			answer, err := auth.Verify(c.Options, nil)
			g.must(err)
			if _, err := gate.FinishVerifyPasskey(ctx, place, in.Session.ID, c.ID, answer); err != nil {
				t.Errorf("erin's passkey: %v", err)
			}
			if out := g.run(t, 0, "users", "invite", "dave"); !strings.Contains(out, "/.mfa/link#") {
				t.Errorf("a link for who could not bring their password: %s", out)
			}
		})
	}
}

// People of the other formats sign in as well.
func TestImport_OtherFormats(t *testing.T) {
	for format, tc := range map[string]struct {
		file, secret string
		opts         totp.ValidateOpts
		name         string
		code         int
		words        []string
	}{
		"caddy-security": {"caddy-security-users.json", "c71ca4c68bc14ec5b4ab8d3c3b63802c", totp.ValidateOpts{Digits: 6, Period: 30}, "webadmin", exitFailed, []string{"administrator's role CANNOT MOVE", "1 API keys CANNOT MOVE"}},
		"tinyauth":       {"tinyauth.env", "12345678901234567890", totp.ValidateOpts{Digits: 6, Period: 30}, "alice", 0, nil},
		"htpasswd":       {"htpasswd", "", totp.ValidateOpts{}, "alice", exitFailed, []string{"with MD5", "with SHA-1", "in plain text", "secondgate mfa users invite erin"}},
		"jsonl":          {"people.jsonl", "12345678901234567890", totp.ValidateOpts{Digits: 6, Period: 30}, "alice", exitFailed, []string{"password CANNOT MOVE: there is none in the file"}},
	} {
		t.Run(format, func(t *testing.T) {
			g := newGateway(t)
			g.mustLoad(g.text("require on", "mfa\n\trespond ok"))
			out, _ := g.importing(t, tc.code, format, movedFile(tc.file), "--yes")
			for _, want := range tc.words {
				if !strings.Contains(out, want) {
					t.Errorf("%q is missing:\n%s", want, out)
				}
			}
			if strings.Contains(out, "$2y$") || strings.Contains(out, "a walrus") {
				t.Errorf("a secret is in the output:\n%s", out)
			}
			if show := g.run(t, 0, "users", "show", tc.name, "--json"); strings.Contains(show, `"admin": true`) {
				t.Errorf("a file made an administrator:\n%s", show)
			}
			if tc.secret != "" {
				g.passes(t, tc.name, tc.secret, tc.opts)
				return
			}
			if _, err := g.generation().gate.SignIn(t.Context(), g.place(), mfa.LocalSource, tc.name, movedPassword); err != nil {
				t.Errorf("%s: %v", tc.name, err)
			}
		})
	}
}

// What the command cannot do is said before anything is done.
func TestImport_Refusals(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("require on", "mfa\n\trespond ok"))
	bad := filepath.Join(g.dir, "bad.jsonl")
	g.must(os.WriteFile(bad, []byte(`{"v":1,"name":"good"}`+"\n"+`{"v":1,"name":"alice","password_hash":"HUSH","role":"admin"}`), 0o600))
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"no format":      {nil, "Write: "},
		"another format": {[]string{"keycloak", "x"}, "there are authelia, caddy-security, tinyauth, htpasswd, jsonl"},
		"no file":        {[]string{"jsonl"}, "which file?"},
		"a missing file": {[]string{"jsonl", "nowhere"}, "no such file"},
		"a bad line":     {[]string{"jsonl", bad, "--yes"}, `line 2: there is no field "role"`},
	} {
		if out, _ := g.importing(t, exitRefused, tc.args...); !strings.Contains(out, tc.want) || strings.Contains(out, "HUSH") {
			t.Errorf("%s: %s", name, out)
		}
	}
	if list := g.run(t, 0, "users", "list"); !strings.Contains(list, "No users.") {
		t.Errorf("somebody was made of a file with a mistake:\n%s", list)
	}
}

// The gateway believes nothing of what the command has made of a file: the admin endpoint
// checks all of it again, and takes no batch without end.
func TestImport_AdminEndpointChecksAgain(t *testing.T) {
	g := newGateway(t)
	g.mustLoad(g.text("require on", "mfa\n\trespond ok"))
	person := func(p mfa.Newcomer) string {
		body, err := json.Marshal(adminRequest{Import: &importRequest{From: "x", People: []mfa.Newcomer{p}}})
		g.must(err)
		return string(body)
	}
	post := func(body string) (int, adminAnswer) {
		r, err := http.NewRequest(http.MethodPost, "http://"+g.admin+"/mfa/import", strings.NewReader(body))
		g.must(err)
		r.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(r)
		g.must(err)
		defer resp.Body.Close()
		var answer adminAnswer
		_ = json.NewDecoder(resp.Body).Decode(&answer)
		return resp.StatusCode, answer
	}
	for name, body := range map[string]string{
		"AC-227 a role":   `{"import":{"from":"x","people":[{"name":"a","admin":true}]}}`,
		"nobody":          `{"import":{"from":"x","people":[]}}`,
		"nothing":         `{}`,
		"too many":        `{"import":{"from":"x","people":[` + strings.TrimSuffix(strings.Repeat(`{"name":"a"},`, mfa.MaxImport+1), ",") + `]}}`,
		"without end":     `{"import":{"from":"` + strings.Repeat("x", maxImportBody) + `"}}`,
		"a torn source":   `{"import":{"from":"a,b","people":[{"name":"a"}]}}`,
		"no JSON at all":  `people`,
		"another version": `{"import":{"from":"x","people":[{"name":"a","power":9}]}}`,
	} {
		if code, _ := post(body); code != http.StatusBadRequest {
			t.Errorf("%s: %d", name, code)
		}
	}
	code, answer := post(person(mfa.Newcomer{Name: "alice", Password: mfa.Secret("$2y$31$" + strings.Repeat("a", 53)), Apps: []mfa.MovedApp{{Secret: mfa.Secret("short")}}, Passkeys: []mfa.MovedPasskey{{ID: []byte("x"), RPID: "localhost"}}, Groups: []string{"a,admin"}}))
	if code != http.StatusOK || len(answer.Moved) != 1 || len(answer.Moved[0].Items) != 4 {
		t.Fatalf("%d %+v", code, answer)
	}
	for _, item := range answer.Moved[0].Items {
		if item.Verdict != mfa.Lost {
			t.Errorf("%+v", item)
		}
	}
}

// Ten thousand people move in within bounds of time and memory, and a second time is
// quicker still.
func TestImport_TenThousand(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute on a busy machine")
	}
	t.Run("badger", func(t *testing.T) {
		g := newGateway(t)
		g.importMany(g.text("require on", "mfa\n\trespond ok"))
	})
	t.Run("postgres", func(t *testing.T) {
		g := newGateway(t)
		g.importMany(g.onPostgres(pgtest.Database(t), "require on"))
	})
}

// importMany has ten thousand people move in twice, through the gateway of that
// configuration.
func (g *gateway) importMany(text string) {
	const many = 10_000
	t := g.t
	t.Helper()
	g.mustLoad(text)
	var lines strings.Builder
	for i := range many {
		fmt.Fprintf(&lines, `{"v":1,"name":"user%05d","display_name":"User %d","email":"user%05d@example.com","groups":["staff"],"password_hash":%q,"totp":[{"secret":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}]}`+"\n", i, i, i, movedHash)
	}
	file := filepath.Join(g.dir, "many.jsonl")
	g.must(os.WriteFile(file, []byte(lines.String()), 0o600))
	binary, err := plainProgram()
	g.must(err)
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, binary, "mfa", "import", "jsonl", file, "--yes", "--config", g.file)
		began := time.Now()
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		g.must(cmd.Start())
		most := mostMemory(cmd.Process.Pid)
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%v\n%.2000s", err, out.Bytes())
		}
		rss := <-most
		t.Logf("%s, %d MiB at most: %s", time.Since(began).Round(time.Millisecond), rss, out.String()[strings.LastIndex(strings.TrimSpace(out.String()), "\n")+1:])
		if rss == 0 || rss > 400 {
			t.Errorf("the command took %d MiB", rss)
		}
	}
	g.passes(t, "user09999", "12345678901234567890", totp.ValidateOpts{Digits: 6, Period: 30})
}

// A key of caddy-security verifies here, though its file keeps the numbers of the public
// key and a hash of the domain; and one whose user handle is known signs in by itself.
func TestImport_KeysOfCaddySecurityAndJSONLines(t *testing.T) {
	for name, algorithm := range map[string]int64{"ES256": mfatest.ES256, "RS256": mfatest.RS256} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t)
			g.mustLoad(g.text("require on", "mfa\n\trespond ok"))
			auth := &mfatest.Authenticator{Origin: "http://" + g.host, Algorithm: algorithm}
			f, at := passkey.New(passkey.Config{}), &mfa.Place{Origin: auth.Origin, Host: "localhost", RPID: "localhost"}
			options, _, err := f.BeginEnrollment(at, &mfa.User{ID: "x", Handle: []byte("the handle there"), Name: "webadmin"})
			g.must(err)
			_, err = auth.Enroll(options, nil)
			g.must(err)
			key := auth.Keys()[0]
			b64, sum := base64.StdEncoding.EncodeToString, sha256.Sum256([]byte("localhost"))
			par := map[string]string{
				"u2f_id": base64.RawURLEncoding.EncodeToString(key.ID), "u2f_type": "public-key", "u2f_transports": "usb", "rp_id_hash": fmt.Sprintf("%x", sum),
			}
			switch public := key.Private.Public().(type) {
			case *ecdsa.PublicKey:
				point, err := public.Bytes()
				g.must(err)
				par["key_type"], par["key_algo"], par["curve_xcoord"], par["curve_ycoord"] = "ec2", "es256", b64(point[1:33]), b64(point[33:])
			case *rsa.PublicKey:
				par["key_type"], par["key_algo"], par["modulus"], par["exponent"] = "rsa", "rs256", b64(public.N.Bytes()), "AQAB"
			}
			users, err := json.Marshal(map[string]any{"users": []any{map[string]any{
				"username": "webadmin", "passwords": []any{map[string]any{"algorithm": "bcrypt", "hash": movedHash}},
				"mfa_tokens": []any{map[string]any{"type": "u2f", "comment": "Key", "parameters": par, "flags": map[string]bool{"UP": true, "UV": false}, "signature_counter": 0}},
			}}})
			g.must(err)
			file := filepath.Join(g.dir, "users.json")
			g.must(os.WriteFile(file, users, 0o600))
			if out, _ := g.importing(t, 0, "caddy-security", file, "--yes"); !strings.Contains(out, "it must ask for its PIN or a finger here") {
				t.Errorf("the condition is not said:\n%s", out)
			}
			gate, place, ctx := g.generation().gate, g.place(), t.Context()
			in, err := gate.SignIn(ctx, place, mfa.LocalSource, "webadmin", movedPassword)
			g.must(err)
			c, err := gate.BeginVerifyPasskey(ctx, place, in.Session.ID)
			g.must(err)
			answer, err := auth.Verify(c.Options, nil)
			g.must(err)
			if _, err := gate.FinishVerifyPasskey(ctx, place, in.Session.ID, c.ID, answer); err != nil {
				t.Errorf("the key: %v", err)
			}
		})
	}
	t.Run("with a handle", func(t *testing.T) {
		g := newGateway(t)
		g.mustLoad(g.text("require on", "mfa\n\trespond ok"))
		auth, _ := elsewhereKey(t, "http://"+g.host, "alice")
		key := auth.Keys()[0]
		point, err := key.Private.Public().(*ecdsa.PublicKey).Bytes()
		g.must(err)
		cose := append([]byte{0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32}, point[1:33]...)
		cose = append(append(cose, 0x22, 0x58, 32), point[33:]...)
		b64 := base64.RawURLEncoding.EncodeToString
		file := filepath.Join(g.dir, "people.jsonl")
		g.must(os.WriteFile(file, fmt.Appendf(nil, `{"v":1,"name":"alice","password_hash":%q,"handle":%q,"passkeys":[{"id":%q,"public_key":%q,"rp_id":"localhost"}]}`,
			movedHash, b64(key.UserHandle), b64(key.ID), b64(cose)), 0o600))
		g.importing(t, 0, "jsonl", file, "--yes")
		gate, place, ctx := g.generation().gate, g.place(), t.Context()
		c, err := gate.BeginPasskeySignIn(ctx, place)
		g.must(err)
		answer, err := auth.Verify(c.Options, nil)
		g.must(err)
		out, err := gate.FinishPasskeySignIn(ctx, place, c.ID, answer)
		g.must(err)
		if out.Subject == nil || out.Subject.Name != "alice" {
			t.Errorf("signed in as %+v", out.Subject)
		}
	})
}

// mostMemory tells, when the process has ended, how many MiB it held at most. What wait(2)
// says of a child is never less than its parent held, which under the race detector is more.
func mostMemory(pid int) <-chan int {
	most := make(chan int, 1)
	go func() {
		peak := 0
		for {
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			_, rest, alive := strings.Cut(string(status), "VmHWM:")
			if err != nil || !alive { // one that has ended and was not waited for has no memory
				most <- peak
				return
			}
			var kib int
			_, _ = fmt.Sscan(rest, &kib)
			peak = max(peak, kib>>10)
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return most
}
