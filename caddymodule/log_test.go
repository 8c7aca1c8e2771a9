package caddymodule

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Operators route what the gate says as the documents tell them: all of it under
// "mfa", the events under "mfa.event". At debug each decision is there. Nothing
// of what people type or carry is in any of it (AC-229).
func TestLog_RoutesAndKeepsSecrets(t *testing.T) {
	g := newGateway(t)
	all, events := filepath.Join(g.dir, "all.log"), filepath.Join(g.dir, "events.log")
	text := g.text("require on", "mfa\n\trespond ok")
	logs := "\tlog mfa_all {\n\t\tinclude mfa\n\t\tlevel DEBUG\n\t\toutput file " + all + "\n\t}\n" +
		"\tlog mfa_events {\n\t\tinclude mfa.event\n\t\toutput file " + events + "\n\t}\n"
	text = strings.Replace(text, "\tmfa {", logs+"\tmfa {", 1)
	text = strings.Replace(text, "respond ok\n", "mfa /public/* {\n\t\tbypass\n\t}\n\trespond ok\n", 1)
	text = strings.Replace(text, "http://"+g.host+" {", "http://"+g.host+", http://app.example.com:"+g.port+" {", 1)
	g.mustLoad(text)

	cookie := g.signIn("alice", time.Minute)
	g.get("/?token=querysecret", cookie)
	g.get("/", nil)
	page, body := g.get("/.mfa/sign-in", nil)
	csrf := between(body, `name="csrf" value="`, `"`)
	form := strings.NewReader("csrf=" + csrf + "&name=passwordtypedasname&password=thepassword")
	post := g.form("/.mfa/sign-in", form, page.Cookies())
	if post.StatusCode >= 500 || post.StatusCode == 403 {
		t.Fatalf("signing in: %d", post.StatusCode)
	}
	g.get("/public/x", nil)
	if resp := g.form("/.mfa/sign-in", strings.NewReader("csrf=forged&name=alice&password=thepassword"), page.Cookies()); resp.StatusCode != 403 {
		t.Fatalf("a forged form: %d", resp.StatusCode)
	}
	plain := "GET %s HTTP/1.1\r\nHost: app.example.com\r\nConnection: close\r\nAccept: text/html\r\n\r\n"
	if code := g.raw(fmt.Sprintf(plain, "/?token=querysecret")); code != 403 {
		t.Fatalf("plain http beyond localhost: %d", code)
	}
	// The page that says so is to look like one, and nothing else is to be had.
	if sheet := between(body, `<link rel="stylesheet" href="`, `"`); g.raw(fmt.Sprintf(plain, sheet)) != 200 {
		t.Errorf("the style sheet %q over plain http", sheet)
	}
	for _, path := range []string{"/.mfa/assets/../sign-in", "/.mfa/assets/%2e%2e/sign-in", "/.mfa/assets/", "/.mfa/assets/none.css"} {
		if code := g.raw(fmt.Sprintf(plain, path)); code == 200 {
			t.Errorf("%s over plain http: %d", path, code)
		}
	}
	g.raw("GET / HTTP/1.1\r\nHost: " + g.host + "\r\nConnection: close\r\nCookie: " + cookie.Name + "=forged\r\n\r\n")

	entries := func(path string) (list []map[string]any, whole string) {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(raw)) {
			var e map[string]any
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			list = append(list, e)
		}
		return list, string(raw)
	}
	list, whole := entries(all)
	count := map[string]int{}
	for _, e := range list {
		if name := e["logger"].(string); name != "mfa" && !strings.HasPrefix(name, "mfa.") {
			t.Errorf("a line of %s", name)
		}
		count[e["msg"].(string)]++
	}
	for _, want := range []string{
		`"level":"debug".*"msg":"decided","allowed":true,"action":"allow","reason":"","host":"` + g.host + `","user_id":"id-alice"`,
		`"level":"debug".*"msg":"decided","allowed":false,"action":"sign_in","reason":"no_session"`,
		`"level":"debug".*"msg":"decided","allowed":true,"action":"allow","reason":"bypass"`,
		`"level":"info".*"msg":"refused","reason":"page","status":403,"method":"POST","page":"/.mfa/sign-in"`,
		`"level":"info".*"msg":"refused","reason":"plain http beyond localhost","host":"app.example.com"`,
	} {
		if !regexp.MustCompile(want).MatchString(whole) {
			t.Errorf("there is no line like %s", want)
		}
	}
	if count["the gate is up"] != 1 || count["decided"] < 2 || count["sign_in"] != 1 {
		t.Errorf("the lines are %v", count)
	}
	link, err := os.ReadFile(g.store + ".setup-link")
	if err != nil {
		t.Fatal(err)
	}
	_, token, _ := strings.Cut(strings.TrimSpace(string(link)), "#")
	for _, secret := range []string{cookie.Value, "querysecret", "thepassword", "passwordtypedasname", csrf, token} {
		if secret == "" || strings.Contains(whole, secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	list, _ = entries(events)
	for _, e := range list {
		if e["logger"] != "mfa.event" {
			t.Errorf("a line of %v is among the events", e["logger"])
		}
	}
	if len(list) < 2 {
		t.Errorf("%d events", len(list))
	}
}

func between(text, before, after string) string {
	_, rest, _ := strings.Cut(text, before)
	value, _, _ := strings.Cut(rest, after)
	return value
}
