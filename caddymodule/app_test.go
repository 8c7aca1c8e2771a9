package caddymodule

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/secondgate/secondgate/mfa"
)

func policyOf(t *testing.T, raw string) (mfa.Policy, error) {
	t.Helper()
	app := new(App)
	if err := caddy.StrictUnmarshalJSON([]byte(raw), app); err != nil {
		return mfa.Policy{}, err
	}
	return app.check()
}

// What is left out of the JSON has the strict value, or that of the default.
func TestApp_ZeroValueIsStrict(t *testing.T) {
	for raw, want := range map[string]mfa.Policy{
		`{}`: mfa.DefaultPolicy(),
		`{"enrollment":{}}`: {
			Factors: mfa.DefaultPolicy().Factors,
		},
		`{"require":"off"}`: {
			Factors: mfa.DefaultPolicy().Factors, Optional: true, Enrollment: mfa.DefaultPolicy().Enrollment,
		},
		`{"require":"off","factors":["off"]}`: {
			Off: true, Optional: true, Enrollment: mfa.DefaultPolicy().Enrollment,
		},
	} {
		got, err := policyOf(t, raw)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", raw, got, err, want)
		}
	}
}

// AC-201: what cannot be honoured is refused in JSON as in the Caddyfile.
func TestApp_AC201_RejectsWeakJSON(t *testing.T) {
	for _, raw := range []string{
		`{"factors":[]}`, `{"factors":[""]}`, `{"factors":["backup_code"]}`, `{"factors":["off"]}`, `{"factors":["sms","totp"]}`,
		`{"require":"On"}`, `{"require":"false"}`, `{"require":false}`, `{"prompt":"never"}`,
		`{"grace":"-1h"}`, `{"enrollment":{"window":"1h"}}`, `{"enrollment":{"open":true,"window":"-1h"}}`,
		`{"session":{"idle":"1s"}}`, `{"session":{"idle":-1}}`, `{"session":{"absolute":"9000h"}}`,
		`{"domain":"com"}`, `{"domain":"*.example.com"}`, `{"domain":"example.com:443"}`, `{"domain":"Example.com"}`,
		`{"origin":"http://example.com"}`, `{"origin":"http://localhost:8080"}`, `{"origin":"http://example.com","insecure_http":true}`, `{"origin":"example.com"}`, `{"origin":"https://"}`, `{"origin":"https://a@example.com"}`,
		`{"headers":{"user":"Cookie"}}`, `{"headers":{"user":"Remote-Name"}}`, `{"user_header":"subject"}`,
		`{"report_only":"yes"}`, `{"admins":["alice"]}`, `{"remember_device":"-30d"}`, `{"max_attempts":0}`,
	} {
		if _, err := policyOf(t, raw); err == nil {
			t.Errorf("%s was accepted", raw)
		}
	}
}

func TestHandler_AC201_RejectsWeakJSON(t *testing.T) {
	for _, raw := range []string{
		`{"bypass":true}`, `{"bypass":true,"match":[]}`, `{"bypass":true,"match":[{"path":["/a"]}],"fresh":"5m"}`,
		`{"fresh":"1s"}`, `{"fresh":-1}`, `{"factors":[]}`, `{"factors":["backup_code"]}`, `{"factors":["sms"]}`, `{"strict":true}`,
	} {
		h, app := new(Handler), new(App)
		p, err := app.check()
		if err != nil {
			t.Fatal(err)
		}
		if err := caddy.StrictUnmarshalJSON([]byte(raw), h); err != nil {
			continue
		}
		if err := h.check(app, p); err == nil {
			t.Errorf("%s was accepted", raw)
		}
	}
}

// B2: switching it off is said at each start.
func TestStart_B2_SaysThatItIsOff(t *testing.T) {
	g := newGateway(t)
	log := filepath.Join(t.TempDir(), "mfa.log")
	text := g.text("factors off\n\t\trequire off", "mfa\n\trespond ok")
	g.mustLoad(strings.Replace(text, "\tmfa {", "\tlog test {\n\t\tinclude mfa\n\t\toutput file "+log+"\n\t}\n\tmfa {", 1))
	raw, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"logger":"mfa.event","msg":"mfa_off"`, "2-step verification is switched off"} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("the log does not say %s:\n%s", want, raw)
		}
	}
	if resp, _ := g.get("/", nil); resp.StatusCode != 302 || !strings.HasPrefix(resp.Header.Get("Location"), "/.mfa/sign-in") {
		t.Errorf("a stranger got %d", resp.StatusCode)
	}
	if resp, _ := g.get("/", g.signIn("alice", 0)); resp.StatusCode != 200 {
		t.Errorf("who signed in got %d", resp.StatusCode)
	}
}
