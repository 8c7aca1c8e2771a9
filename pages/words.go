package pages

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"strings"
	"sync"

	xlanguage "golang.org/x/text/language"
)

//go:embed words/*.json
var wordFiles embed.FS

// tags are the languages, the default first. A language is one more file, and a
// line here.
var tags = []string{"en", "de"}

// wordSets are the beginnings of the names of a language's files.
var wordSets = []string{"", "console."}

// language is every text of every page in one language.
type language struct {
	Tag  string
	Name string // in the language itself
	Dir  string // "ltr" or "rtl"

	texts map[string]string
}

// catalogue is all languages.
type catalogue struct {
	list    []*language
	matcher xlanguage.Matcher
}

// texts are the words of every language, read once. They must not be changed.
var texts = sync.OnceValues(loadWords)

func loadWords() (*catalogue, error) {
	c := &catalogue{}
	var known []xlanguage.Tag
	for _, tag := range tags {
		l := &language{Tag: tag, texts: map[string]string{}}
		for _, file := range wordSets {
			raw, err := wordFiles.ReadFile("words/" + file + tag + ".json")
			if err != nil {
				return nil, fmt.Errorf("reading words: %w", err)
			}
			set := map[string]string{}
			if err := json.Unmarshal(raw, &set); err != nil {
				return nil, fmt.Errorf("reading words of %q: %w", file+tag, err)
			}
			for key, text := range set {
				if _, twice := l.texts[key]; twice {
					return nil, fmt.Errorf("reading words of %q: %q stands in two files", file+tag, key)
				}
				l.texts[key] = text
			}
		}
		l.Name, l.Dir = l.texts["language.name"], l.texts["language.dir"]
		c.list = append(c.list, l)
		known = append(known, xlanguage.Make(tag))
	}
	c.matcher = xlanguage.NewMatcher(known)
	return c, nil
}

// choose returns the language that the person chose, or the best one for their
// browser. Both come from the outside and are only compared, never shown.
func (c *catalogue) choose(chosen, accept string) *language {
	for _, l := range c.list {
		if l.Tag == chosen {
			return l
		}
	}
	if len(accept) > 256 {
		accept = ""
	}
	wanted, _, err := xlanguage.ParseAcceptLanguage(accept)
	if err != nil || len(wanted) == 0 {
		return c.list[0]
	}
	_, i, _ := c.matcher.Match(wanted...)
	return c.list[i]
}

// text returns the text of that key, with "{name}" replaced from pairs of name
// and value, in one pass: a value that looks like a placeholder stays as it is
// (AC-135). A key that does not exist shows as itself, and a test finds it.
func (l *language) text(key string, pairs ...any) string {
	s, ok := l.texts[key]
	if !ok {
		return key
	}
	if len(pairs) == 0 {
		return s
	}
	return strings.NewReplacer(placeholders(pairs, func(s string) string { return s })...).Replace(s)
}

// rich is text with the values set off in bold, escaped for HTML.
func (l *language) rich(key string, pairs ...any) template.HTML {
	s := template.HTMLEscapeString(l.text(key))
	r := strings.NewReplacer(placeholders(pairs, func(s string) string {
		return "<strong><bdi>" + template.HTMLEscapeString(s) + "</bdi></strong>"
	})...)
	// Both the text and the values were escaped just now.
	return template.HTML(r.Replace(s)) //nolint:gosec
}

// count returns the text for n things: key.one or key.other, with {n}.
func (l *language) count(key string, n int) string {
	form := ".other"
	if n == 1 {
		form = ".one"
	}
	return l.text(key+form, "n", n)
}

func placeholders(pairs []any, wrap func(string) string) []string {
	var list []string
	for i := 0; i+1 < len(pairs); i += 2 {
		list = append(list, fmt.Sprintf("{%v}", pairs[i]), wrap(fmt.Sprint(pairs[i+1])))
	}
	return list
}
