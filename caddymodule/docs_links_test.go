package caddymodule_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

var (
	docLink  = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	docTitle = regexp.MustCompile(`(?m)^#{1,6} +(.+?)\s*$`)
	fenced   = regexp.MustCompile("(?ms)^[ \t]*```.*?^[ \t]*```[ \t]*$")
)

// Where a document leads to is there, down to the heading; and whoever begins at the README
// finds every document.
func TestDocs_LinksLeadSomewhere(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	var pages []string
	for _, pattern := range []string{"README.md", "CHANGELOG.md", "docs/*.md", "docs/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	anchors, leads := map[string]map[string]bool{}, map[string][]string{}
	for _, page := range pages {
		anchors[page] = anchorsOf(t, page)
	}
	links := 0
	for _, page := range pages {
		for _, m := range docLink.FindAllStringSubmatch(textOf(t, page), -1) {
			to, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(to, ":") {
				continue // another place's
			}
			links++
			at := page
			if to != "" {
				at = filepath.Join(filepath.Dir(page), to)
			}
			name, _ := filepath.Rel(root, page)
			if _, err := os.Stat(at); err != nil {
				t.Errorf("%s: %s is not there", name, m[1])
				continue
			}
			if anchor != "" && !anchors[at][anchor] {
				t.Errorf("%s: %s has no such heading", name, m[1])
			}
			leads[page] = append(leads[page], at)
		}
	}
	if links < 100 {
		t.Errorf("found only %d links", links)
	}
	reached := map[string]bool{}
	var walk func(string)
	walk = func(page string) {
		if reached[page] {
			return
		}
		reached[page] = true
		for _, next := range leads[page] {
			walk(next)
		}
	}
	walk(filepath.Join(root, "README.md"))
	for _, page := range pages {
		// Decisions are read as a folder, and the changelog by itself.
		if name, _ := filepath.Rel(root, page); !reached[page] && !strings.HasPrefix(name, "docs/decisions/") && name != "CHANGELOG.md" {
			t.Errorf("nothing that begins at the README leads to %s", name)
		}
	}
}

// textOf is a document without what it shows as code, in which nothing is a link.
func textOf(t *testing.T, page string) string {
	t.Helper()
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	return fenced.ReplaceAllString(string(raw), "")
}

// anchorsOf are the places in a document that can be linked to, made of its headings as
// GitHub makes them.
func anchorsOf(t *testing.T, page string) map[string]bool {
	t.Helper()
	list := map[string]bool{}
	for _, m := range docTitle.FindAllStringSubmatch(textOf(t, page), -1) {
		var b strings.Builder
		for _, r := range strings.ToLower(strings.ReplaceAll(m[1], "`", "")) {
			switch {
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				b.WriteRune(r)
			case r == ' ':
				b.WriteByte('-')
			}
		}
		list[b.String()] = true
	}
	return list
}
