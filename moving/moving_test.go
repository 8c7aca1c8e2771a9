package moving

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// all reads everybody.
func all(t testing.TB, format string, o Options, paths ...string) []Person {
	t.Helper()
	var list []Person
	for p, err := range Read(format, paths, o) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	return list
}

func fixture(name string) string { return filepath.Join("testdata", name) }

// said is what of a person cannot move, in one line.
func said(p Person) string {
	var list []string
	for _, i := range p.Extra {
		list = append(list, i.Item)
	}
	return strings.Join(list, "; ")
}

func TestRead_Authelia(t *testing.T) {
	for _, export := range []string{"authelia-totp.yml", "authelia-totp.csv", "authelia-totp.uri"} {
		t.Run(export, func(t *testing.T) {
			// In whatever order.
			list := all(t, "authelia", Options{EmailsVerified: true}, fixture(export), fixture("authelia-users.yml"))
			if len(list) != 6 {
				t.Fatalf("%d people", len(list))
			}
			alice, bob, carol, erin, zoe := list[0], list[1], list[2], list[4], list[5]
			if alice.Name != "alice" || alice.DisplayName != "Alice Ng" || alice.Email != "alice@example.com" || !alice.EmailVerified ||
				fmt.Sprint(alice.Groups) != "[admins dev]" || alice.Disabled || !strings.HasPrefix(string([]byte(alice.Password)), "$6$salt") || said(alice) != "" || alice.Line != 4 {
				t.Errorf("alice: %+v", alice)
			}
			if len(alice.Apps) != 1 || string([]byte(alice.Apps[0].Secret)) != "12345678901234567890" || alice.Apps[0].Digits != 6 || alice.Apps[0].Period != 30 || alice.Apps[0].Algorithm != "SHA1" {
				t.Errorf("alice's app: %+v", alice.Apps)
			}
			if len(bob.Apps) != 1 || bob.Apps[0].Algorithm != "SHA256" || bob.Apps[0].Digits != 8 || bob.Phone != "+49 151 12345678" || said(bob) != "profile (given_name, locale, address)" {
				t.Errorf("bob: %+v", bob)
			}
			if !carol.Disabled || carol.Email != "carol@example.com" || said(carol) != `e-mail address "carol@example.org"` || carol.Apps[0].Period != 60 {
				t.Errorf("carol: %+v", carol)
			}
			if said(erin) != `field "favourite_colour"` {
				t.Errorf("erin: %+v", erin)
			}
			if !zoe.Nobody || zoe.Name != "zoe" || said(zoe) != "authenticator app" || len(zoe.Apps) != 0 {
				t.Errorf("zoe: %+v", zoe)
			}
		})
	}
	for p, err := range Read("authelia", []string{fixture("authelia-totp.yml")}, Options{}) {
		if err == nil || !strings.Contains(err.Error(), "users file is missing") {
			t.Errorf("an export alone: %+v, %v", p, err)
		}
	}
}

const autheliaWebAuthn = `webauthn_credentials:
    - created_at: 2024-05-01T10:00:00Z
      rpid: auth.example.com
      username: alice
      description: Blue key
      kid: AAECAwQFBgcICQoLDA0ODw==
      aaguid: 08987058-cadc-4b81-b6e1-30de50dcbe96
      attestation_type: basic_full
      attestation_format: packed
      attachment: cross-platform
      transports: [usb, nfc]
      sign_count: 7
      clone_warning: false
      legacy: false
      discoverable: false
      present: true
      verified: false
      backup_eligible: false
      backup_state: false
      public_key: pQECAyYgASFYIA==
      attestation: ''
    - {rpid: auth.example.com, username: alice, description: Copied, kid: AAECAwQFBgcICQoLDA0ODx==, public_key: pQECAyYgASFYIA==, clone_warning: true}
    - {rpid: 'https://auth.example.com', username: alice, description: Old, kid: AAECAwQFBgcICQoLDA0OEA==, public_key: pQECAyYgASFYIA==, attestation_type: fido-u2f}
`

