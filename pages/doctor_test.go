package pages

import (
	"html"
	"net/http"
	"strings"
	"testing"

	"github.com/secondgate/secondgate/doctor"
	"github.com/secondgate/secondgate/guard"
	"github.com/secondgate/secondgate/mfa"
)

// sampleReport is one with findings of each severity, and a request through Traefik.
func sampleReport() *doctor.Report {
	f := &guard.Facts{
		At: testNow, Protocol: "HTTP/1.1", Method: "GET", Path: "/.mfa/doctor", Sent: "console.example.com", Peer: "172.18.0.4", Client: "172.18.0.4",
		Headers: []guard.Shape{
			{Name: "Accept", Lines: 1, Length: 63}, {Name: "Cookie", Lines: 2, Length: 1290}, {Name: "X-Forwarded-For", Lines: 1, Length: 9, Value: "192.0.2.7"},
			{Name: "X-Forwarded-Proto", Lines: 1, Length: 5, Value: "https"}, {Name: "X-Forwarded-Server", Lines: 1, Length: 12, Value: "9ad3c2aaf112"},
		},
		Scheme: "https", Host: "console.example.com", Scope: "console.example.com", CookieName: "__Host-mfa", RPID: "example.com", Domain: "example.com", Portal: "https://auth.example.com",
		Place: "console", Strict: true,
	}
	r := &doctor.Report{At: testNow, Proxy: "traefik", Facts: f}
	r.Add(doctor.Judge(f, "traefik")...)
	r.Add(doctor.Check(&doctor.Setup{
		Domain: "example.com", Origin: "https://app.example.com", Servers: []doctor.Server{{Name: "srv0", Trusts: true}},
		Troubles: []doctor.Trouble{{At: testNow, Count: 12, Dialect: "nginx", Kind: "question", Header: "X-Original-URL", What: "is missing", Peer: "10.0.0.5"}},
	})...)
	return r
}

// Every finding has words in every language, and the English ones are those of the command.
func TestFindingWords(t *testing.T) {
	c, err := loadWords()
	if err != nil {
		t.Fatal(err)
	}
	if len(findingWords) != len(doctor.Texts) {
		t.Errorf("%d findings have words, of %d", len(findingWords), len(doctor.Texts))
	}
	for code, text := range doctor.Texts {
		key := findingWords[code]
		if key != "doctor.find."+code || c.list[0].texts[key] != text {
			t.Errorf("%s: the page says %q, the command %q", code, c.list[0].texts[key], text)
		}
		for _, l := range c.list {
			for _, part := range strings.Split(text, "{")[1:] {
				name, _, _ := strings.Cut(part, "}")
				if !strings.Contains(l.texts[key], "{"+name+"}") {
					t.Errorf("%s in %s leaves {%s} out", code, l.Tag, name)
				}
			}
		}
	}
}

// What a proxy or a client put into a request, and into the question for the page, stands in
// the page as text (AC-133); and only kinds of proxies that there are reach the doctor.
func TestDoctor_AC133_escapes(t *testing.T) {
	const evil = `"><svg/onload=1>`
	w := newWorld(t, acme)
	w.filled(asAdmin)
	w.report = sampleReport()
	f := w.report.Facts
	f.Sent, f.Client, f.Peer, f.Protocol, f.Origin = evil, evil, evil, evil, evil
	f.Headers = append(f.Headers, guard.Shape{Name: evil, Lines: 1, Value: evil})
	w.report.Add(doctor.Finding{Code: "host_malformed", Severity: doctor.Wrong, Args: []string{"sent", evil}, Snippet: evil, For: evil}, doctor.Finding{Code: "new", Text: evil, Severity: evil})
	a := w.visitConsole("/.mfa/doctor?proxy=%22%3E%3Csvg/onload=1%3E&x=" + evil)
	if a.StatusCode != http.StatusOK || strings.Contains(a.body, "<svg/onload") || strings.Count(a.body, html.EscapeString(evil)) < 8 {
		t.Errorf("%d\n%s", a.StatusCode, a.body)
	}
	if w.asked != "" {
		t.Errorf("the doctor was asked about %q", w.asked)
	}
	if w.visitConsole("/.mfa/doctor?proxy=haproxy"); w.asked != "haproxy" {
		t.Errorf("the doctor was asked about %q", w.asked)
	}
}

// The page of the loop breaker leads the administrator to the doctor: where there is a
// console to it, and else to the command. It names an origin that the guard has made, never
// a parameter.
func TestLoop_leadsToTheDoctor(t *testing.T) {
	for _, at := range []string{"", "https://auth.example.com"} {
		w := newWorld(t, acme)
		w.consoleAt = at
		w.signedIn(mfa.Decision{Action: mfa.Allow})
		var a answer
		for range loopBounces {
			a = w.get("/.mfa/sign-in" + rd)
		}
		if a.StatusCode != http.StatusLoopDetected || !strings.Contains(a.body, "secondgate mfa doctor https://payroll.example.com”") {
			t.Errorf("%d\n%s", a.StatusCode, a.body)
		}
		if has := strings.Contains(a.body, `href="https://auth.example.com/.mfa/doctor"`); has != (at != "") {
			t.Errorf("a console at %q, a link to it: %v", at, has)
		}
	}
}
