package caddymodule

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/secondgate/secondgate/mfa"
)

// AC-039, AC-169: somebody asks at a host of their choice, of a site that answers to any,
// for a code and a link for somebody else. Neither letter names that host.
func TestLetters_AC169_HostOfAStranger(t *testing.T) {
	in, g := new(inbox), newGateway(t)
	text := g.text("insecure_http\n\t\tidentity local {\n\t\t\tsign_in password email\n\t\t}\n\t\tsender email smtp {\n\t\t\thost localhost:"+newMailServer(t, in)+
		"\n\t\t\tfrom gate@example.com\n\t\t\ttls none\n\t\t}", "mfa\n\trespond ok")
	text = strings.Replace(text, "http://localhost:"+g.port, "http://:"+g.port, 1) +
		"http://app.example.com:" + g.port + " {\n\tmfa\n}\nhttp://*.example.org:" + g.port + " {\n\tmfa\n}\n"
	g.mustLoad(text)
	u := &mfa.User{
		ID: "id-alice", Handle: []byte("handle-alice"), Source: "local", Subject: "alice", Name: "alice", Password: mfa.Secret("none"),
		Email: "alice@example.com", EmailVerified: true, Created: time.Now(), FirstSignIn: time.Now(),
	}
	if err := g.generation().pooled.store.store.CreateUser(context.Background(), u); err != nil {
		t.Fatal(err)
	}
	ask := func(host, page, field, value string) {
		t.Helper()
		do := func(r *http.Request) *http.Response {
			r.Host, r.Close = host+":"+g.port, true
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			return resp
		}
		r, _ := http.NewRequest(http.MethodGet, "http://127.0.0.1:"+g.port+"/.mfa/"+page, nil)
		resp := do(r)
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		token := regexp.MustCompile(`name="csrf" value="([^"]+)"`).FindSubmatch(body)
		if token == nil {
			t.Fatalf("%s: %d without a form", page, resp.StatusCode)
		}
		r, _ = http.NewRequest(http.MethodPost, "http://127.0.0.1:"+g.port+"/.mfa/"+page, strings.NewReader(url.Values{"csrf": {string(token[1])}, field: {value}}.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, c := range resp.Cookies() {
			r.AddCookie(c)
		}
		sent := do(r)
		sent.Body.Close()
		if sent.StatusCode != http.StatusSeeOther {
			t.Fatalf("%s at %s: %d", page, host, sent.StatusCode)
		}
	}
	for host, names := range map[string]string{
		"evil.test": "app.example.com", "app.example.com": "app.example.com", "shop.example.org": "shop.example.org",
	} {
		for _, page := range [][3]string{{"sign-in/code", "address", "alice@example.com"}, {"forgotten", "name", "alice"}} {
			if host == "shop.example.org" && page[0] == "forgotten" {
				continue // five letters an hour are all that strangers can have sent
			}
			ask(host, page[0], page[1], page[2])
			var letter string
			waitFor(t, "a letter", func() bool { letter += in.take(); return strings.Contains(letter, "Subject:") })
			letter = strings.ReplaceAll(strings.ReplaceAll(letter, "=\r\n", ""), "=3D", "=")
			if strings.Contains(letter, "evil") || page[0] == "sign-in/code" && !strings.Contains(letter, "@"+names+" #") ||
				page[0] == "forgotten" && !strings.Contains(letter, "://app.example.com:"+g.port+"/.mfa/link#") {
				t.Errorf("%s at %s:\n%s", page[0], host, letter)
			}
		}
	}
}