func TestRead_AutheliaWebAuthn(t *testing.T) {
	list := all(t, "authelia", Options{}, fixture("authelia-users.yml"), write(t, "webauthn.yml", autheliaWebAuthn))
	alice := list[0]
	if len(alice.Passkeys) != 1 || said(alice) != `passkey "Copied"; passkey "Old"` || alice.EmailVerified {
		t.Fatalf("alice: %+v", alice)
	}
	k := alice.Passkeys[0]
	if k.Name != "Blue key" || k.RPID != "auth.example.com" || k.SignCount != 7 || !k.Unverified || fmt.Sprint(k.Transports) != "[usb nfc]" || len(k.ID) != 16 || len(k.AAGUID) != 16 {
		t.Errorf("the key: %+v", k)
	}
}

func TestRead_CaddySecurity(t *testing.T) {
	list := all(t, "caddy-security", Options{}, fixture("caddy-security-users.json"))
	if len(list) != 2 {
		t.Fatalf("%d people", len(list))
	}
	w, j := list[0], list[1]
	if w.Name != "webadmin" || w.DisplayName != "Web Admin" || w.Email != "webadmin@example.com" || w.EmailVerified || fmt.Sprint(w.Groups) != "[authp/admin authp/user dev]" ||
		!strings.HasPrefix(string([]byte(w.Password)), "$2y$10$E8Q") {
		t.Errorf("webadmin: %+v", w)
	}
	// The app was given the letters in base32: its secret are the letters.
	if len(w.Apps) != 1 || string([]byte(w.Apps[0].Secret)) != "c71ca4c68bc14ec5b4ab8d3c3b63802c" || w.Apps[0].Name != "My phone" {
		t.Errorf("webadmin's app: %+v", w.Apps)
	}
	if want := `e-mail address "admin@example.org"; administrator's role; authenticator app "Old phone"; 1 API keys; 1 SSH or GPG keys; fields title`; said(w) != want {
		t.Errorf("what cannot move:\n%s\nwant\n%s", said(w), want)
	}
	if !j.Disabled || j.DisplayName != "Smith of Example" || said(j) != "" {
		t.Errorf("jsmith: %+v", j)
	}
}

func TestRead_TinyauthAndHtpasswd(t *testing.T) {
	for _, name := range []string{"tinyauth.env", "tinyauth.txt"} {
		list := all(t, "tinyauth", Options{}, fixture(name))
		if len(list) != 2 || list[0].Name != "alice" || string([]byte(list[0].Apps[0].Secret)) != "12345678901234567890" || list[1].Name != "bob" ||
			string([]byte(list[1].Password)) != "$2y$05$HfPtaJ4edC3ITHHyIy3jy.VDjFtm1vU2CxLdGfn2jA1PalaUE21A2" {
			t.Errorf("%s: %+v", name, list)
		}
	}
	for _, line := range []string{
		"- USERS=u:$$2y$$05$$x", "      - \"TINYAUTH_AUTH_USERS=u:$$2y$$05$$x\"", "USERS: 'u:$$2y$$05$$x'", "u:$2y$05$x", " u : $2y$05$x ,",
	} {
		list := all(t, "tinyauth", Options{}, write(t, "f", line))
		if len(list) != 1 || list[0].Name != "u" || string([]byte(list[0].Password)) != "$2y$05$x" {
			t.Errorf("%q: %+v", line, list)
		}
	}
	list := all(t, "htpasswd", Options{}, fixture("htpasswd"))
	if len(list) != 5 || list[4].Name != "erin" || string([]byte(list[4].Password)) != "a walrus eats 9 kites" || list[1].Line != 3 {
		t.Errorf("htpasswd: %+v", list)
	}
}

func TestRead_JSONLines(t *testing.T) {
	list := all(t, "jsonl", Options{EmailsVerified: true}, fixture("people.jsonl"))
	a := list[0]
	if len(list) != 2 || !a.EmailVerified || a.Phone == "" || len(a.Apps) != 2 || a.Apps[1].Algorithm != "SHA256" || a.Apps[1].Digits != 8 || a.Apps[1].Period != 60 || !list[1].Disabled {
		t.Errorf("%+v", list)
	}
	if list := all(t, "jsonl", Options{}, fixture("people.jsonl")); list[0].EmailVerified {
		t.Error("an address is verified because a file says so")
	}
}

