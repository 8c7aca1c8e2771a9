package caddymodule_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/secondgate/secondgate/caddymodule"
)

var snippet = regexp.MustCompile("(?ms)^```(caddyfile|json)\n(.*?)^```$")

// What the documents show can be used as it is shown.
func TestDocs_SnippetsAdapt(t *testing.T) {
	files := []string{"../README.md"}
	err := filepath.WalkDir("../docs", func(path string, d fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"SMTP_PASSWORD", "WEBHOOK_SECRET", "LDAP_PASSWORD"} {
		t.Setenv(secret, "a secret of more than 24 bytes")
	}
	found := map[string]int{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range snippet.FindAllSubmatchIndex(raw, -1) {
			kind, text := string(raw[m[2]:m[3]]), string(raw[m[4]:m[5]])
			line := 1 + strings.Count(string(raw[:m[4]]), "\n")
			found[filepath.Base(file)]++
			if kind == "json" {
				var cfg caddy.Config
				err := caddy.StrictUnmarshalJSON([]byte(text), &cfg)
				if err == nil {
					err = caddy.Validate(&cfg)
				}
				if err != nil {
					t.Errorf("%s:%d: %v", file, line, err)
				}
				continue
			}
			if _, err := adapt(file, text); err != nil {
				t.Errorf("%s:%d: %v", file, line, err)
			}
			checkFormat(t, file, line, text)
		}
	}
	for file, least := range map[string]int{"README.md": 1, "configuration.md": 5, "senders.md": 7, "oidc.md": 2, "ldap.md": 5, "proxied.md": 5} {
		if found[file] < least {
			t.Errorf("found only %d snippets in %s", found[file], file)
		}
	}
}

// Every option of a sender is described, under the name that it has in a Caddyfile.
func TestDocs_NameEveryOptionOfSenders(t *testing.T) {
	raw, err := os.ReadFile("../docs/senders.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range []any{caddymodule.SMTPSender{}, caddymodule.TwilioSender{}, caddymodule.WebhookSender{}, caddymodule.LogSender{}} {
		kind := reflect.TypeOf(module)
		for i := range kind.NumField() {
			option, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
			if option != "" && !strings.Contains(string(raw), "`"+option) {
				t.Errorf("%s: nothing tells of %q", kind.Name(), option)
			}
		}
	}
}

// Every option of an OpenID provider is described, and a configuration shown for each that
// is named.
func TestDocs_NameEveryOptionOfOIDC(t *testing.T) {
	raw, err := os.ReadFile("../docs/identity/oidc.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for _, module := range []any{caddymodule.OIDCIdentity{}, caddymodule.OIDCClaims{}, caddymodule.OIDCTrust{}} {
		kind := reflect.TypeOf(module)
		for i := range kind.NumField() {
			option, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
			if option != "" && !strings.Contains(text, "`"+option) && !strings.Contains(text, "\t"+option+" ") {
				t.Errorf("%s: nothing tells of %q", kind.Name(), option)
			}
		}
	}
	pages := regexp.MustCompile(`\]\(([a-z]+\.md)\)`).FindAllStringSubmatch(text, -1)
	if len(pages) < 8 {
		t.Errorf("found %d pages of providers", len(pages))
	}
	for _, m := range pages {
		page, err := os.ReadFile("../docs/identity/" + m[1])
		if err != nil || !strings.Contains(string(page), "/callback") || !strings.Contains(string(page), "was not run against") || !snippet.Match(page) {
			t.Errorf("%s: error %v, or no redirect URI, no configuration, or no word on how it was tried", m[1], err)
		}
	}
}

// Every option of an identity source is described, under the name that it has in a
// Caddyfile.
func TestDocs_NameEveryOptionOfIdentities(t *testing.T) {
	for file, module := range map[string]any{"ldap.md": caddymodule.LDAPIdentity{}, "proxied.md": caddymodule.ProxiedIdentity{}} {
		raw, err := os.ReadFile("../docs/identity/" + file)
		if err != nil {
			t.Fatal(err)
		}
		kind := reflect.TypeOf(module)
		for i := range kind.NumField() {
			option, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
			if option != "" && option != "name" && !strings.Contains(string(raw), "`"+option) && !strings.Contains(string(raw), "\t\t\t"+option+" ") {
				t.Errorf("%s: nothing tells of %q", file, option)
			}
		}
	}
}

func TestExample_Adapts(t *testing.T) {
	raw, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := adapt("Caddyfile.example", string(raw)); err != nil {
		t.Error(err)
	}
	checkFormat(t, "Caddyfile.example", 1, string(raw))
}

func checkFormat(t *testing.T, file string, line int, text string) {
	t.Helper()
	if want := string(caddyfile.Format([]byte(text))); want != text {
		t.Errorf("%s:%d: not as \"secondgate fmt\" writes it:\n%s", file, line, want)
	}
}

// Every option of the Caddyfile is described, under its name.
func TestDocs_NameEveryOption(t *testing.T) {
	raw, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	renamed := map[string]string{"senders": "sender", "organizations": "organization", "match": "mfa [MATCHER]"}
	for _, module := range []any{caddymodule.App{}, caddymodule.Organization{}, caddymodule.Local{}, caddymodule.SMS{}, caddymodule.Session{}, caddymodule.Brand{}, caddymodule.BadgerStore{}, caddymodule.PostgresStore{}, caddymodule.Handler{}} {
		kind := reflect.TypeOf(module)
		for i := range kind.NumField() {
			option, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
			if other := renamed[option]; other != "" {
				option = other
			}
			if option != "" && option != "dir" && !strings.Contains(text, "`"+option) {
				t.Errorf("%s: nothing tells of %q", kind.Name(), option)
			}
		}
	}
}
