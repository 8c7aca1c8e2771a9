package sender

import (
	_ "embed" // the template
	"fmt"
	"html/template"
	"strings"
)

//go:embed letter.html
var letterHTML string

var letterTemplate = template.Must(template.New("letter").Parse(letterHTML))

// html returns the letter as a page without anything from elsewhere.
func (s *sheet) html() (string, error) {
	var b strings.Builder
	if err := letterTemplate.Execute(&b, s); err != nil {
		return "", fmt.Errorf("writing a letter as HTML: %w", err)
	}
	return b.String(), nil
}

// text returns the letter as plain text. Its last line is the one that binds the
// code to its host, where there is a code.
func (s *sheet) text() string {
	parts := []string{s.Greeting, s.Text}
	for _, part := range []string{s.Code, s.Link} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	var facts []string
	for _, f := range s.Facts {
		facts = append(facts, f.Label+": "+f.Value)
	}
	if facts != nil {
		parts = append(parts, strings.Join(facts, "\n"))
	}
	parts = append(parts, s.After...)
	parts = append(parts, s.Brand)
	if s.Bound != "" {
		parts = append(parts, s.Bound)
	}
	return strings.Join(parts, "\n\n") + "\n"
}