func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A file comes from elsewhere. What is wrong with it is said with the line, and nothing of
// it that may be a secret.
func TestRead_RejectsDamagedFiles(t *testing.T) {
	const hush = "HUSHHUSH"
	for name, tc := range map[string]struct {
		format, text, want string
		line               int
	}{
		"YAML that is none":         {"authelia", "users:\n  a:\n    password: 'HUSHHUSH\n", "no YAML", -1},
		"YAML twice":                {"authelia", "users: {}\n---\nusers: {}\n", "more than one", 0},
		"nothing":                   {"authelia", "", "empty", 0},
		"null":                      {"authelia", "~\n", "no list of fields", 1},
		"another file":              {"authelia", "access_control:\n  rules: []\n", "access_control", 2},
		"a user twice":              {"authelia", "users:\n  a: {password: HUSHHUSH}\n  a: {password: HUSHHUSH}\n", "twice", 3},
		"capitals":                  {"authelia", "users:\n  alice: {password: HUSHHUSH}\n  Alice: {password: HUSHHUSH}\n", "twice", 3},
		"a password of three":       {"authelia", "users:\n  a: {password: [HUSHHUSH, b, c]}\n", "password is no text", 2},
		"an alias":                  {"authelia", "users:\n  a: &x {password: HUSHHUSH}\n  b: *x\n", "aliases", -1},
		"a merge":                   {"authelia", "users:\n  a: &x {password: HUSHHUSH}\n  b: {<<: *x}\n", "aliases", -1},
		"no UTF-8":                  {"authelia", "users:\n  a: {displayname: \"\xff\"}\n", "UTF-8", 2},
		"UTF-16":                    {"authelia", "\xff\xfeu\x00s\x00e\x00r\x00s\x00:\x00", "UTF-8", 1},
		"an app's secret":           {"authelia", "totp_configurations:\n- {username: a, secret: HUSHHUSH!}\n", "secret", 2},
		"CSV of seven":              {"authelia", "issuer,username,algorithm,digits,period,secret\nAcme, Inc,a,SHA1,6,30,HUSHHUSH\n", "six fields", 2},
		"a URI of another kind":     {"authelia", "otpauth://hotp/a?secret=HUSHHUSH\n", "another kind", 1},
		"a URI that is none":        {"authelia", "otpauth://totp/%zz?secret=HUSHHUSH\n", "no otpauth", 1},
		"JSON that is none":         {"caddy-security", "{\"users\": [\n{\"username\": \"a\", \"passwords\": HUSHHUSH}]}", "cannot be read", -1},
		"users of another type":     {"caddy-security", "{\"users\": {}}", "no list", 1},
		"a name of another type":    {"caddy-security", "{\"users\": [\n{\"username\": 7, \"passwords\": [{\"hash\":\"HUSHHUSH\"}]}]}", "another type", 2},
		"no users":                  {"caddy-security", "{}", "no users", 0},
		"behind the end":            {"caddy-security", "{\"users\": []} HUSHHUSH", "", -1},
		"tinyauth of four":          {"tinyauth", "a:b:c:HUSHHUSH", "NAME:HASH", 1},
		"tinyauth, half":            {"tinyauth", "\na:\n", "empty", 2},
		"tinyauth, no base32":       {"tinyauth", "a:b:HUSHHUSH1!", "base32", 1},
		"htpasswd without colon":    {"htpasswd", "HUSHHUSH", "NAME:HASH", 1},
		"htdigest":                  {"htpasswd", "a:realm:HUSHHUSH", "htdigest", 1},
		"a NUL":                     {"htpasswd", "a:b\nb:\x00", "no text", 2},
		"jsonl, unknown field":      {"jsonl", `{"v":1,"name":"a","is_admin":true,"password_hash":"HUSHHUSH"}`, `"is_admin"`, 1},
		"jsonl, unknown below":      {"jsonl", `{"v":1,"name":"a","totp":[{"secret":"HUSHHUSH","counter":1}]}`, `"counter"`, 1},
		"jsonl, version 2":          {"jsonl", `{"v":2,"name":"a"}`, "version", 1},
		"jsonl, no version":         {"jsonl", `{"name":"a"}`, "version", 1},
		"jsonl, no name":            {"jsonl", `{"v":1}`, "no name", 1},
		"jsonl, two on a line":      {"jsonl", `{"v":1,"name":"a"} {"v":1,"name":"b"}`, "behind", 1},
		"jsonl, over two lines":     {"jsonl", "{\"v\":1,\n\"name\":\"HUSHHUSH\"}", "one line", 1},
		"jsonl, a role":             {"jsonl", `{"v":1,"name":"a","role":"admin"}`, `"role"`, 1},
		"jsonl, a number too big":   {"jsonl", `{"v":1,"name":"a","passkeys":[{"sign_count":99999999999}]}`, "another type", 1},
		"jsonl, a secret":           {"jsonl", `{"v":1,"name":"a","totp":[{"secret":"HUSHHUSH1!"}]}`, "base32", 1},
		"jsonl, a passkey":          {"jsonl", `{"v":1,"name":"a","passkeys":[{"id":"!!","public_key":"HUSHHUSH","rp_id":"x"}]}`, "base64url", 1},
		"jsonl, twice":              {"jsonl", "{\"v\":1,\"name\":\"a\"}\n\n{\"v\":1,\"name\":\"A \"}", "twice", 3},
		"jsonl, a very long line":   {"jsonl", `{"v":1,"name":"a"}` + "\n" + `{"v":1,"name":"` + strings.Repeat("a", maxLine) + `"}`, "longer", 2},
		"jsonl, too deep":           {"jsonl", `{"v":1,"groups":` + strings.Repeat("[", 20000), "no JSON", 1},
		"jsonl, a type in a secret": {"jsonl", `{"v":1,"name":"a","password_hash":{"HUSHHUSH":1}}`, "password_hash", 1},
	} {
		t.Run(name, func(t *testing.T) {
			var got error
			for _, err := range Read(tc.format, []string{write(t, "f", tc.text)}, Options{}) {
				if err != nil {
					got = err
				}
			}
			var e *Error
			if !errors.As(got, &e) || !strings.Contains(e.Why, tc.want) || tc.line >= 0 && e.Line != tc.line {
				t.Fatalf("got %v, want line %d: %s", got, tc.line, tc.want)
			}
			if strings.Contains(strings.ReplaceAll(e.Error(), `"HUSHHUSH"`, ""), hush) {
				t.Errorf("a secret is in the error: %v", e)
			}
		})
	}
}

