package sender

import (
	"embed"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	xlanguage "golang.org/x/text/language"
)

//go:embed words/*.json
var wordFiles embed.FS

// tags are the languages, the default first. A language is one more file, and a
// line here.
var tags = []string{"en", "de"}

// language is all that letters say in one language.
type language struct {
	tag   string
	texts map[string]string
}

// catalogue is all languages.
type catalogue struct {
	list    []*language
	matcher xlanguage.Matcher
}

func loadWords() (*catalogue, error) {
	c := &catalogue{}
	var known []xlanguage.Tag
	for _, tag := range tags {
		raw, err := wordFiles.ReadFile("words/" + tag + ".json")
		if err != nil {
			return nil, fmt.Errorf("reading words: %w", err)
		}
		l := &language{tag: tag}
		if err := json.Unmarshal(raw, &l.texts); err != nil {
			return nil, fmt.Errorf("reading words of %q: %w", tag, err)
		}
		c.list = append(c.list, l)
		known = append(known, xlanguage.Make(tag))
	}
	c.matcher = xlanguage.NewMatcher(known)
	return c, nil
}

// choose returns the best language for one that a browser asked for, or for a list
// of them.
func (c *catalogue) choose(asked string) *language {
	if len(asked) > 256 {
		asked = ""
	}
	wanted, _, err := xlanguage.ParseAcceptLanguage(asked)
	if err != nil || len(wanted) == 0 {
		return c.list[0]
	}
	_, i, _ := c.matcher.Match(wanted...)
	return c.list[i]
}

// values are what stands in a text where it says {name}.
type values map[string]string

// text returns the text of that key with its values, which are put in in one pass:
// a value that looks like a placeholder stays as it is. A key that does not exist
// shows as itself, and a test finds it.
func (l *language) text(key string, v values) string {
	s, ok := l.texts[key]
	if !ok {
		return key
	}
	var pairs []string
	for name, value := range v {
		pairs = append(pairs, "{"+name+"}", value)
	}
	return strings.NewReplacer(pairs...).Replace(s)
}

// first returns the first of the keys that there is.
func (l *language) first(keys ...string) string {
	for _, key := range keys {
		if _, ok := l.texts[key]; ok {
			return key
		}
	}
	return keys[len(keys)-1]
}

// span says how long something holds, and never longer than it does.
func (l *language) span(d time.Duration) string {
	units := []struct {
		key string
		d   time.Duration
	}{{"time.day", 24 * time.Hour}, {"time.hour", time.Hour}, {"time.minute", time.Minute}, {"time.second", time.Second}}
	for _, unit := range units {
		n := d / unit.d
		switch {
		case n == 1 && d%unit.d == 0:
			return l.text(unit.key+".one", nil)
		case n >= 2, unit.d == time.Second:
			return l.text(unit.key+".other", values{"n": fmt.Sprint(int64(n))})
		}
	}
	return ""
}
