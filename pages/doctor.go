package pages

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/secondgate/secondgate/doctor"
	"github.com/secondgate/secondgate/guard"
)

// pageDoctor says what proxies in between do to requests. It stands beside the console, and
// where the console does.
const pageDoctor = "doctor"

// paramProxy is the kind of the proxy in front, where somebody says it.
const paramProxy = "proxy"

// doctorPage is what the doctor says of the very request for it.
type doctorPage struct {
	frame
	Command  string
	Proxies  []option
	Hidden   []option
	Good     bool
	Findings []findingView
	Facts    []fact
	Headers  grid
}

// findingView is one finding in the language of the page.
type findingView struct {
	Tag     tag
	Text    string
	Label   string // of the snippet
	Snippet string
	Open    bool
}

func (p *Pages) serveDoctor(c *console) {
	proxy, ok := doctor.ParseProxy(c.query.Get(paramProxy))
	if !ok {
		proxy = ""
	}
	report := p.doctor(c.r, proxy)
	page := doctorPage{
		frame: c.frame(c.T("console.doctor")), Hidden: c.hidden(), Good: !report.Bad(),
		Command: "secondgate mfa doctor https://app.example.com",
	}
	if p.apps != nil {
		if apps := p.apps(); len(apps) > 0 {
			page.Command = doctorCommand(apps[0])
		}
	}
	for _, kind := range doctor.Proxies {
		page.Proxies = append(page.Proxies, option{Value: string(kind), Label: kind.Title(), Selected: kind == proxy})
	}
	for _, f := range report.Findings {
		page.Findings = append(page.Findings, c.finding(&f))
	}
	if report.Facts != nil {
		page.Facts, page.Headers = c.requestFacts(report.Facts), c.headerGrid(report.Facts.Headers)
	}
	c.render(http.StatusOK, "console_doctor", page)
}

// severityWords are the words for how bad a finding is, and its tone.
var severityWords = map[doctor.Severity]tag{
	doctor.Wrong: {"doctor.wrong", "bad"}, doctor.Warning: {"doctor.warning", "note"}, doctor.Note: {"doctor.note", "note"},
}

func (c *console) finding(f *doctor.Finding) findingView {
	v := findingView{Text: f.Text, Snippet: f.Snippet, Open: strings.Count(f.Snippet, "\n") <= 8}
	if key, ok := findingWords[f.Code]; ok {
		args := make([]any, len(f.Args))
		for i, arg := range f.Args {
			args[i] = arg
		}
		v.Text = c.T(key, args...)
	}
	if w, ok := severityWords[f.Severity]; ok {
		v.Tag = tag{c.T(w.Text), w.Tone}
	}
	if f.Snippet != "" {
		v.Label = c.T("doctor.snippet", "for", f.For)
	}
	return v
}

// requestFacts says what came, and what it was taken for.
func (c *console) requestFacts(f *guard.Facts) []fact {
	peer := tag{c.T("doctor.untrusted"), "note"}
	if f.Trusted {
		peer = tag{c.T("doctor.trusted"), "good"}
	}
	over := fact{Label: c.T("doctor.fact.protocol"), Text: f.Protocol}
	if f.TLS {
		over.Tags = []tag{{c.T("doctor.tls"), "good"}}
	}
	cookie := f.CookieName
	if f.CookieDomain != "" {
		cookie += " (" + f.CookieDomain + ")"
	}
	var list []fact
	for _, one := range []fact{
		{Label: c.T("doctor.fact.peer"), Text: f.Peer, Tags: []tag{peer}},
		over,
		{Label: c.T("doctor.fact.client"), Text: f.Client},
		{Label: c.T("doctor.fact.sent"), Text: f.Sent},
		{Label: c.T("doctor.fact.host"), Text: f.Host},
		{Label: c.T("doctor.fact.scheme"), Text: f.Scheme},
		{Label: c.T("doctor.fact.cookie"), Text: cookie},
		{Label: c.T("doctor.fact.scope"), Text: f.Scope},
		{Label: c.T("doctor.fact.rpid"), Text: f.RPID},
		{Label: c.T("doctor.fact.domain"), Text: f.Domain},
		{Label: c.T("doctor.fact.origin"), Text: f.Origin},
		{Label: c.T("doctor.fact.portal"), Text: f.Portal},
		{Label: c.T("doctor.fact.clock"), Text: f.At.UTC().Format("2006-01-02 15:04:05 UTC")},
	} {
		if one.Text != "" {
			list = append(list, one)
		}
	}
	return list
}

func (c *console) headerGrid(list []guard.Shape) grid {
	g := grid{ID: "headers", Caption: c.T("doctor.headers"), Columns: []string{
		c.T("doctor.column.header"), c.T("doctor.column.lines"), c.T("doctor.column.length"), c.T("doctor.column.value"),
	}}
	for _, h := range list {
		g.Rows = append(g.Rows, gridRow{[]cell{{Text: h.Name, Mono: true}, {Text: strconv.Itoa(h.Lines)}, {Text: strconv.Itoa(h.Length)}, {Text: h.Value, Mono: true}}})
	}
	return g
}

func doctorCommand(origin string) string { return "secondgate mfa doctor " + origin }