// A few lines of YAML that stand for more than any memory holds: the aliases are refused
// before anything is made of them.
func TestRead_RejectsBillionLaughs(t *testing.T) {
	text := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'z'; c++ {
		text += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat("*"+string(c-1)+",", 9), ","))
	}
	for _, text := range []string{text + "users: *z\n", "users:\n  a:\n    groups: &g [x]\n  b:\n    groups: [*g, *g]\n", "totp_configurations: [&x {username: a}, *x]"} {
		before := memory()
		var got error
		for _, err := range Read("authelia", []string{write(t, "f", text)}, Options{}) {
			got = err
		}
		if got == nil {
			t.Error("it is taken")
		}
		if grew := memory() - before; grew > 64<<20 {
			t.Errorf("it took %d MiB", grew>>20)
		}
	}
}

func memory() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.TotalAlloc)
}

// A file of 10 GB is refused before it is read, a device and a folder as well.
func TestRead_RejectsWhatIsNoSuchFile(t *testing.T) {
	path := write(t, "huge", "")
	if err := os.Truncate(path, 10<<30); err != nil {
		t.Fatal(err)
	}
	half := write(t, "large", "")
	if err := os.Truncate(half, maxWhole+1); err != nil {
		t.Fatal(err)
	}
	for _, format := range Formats() {
		for _, path := range []string{path, t.TempDir(), "/dev/zero", filepath.Join(t.TempDir(), "none"), half} {
			began := time.Now()
			var got error
			for _, err := range Read(format, []string{path}, Options{}) {
				if got = err; err == nil {
					break
				}
			}
			if got == nil || time.Since(began) > 20*time.Second {
				t.Errorf("%s of %s: %v after %s", format, path, got, time.Since(began))
			}
		}
	}
}

