package doctor

import (
	"slices"
	"strings"
	"time"

	"github.com/secondgate/secondgate/guard"
)

// Severity says how bad a finding is.
type Severity string

// The severities. With something Wrong, people are not served, or not safely.
const (
	Wrong   Severity = "wrong"
	Warning Severity = "warning"
	Note    Severity = "note"
)

// Finding is one thing that is not as it should be.
type Finding struct {
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	Args     []string `json:"args,omitempty"` // pairs of a name in the text and its value
	Text     string   `json:"text"`           // in English
	Snippet  string   `json:"snippet,omitempty"`
	For      string   `json:"snippet_for,omitempty"` // whose configuration that is: "Caddyfile", "nginx", …
}

// Report is what the doctor says.
type Report struct {
	At       time.Time    `json:"at"`
	URL      string       `json:"url,omitempty"`
	Proxy    Proxy        `json:"proxy,omitempty"` // in front of the gateway, as far as it can be told
	Facts    *guard.Facts `json:"facts,omitempty"`
	Findings []Finding    `json:"findings"`
	Troubles []Trouble    `json:"troubles,omitempty"`
}

// Bad reports whether something is wrong.
func (r *Report) Bad() bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Severity == Wrong })
}

// Add adds findings, each code with the same values once, the worst first.
func (r *Report) Add(list ...Finding) {
	for _, f := range list {
		if !slices.ContainsFunc(r.Findings, func(have Finding) bool { return have.Code == f.Code && slices.Equal(have.Args, f.Args) }) {
			r.Findings = append(r.Findings, f)
		}
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return rank(a.Severity) - rank(b.Severity) })
}

func rank(s Severity) int { return slices.Index([]Severity{Wrong, Warning, Note}, s) }

// find makes a finding of its code and the values in its text.
func find(code string, args ...string) Finding {
	return Finding{Code: code, Severity: severities[code], Args: args, Text: fill(Texts[code], args)}
}

// with adds the lines that mend it.
func (f Finding) with(of, snippet string) Finding {
	if snippet != "" {
		f.For, f.Snippet = of, snippet
	}
	return f
}

func fill(text string, args []string) string {
	pairs := make([]string, 0, len(args))
	for i := 0; i+1 < len(args); i += 2 {
		pairs = append(pairs, "{"+args[i]+"}", args[i+1])
	}
	return strings.NewReplacer(pairs...).Replace(text)
}