// Ten thousand lines take seconds and little memory: people are handed on one by one.
func TestRead_TenThousandLines(t *testing.T) {
	var text strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&text, `{"v":1,"name":"user%05d","email":"user%05d@example.com","password_hash":"$2y$05$HfPtaJ4edC3ITHHyIy3jy.VDjFtm1vU2CxLdGfn2jA1PalaUE21A2","totp":[{"secret":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}]}`+"\n", i, i)
	}
	path := write(t, "many", text.String())
	began, before, n := time.Now(), memory(), 0
	for _, err := range Read("jsonl", []string{path}, Options{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	took, allocated := time.Since(began), memory()-before
	t.Logf("%d people in %s, %d KiB each", n, took.Round(time.Millisecond), allocated>>10/int64(n))
	if n != 10_000 || took > 30*time.Second || allocated > 200<<20 {
		t.Errorf("%d people, %s, %d MiB", n, took, allocated>>20)
	}
	// Whoever has had enough is not given more.
	for range Read("jsonl", []string{path}, Options{}) {
		break
	}
}

// RPIDs name the relying party of which a file keeps the hash alone.
func TestAuthcrunchToken_RelyingParty(t *testing.T) {
	sum := sha256.Sum256([]byte("auth.example.com"))
	token := authcrunchToken{
		Type: "u2f", Comment: "Key", SignatureCounter: 4, Flags: map[string]bool{"UP": true, "UV": true},
		Parameters: map[string]string{
			"u2f_id": "AAECAwQFBgcICQoLDA0ODw", "u2f_type": "public-key", "u2f_transports": "usb,nfc", "key_type": "ec2", "key_algo": "es256", "curve_type": "p256",
			"curve_xcoord": "AAECAwQFBgcICQoLDA0ODwABAgMEBQYHCAkKCwwNDg8=", "curve_ycoord": "AAECAwQFBgcICQoLDA0ODwABAgMEBQYHCAkKCwwNDg8=",
			"rp_id_hash": fmt.Sprintf("%x", sum),
		},
	}
	for _, tc := range []struct {
		ids  []string
		want string
	}{{nil, ""}, {[]string{"other.example.com"}, ""}, {[]string{"other.example.com", "Auth.example.com"}, "auth.example.com"}} {
		key, why := token.passkey(Options{RPIDs: tc.ids})
		if why != "" || key.RPID != tc.want || !bytes.Equal(key.RPIDHash, sum[:]) || len(key.PublicKey) != 77 || key.Unverified || key.SignCount != 4 {
			t.Errorf("with %v: %+v, %q", tc.ids, key, why)
		}
	}
	token.Parameters["curve_xcoord"] = "AAEC"
	if _, why := token.passkey(Options{}); why == "" {
		t.Error("half a point is taken")
	}
}

// Whatever the bytes, a reader ends without a panic and gives people or an error.
func fuzz(f *testing.F, format string, seeds ...string) {
	for _, name := range seeds {
		data, err := os.ReadFile(fixture(name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		files := []file{{name: "f", size: int64(len(data)), open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }}}
		for _, known := range formats {
			if known.name != format {
				continue
			}
			for p, err := range once(known.read(files, Options{})) {
				if err == nil && !p.Nobody && strings.TrimSpace(p.Name) == "" {
					t.Errorf("somebody without a name: %+v", p.Newcomer)
				}
			}
		}
	})
}

func FuzzAuthelia(f *testing.F) {
	f.Add([]byte(autheliaWebAuthn))
	fuzz(f, "authelia", "authelia-users.yml", "authelia-totp.yml", "authelia-totp.csv", "authelia-totp.uri")
}

func FuzzCaddySecurity(f *testing.F) { fuzz(f, "caddy-security", "caddy-security-users.json") }
func FuzzTinyauth(f *testing.F)      { fuzz(f, "tinyauth", "tinyauth.env", "tinyauth.txt") }
func FuzzHtpasswd(f *testing.F)      { fuzz(f, "htpasswd", "htpasswd") }
func FuzzJSONLines(f *testing.F)     { fuzz(f, "jsonl", "people.jsonl") }

// AC-208: a file that somebody made for it must not fill the memory or hold the command up.
func TestRead_AC208_BoundsAPerson(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var list []string
	for i := range 500_000 {
		list = append(list, fmt.Sprintf(`{"address":"a%06d@example.com"}`, i))
	}
	for format, path := range map[string]string{
		"caddy-security": write("users.json", `{"users":[{"username":"alice","email_addresses":[`+strings.Join(list, ",")+`]}]}`),
		"htpasswd":       write("htpasswd", strings.Repeat("a", 100_000)+":$2y$05$HfPtaJ4edC3ITHHyIy3jy.VDjFtm1vU2CxLdGfn2jA1PalaUE21A2\n"),
	} {
		began := time.Now()
		var err error
		for _, e := range Read(format, []string{path}, Options{}) {
			err = e
		}
		var why *Error
		if !errors.As(err, &why) || !strings.Contains(err.Error(), "is it the right file?") || len(err.Error()) > 400 {
			t.Errorf("%s: %.400v", format, err)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s: it took %v", format, took)
		}
	}
}
